//! Layers merged, and what a file system of the merged layer is.

use std::path::{Path, PathBuf};

use super::super::testing::{Layer, Sandbox, ownership, snapshot};
use super::super::{Extract, Root, Whiteouts, extract};
use super::*;
use crate::layer::Metadata;

/// Entries and their content.
#[derive(Default)]
struct Taken(Vec<(Entry, Vec<u8>)>);

impl ChangeSink for Taken {
    fn file(&mut self, entry: &Entry, content: &mut dyn Read) -> Result<(), SinkError> {
        let mut bytes = Vec::new();
        if matches!(entry.kind, Kind::File { .. }) {
            content.read_to_end(&mut bytes)?;
        }
        self.0.push((entry.clone(), bytes));
        Ok(())
    }

    fn whiteout(&mut self, whiteout: &Whiteout) -> Result<(), SinkError> {
        let (dir, name) = match whiteout {
            Whiteout::Remove(path) => {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                (path.parent().unwrap_or(Path::new("")), format!(".wh.{name}"))
            }
            Whiteout::Opaque(path) => (path.as_path(), ".wh..wh..opq".to_owned()),
            Whiteout::Ignored(_) => return Ok(()),
        };
        let kind = Kind::File { size: 0 };
        self.0.push((Entry { path: dir.join(name), meta: Metadata::default(), kind }, Vec::new()));
        Ok(())
    }
}

fn merged(layers: &[&Layer]) -> Layer {
    let mut survey = Survey::default();
    for layer in layers {
        survey.add(&mut layer.entries()).expect("a layer");
    }
    let merge = survey.merge().expect("layers");
    let mut taken = Taken::default();
    for whiteout in merge.removed() {
        taken.whiteout(whiteout).expect("taken");
    }
    for (number, layer) in layers.iter().enumerate() {
        merge.hand_on(number, &mut layer.entries(), &mut taken).expect("handed on");
    }
    merge.hand_on_links(&mut taken).expect("handed on");
    Layer(taken.0)
}

fn unpack(root: &Root, layer: &Layer) {
    let policy = Extract::new(Whiteouts::Apply, ownership());
    extract(&mut layer.entries(), root, &policy).expect("unpacks");
}

/// A base with something of everything.
fn base() -> Layer {
    Layer::default()
        .dir("etc")
        .file("etc/kept", "kept")
        .file("etc/gone", "gone")
        .dir("old")
        .file("old/inner", "inner")
        .dir("again")
        .file("again/hidden", "hidden")
        .dir("file")
        .file("file/below", "below")
        .dir("opaque")
        .file("opaque/base", "base")
}

fn rows() -> Vec<(&'static str, Vec<Layer>)> {
    let layer = Layer::default;
    vec![
        ("a file of the base goes", vec![layer().dir("etc").file("etc/.wh.gone", "")]),
        (
            "what one layer makes another takes away",
            vec![
                layer().dir("new").file("new/a", "a").file("new/b", "b"),
                layer().file("new/.wh.a", ""),
            ],
        ),
        (
            "a directory goes with what went in it before",
            vec![layer().file("old/.wh.inner", ""), layer().file(".wh.old", "")],
        ),
        (
            "a directory goes and comes again",
            vec![layer().file(".wh.again", ""), layer().dir("again").file("again/new", "new")],
        ),
        (
            "a directory becomes a file and a directory again",
            vec![
                layer().file("file", "now a file"),
                layer().file(".wh.file", ""),
                layer().dir("file").file("file/new", "new"),
            ],
        ),
        (
            "an opaque directory",
            vec![layer().dir("opaque").file("opaque/.wh..wh..opq", "").file("opaque/x", "x")],
        ),
        ("a file in place of a directory", vec![layer().file("old", "a file")]),
        (
            "hard links of one layer whose first name goes",
            vec![
                layer().file("one", "content").hard("two", "one").hard("three", "one"),
                layer().file(".wh.one", ""),
            ],
        ),
        (
            "hard links across layers",
            vec![
                layer().file("one", "content"),
                layer().hard("two", "one"),
                layer().file(".wh.one", "").hard("three", "two"),
            ],
        ),
        (
            "a later layer says something else of a directory",
            vec![
                layer().dir("d").meta(|meta| meta.mode = 0o700).file("d/x", "x"),
                layer().dir("d").meta(|meta| meta.mode = 0o1777),
            ],
        ),
        (
            "links are no way to anywhere",
            vec![layer().symlink("link", "etc").file("link/x", "x"), layer().file("link/y", "y")],
        ),
    ]
}

#[test]
fn the_merged_layer_does_to_the_base_what_the_layers_do() {
    for (name, layers) in rows() {
        let (apart, together) = (Sandbox::new(), Sandbox::new());
        unpack(&apart.root, &base());
        layers.iter().for_each(|layer| unpack(&apart.root, layer));
        unpack(&together.root, &base());
        let layer = merged(&layers.iter().collect::<Vec<_>>());
        unpack(&together.root, &layer);
        let paths = |root: &Root| snapshot(root, true);
        assert_eq!(paths(&together.root), paths(&apart.root), "{name}: {layer:?}");
    }
}

#[test]
fn nothing_is_handed_on_that_does_not_stay() {
    let lower = Layer::default().file("big", "never needed").file("x", "1");
    let upper = Layer::default().file(".wh.big", "").file("x", "2");
    let layer = merged(&[&lower, &upper]);
    let paths: Vec<_> = layer.0.iter().map(|(entry, _)| entry.path.clone()).collect();
    assert_eq!(paths, [".wh.big", "x"].map(PathBuf::from));
    assert_eq!(layer.0[1].1, b"2");
}
