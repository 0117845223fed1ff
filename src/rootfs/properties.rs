//! The ways of looking at and unpacking layers agree with each other, whatever is in the layers.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use proptest::prelude::*;

use super::testing::{Layer, Sandbox, Snapshot, is_root, overlay, ownership, snapshot};
use super::{
    ChangeSink, Extract, Extracted, Index, Root, View, Wanted, Whiteouts, diff_upper, extract, join,
};
use crate::layer::{Entry, Kind, Metadata, Timestamp, Whiteout};

/// Few names, so that entries meet each other.
fn path() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(vec!["a", "b", "c"]), 1..=3)
        .prop_map(|names| names.join("/"))
}

fn kind() -> impl Strategy<Value = (String, Kind, &'static str)> {
    let targets = vec!["a", "b/c", "../b", "/c", "/", "..", "a/b", "./c/.."];
    prop_oneof![
        4 => path().prop_map(|path| (path, Kind::Dir, "")),
        5 => (path(), prop::sample::select(vec!["", "one", "two"]))
            .prop_map(|(path, text)| (path, Kind::File { size: text.len() as u64 }, text)),
        2 => (path(), prop::sample::select(targets))
            .prop_map(|(path, target)| (path, Kind::Symlink(target.into()), "")),
        2 => (path(), path())
            .prop_map(|(path, target)| (path, Kind::HardLink(target.into()), "")),
        2 => path().prop_map(|path| {
            let whiteout = Whiteout::Remove(path.into()).to_path();
            (whiteout.to_string_lossy().into_owned(), Kind::File { size: 0 }, "")
        }),
        1 => path().prop_map(|dir| (format!("{dir}/.wh..wh..opq"), Kind::File { size: 0 }, "")),
        1 => path().prop_map(|path| (path, Kind::Fifo, "")),
        1 => path().prop_map(|path| (path, Kind::CharDevice { major: 0, minor: 0 }, "")),
    ]
}

fn entry() -> impl Strategy<Value = (Entry, Vec<u8>)> {
    let mode = prop::sample::select(vec![0o644, 0o755, 0o4711, 0o2775, 0o1777, 0o400]);
    let owner = prop::sample::select(vec![0, 7]);
    (kind(), mode, owner.clone(), owner, 0..4_i64, any::<bool>()).prop_map(
        |((path, kind, text), mode, uid, gid, secs, attribute)| {
            // What Linux gives every symbolic link.
            let mode = if matches!(kind, Kind::Symlink(_)) { 0o777 } else { mode };
            // Who is not root has no other owners, and would lock itself out.
            let (uid, gid, mode) = if is_root() { (uid, gid, mode) } else { (0, 0, mode | 0o700) };
            let mut meta = Metadata { mode, uid, gid, ..Metadata::default() };
            meta.mtime = Timestamp { secs, nanos: 1 };
            if attribute && matches!(kind, Kind::File { .. } | Kind::Dir) {
                meta.xattrs.insert("user.test".into(), b"value".to_vec());
            }
            (Entry { path: path.into(), meta, kind }, text.as_bytes().to_vec())
        },
    )
}

fn layer() -> impl Strategy<Value = Layer> {
    prop::collection::vec(entry(), 0..10).prop_map(Layer)
}

fn layers() -> impl Strategy<Value = Vec<Layer>> {
    prop::collection::vec(layer(), 1..=3)
}

fn policy(whiteouts: Whiteouts) -> Extract {
    Extract::new(whiteouts, ownership())
}

fn overlaid() -> Whiteouts {
    Whiteouts::Overlay { userxattr: overlay().userxattr }
}

/// One index per layer: what is visible with it on top. Stops before a layer that is no layer.
fn indexes(layers: &[Layer]) -> Vec<Index> {
    let mut done = Vec::new();
    for end in 1..=layers.len() {
        let mut index = Index::default();
        if layers[..end].iter().any(|layer| index.apply(&mut layer.entries()).is_err()) {
            break;
        }
        done.push(index);
    }
    done
}

/// All layers in one directory, one after the other.
fn applied(layers: &[Layer]) -> Sandbox {
    let sandbox = Sandbox::new();
    for layer in layers {
        extract(&mut layer.entries(), &sandbox.root, &policy(Whiteouts::Apply)).expect("applies");
    }
    sandbox
}

/// One layer in a directory of its own, and what unpacking leaves to its caller: hard links to the
/// layers below, and the metadata of directories that it does not mention.
fn upper(layer: &Layer, below: &Snapshot, merged: &Index) -> (Sandbox, Extracted) {
    let sandbox = Sandbox::new();
    let done = extract(&mut layer.entries(), &sandbox.root, &policy(overlaid())).expect("unpacks");
    for (link, target, _) in &done.foreign_links {
        let (entry, content) = &below[target];
        let entry = Entry { path: link.clone(), ..entry.clone() };
        let copy = Layer(vec![(entry, content.clone().unwrap_or_default())]);
        extract(&mut copy.entries(), &sandbox.root, &policy(overlaid())).expect("unpacks");
    }
    for dir in &done.implicit_dirs {
        let entry = merged.lstat(dir).expect("readable").expect("there");
        sandbox.root.set_metadata(dir, &entry.meta, ownership()).expect("set");
    }
    restore_times(&sandbox.root, merged);
    (sandbox, done)
}

/// Putting a link into a directory has changed its time.
fn restore_times(root: &Root, merged: &Index) {
    for (path, (entry, _)) in snapshot(root, false) {
        if entry.kind == Kind::Dir {
            let meta = merged.lstat(&path).expect("readable").expect("there").meta;
            root.set_metadata(&path, &meta, ownership()).expect("set");
        }
    }
}

/// What overlayfs shows of an upper directory over something.
fn mount(upper: &Root, opaque_root: bool, mut below: Snapshot) -> Snapshot {
    if opaque_root {
        below.clear();
    }
    for (path, object) in snapshot(upper, true) {
        let is_opaque = || {
            let dir = std::fs::File::open(upper.path().join(&path)).expect("opens");
            let names = super::xattr::names(&dir).expect("readable");
            overlay().is_opaque(&dir, &names).expect("readable")
        };
        let merges = object.0.kind == Kind::Dir
            && matches!(below.get(&path), Some((below, _)) if below.kind == Kind::Dir)
            && !is_opaque();
        if !merges {
            below.retain(|below, _| !below.starts_with(&path));
        }
        if object.0.kind != (Kind::CharDevice { major: 0, minor: 0 }) {
            below.insert(path, object);
        }
    }
    below
}

fn without_content(snapshot: &Snapshot) -> Snapshot {
    snapshot.iter().map(|(path, (entry, _))| (path.clone(), (entry.clone(), None))).collect()
}

proptest! {
    // Each case makes some hundred files. PROPTEST_CASES asks for more of them.
    #![proptest_config(ProptestConfig {
        cases: ProptestConfig::default().cases / 4,
        ..ProptestConfig::default()
    })]

    #[test]
    fn an_index_shows_what_unpacking_makes(layers in layers()) {
        let sandbox = Sandbox::new();
        let mut index = Index::default();
        for layer in &layers {
            let unpacked =
                extract(&mut layer.entries(), &sandbox.root, &policy(Whiteouts::Apply));
            let indexed = index.apply(&mut layer.entries());
            prop_assert_eq!(unpacked.is_err(), indexed.is_err(), "{:?} {:?}", unpacked, indexed);
            if indexed.is_err() {
                break;
            }
            prop_assert_eq!(snapshot(&sandbox.root, false), snapshot(&index, false));
            prop_assert_eq!(index.len(), index.entries().count());
        }
        sandbox.assert_outside_untouched();
    }

    #[test]
    fn layers_for_overlayfs_show_the_same(layers in layers()) {
        let mut merged = Snapshot::new();
        for (index, layer) in indexes(&layers).iter().zip(&layers) {
            let (upper, done) = upper(layer, &merged, index);
            merged = mount(&upper.root, done.opaque_root, merged);
            prop_assert_eq!(without_content(&merged), snapshot(index, false));
            upper.assert_outside_untouched();
        }
        let valid = indexes(&layers).len();
        prop_assert_eq!(merged, snapshot(&applied(&layers[..valid]).root, true));
    }

    #[test]
    fn layers_unpacked_apart_join_as_if_one_after_the_other(layers in layers()) {
        let layers = &layers[..indexes(&layers).len()];
        let joined = Sandbox::new();
        for (number, layer) in layers.iter().enumerate() {
            let own = Sandbox::new();
            let apart = policy(Whiteouts::Apart);
            let done = extract(&mut layer.entries(), &own.root, &apart).expect("unpacks");
            join(&own.root, &joined.root, &done, ownership()).expect("joins");
            let whole = applied(&layers[..=number]);
            prop_assert_eq!(snapshot(&joined.root, true), snapshot(&whole.root, true));
            own.assert_outside_untouched();
        }
        joined.assert_outside_untouched();
    }

    #[test]
    fn visible_parts_make_up_the_whole(layers in layers()) {
        let Some(index) = indexes(&layers).pop() else { return Ok(()) };
        let layers = &layers[..index.layers()];
        let index = Arc::new(index);
        let sandbox = Sandbox::new();
        let whole = applied(layers);
        let everything: Wanted = Arc::new(|_: &Path| true);
        let Ok(parts) = index.visible_parts(&everything) else { return Ok(()) };
        // Which layer comes first must not matter.
        for (part, layer) in parts.into_iter().zip(layers).rev() {
            let policy = Extract {
                filter: Some(part.filter),
                relocate: part.relocate,
                ..policy(Whiteouts::Skip)
            };
            let done = extract(&mut layer.entries(), &sandbox.root, &policy);
            prop_assert_eq!(done.expect("unpacks").foreign_links, []);
        }
        index.complete(&sandbox.root, ownership(), &everything).expect("completes");
        prop_assert_eq!(snapshot(&sandbox.root, true), snapshot(&whole.root, true));
    }

    #[test]
    fn a_diff_is_the_layer_that_made_it(layers in layers(), top in layer()) {
        let base = indexes(&layers).len();
        let layers = &layers[..base];
        let mut with_top = layers.to_vec();
        with_top.push(top.clone());
        let indexes = indexes(&with_top);
        if indexes.len() != with_top.len() {
            return Ok(());
        }
        let lower = applied(layers);
        let below = snapshot(&lower.root, true);
        let (upper, done) = upper(&top, &below, &indexes[base]);
        if done.opaque_root {
            return Ok(());
        }
        let changes = changes(&upper.root, &lower.root, &BTreeSet::new());
        let mut again = layers.to_vec();
        again.push(changes.clone());
        prop_assert_eq!(
            snapshot(&applied(&again).root, true),
            mount(&upper.root, false, below),
            "{:?}", changes
        );
        let paths: Vec<_> = changes.0.iter().map(|(entry, _)| &entry.path).collect();
        let distinct: BTreeSet<_> = paths.iter().collect();
        prop_assert_eq!(paths.len(), distinct.len(), "{:?}", paths);
    }
}

/// The layer that a diff hands on.
pub(super) fn changes(upper: &Root, lower: &dyn View, exclude: &BTreeSet<PathBuf>) -> Layer {
    let mut sink = Collect::default();
    diff_upper(upper, lower, overlay(), exclude, &mut sink).expect("a layer");
    sink.0
}

#[derive(Default)]
pub(super) struct Collect(pub(super) Layer);

impl ChangeSink for Collect {
    fn file(
        &mut self,
        entry: &Entry,
        content: &mut dyn Read,
    ) -> Result<(), super::diff::SinkError> {
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes)?;
        if let Kind::File { size } = entry.kind {
            assert_eq!(size, bytes.len() as u64);
        }
        let mut entry = entry.clone();
        if !is_root() {
            (entry.meta.uid, entry.meta.gid) = (0, 0);
        }
        self.0.0.push((entry, bytes));
        Ok(())
    }

    fn whiteout(&mut self, whiteout: &Whiteout) -> Result<(), super::diff::SinkError> {
        let kind = Kind::File { size: 0 };
        let entry = Entry { path: whiteout.to_path(), meta: Metadata::default(), kind };
        self.0.0.push((entry, Vec::new()));
        Ok(())
    }
}
