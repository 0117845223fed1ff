use std::collections::BTreeMap;

use super::*;
use crate::layer::Content;
use crate::layer::decompress::decoder;
use crate::layer::tar_read::TarReader;

fn store() -> (tempfile::TempDir, BlobStore) {
    let dir = tempfile::tempdir().expect("a directory");
    let store = BlobStore::create(dir.path()).expect("a store");
    (dir, store)
}

fn entry(path: &str, kind: Kind) -> Entry {
    let mtime = Timestamp { secs: 2_000_000_000, nanos: 7 };
    Entry { path: path.into(), meta: Metadata { mode: 0o755, mtime, ..Metadata::default() }, kind }
}

fn read(store: &BlobStore, layer: &Layer) -> Vec<Entry> {
    let mut tar = Vec::new();
    let blob = store.open(&layer.digest).expect("in the store");
    decoder(blob).expect("known").read_to_end(&mut tar).expect("whole");
    assert_eq!(Digest::of(&tar), layer.diff_id);
    let mut reader = TarReader::new(&tar[..]);
    let mut entries = Vec::new();
    while let Some(member) = reader.next().expect("valid") {
        entries.push(member.entry);
    }
    entries
}

fn options(compression: Compression, threads: usize) -> LayerOptions {
    LayerOptions { compression, clamp: None, threads }
}

#[test]
fn digests_are_those_of_the_bytes_whatever_the_compression() {
    let (_dir, store) = store();
    let mut diff_ids = Vec::new();
    for compression in [Compression::None, Compression::default(), Compression::Zstd { level: 3 }] {
        let mut layers = Vec::new();
        for threads in [1, 2, 8] {
            let options = options(compression, threads);
            let mut writer = LayerWriter::create(&store, &options).expect("a writer");
            for index in 0..5_u8 {
                let file = entry(&format!("f{index}"), Kind::File { size: 900_000 });
                writer.append(&file, &mut io::repeat(index).take(900_000)).expect("written");
            }
            assert_eq!(writer.count(), 5);
            layers.push(writer.finish().expect("complete"));
        }
        assert!(layers.iter().all(|layer| *layer == layers[0]), "{compression:?}");
        let layer = &layers[0];
        let bytes = std::fs::read(store.path(&layer.digest)).expect("in the store");
        assert_eq!((Digest::of(&bytes), bytes.len() as u64), (layer.digest, layer.size));
        assert_eq!(read(&store, layer).len(), 5);
        diff_ids.push(layer.diff_id);
    }
    assert!(diff_ids.iter().all(|id| *id == diff_ids[0]));
}

#[test]
fn times_are_clamped_and_whiteouts_written() {
    let (_dir, store) = store();
    let clamp = Some(Timestamp::from_secs(1_000));
    let mut writer =
        LayerWriter::create(&store, &LayerOptions { clamp, ..LayerOptions::default() })
            .expect("a writer");
    writer.whiteout(&Whiteout::Opaque("a".into()), Timestamp::from_secs(5)).expect("written");
    writer.whiteout(&Whiteout::Remove("b".into()), Timestamp::from_secs(5000)).expect("written");
    writer.append(&entry("a/new", Kind::Fifo), &mut io::empty()).expect("written");
    let layer = writer.finish().expect("complete");
    let entries = read(&store, &layer);
    let seen: Vec<_> =
        entries.iter().map(|e| (e.path.to_str().expect("text"), e.meta.mtime.secs)).collect();
    assert_eq!(seen, [("a/.wh..wh..opq", 5), (".wh.b", 1000), ("a/new", 1000)]);
    assert_eq!(entries[2].meta.mtime.nanos, 0);
}

#[test]
fn a_file_that_looks_like_a_whiteout_is_refused() {
    let (_dir, store) = store();
    let mut writer = LayerWriter::create(&store, &LayerOptions::default()).expect("a writer");
    let error = writer.append(&entry("a/.wh.b", Kind::Fifo), &mut io::empty());
    assert!(matches!(error, Err(LayerError::ReservedName { .. })));
}

#[test]
fn a_failed_layer_is_not_in_the_store() {
    let (dir, store) = store();
    let mut writer = LayerWriter::create(&store, &LayerOptions::default()).expect("a writer");
    let short = entry("f", Kind::File { size: 9 });
    assert!(writer.append(&short, &mut &b"12345678"[..]).is_err());
    assert!(writer.finish().is_err());
    for part in ["sha256", "tmp"] {
        assert_eq!(std::fs::read_dir(dir.path().join(part)).expect("readable").count(), 0);
    }
}

#[test]
fn a_tree_is_written_in_an_order_that_unpacks() {
    let (_dir, store) = store();
    let file = Kind::File { size: 4 };
    let nodes = [
        ("a/link-to-link", Kind::HardLink("m".into()), Content::None),
        ("a", Kind::Dir, Content::None),
        ("a.txt", Kind::Fifo, Content::None),
        ("a/z", file, Content::Bytes(b"text".to_vec())),
        ("m", Kind::HardLink("a/z".into()), Content::None),
        ("n", Kind::HardLink("lower/file".into()), Content::None),
        ("", Kind::Dir, Content::None),
    ];
    let tree: Tree = nodes
        .into_iter()
        .map(|(path, kind, content)| (path.into(), Node { entry: entry(path, kind), content }))
        .collect();
    let layer =
        write_tree(LayerWriter::create(&store, &LayerOptions::default()).expect("a writer"), &tree)
            .expect("written");
    let entries = read(&store, &layer);
    let order: Vec<_> = entries.iter().map(|e| e.path.to_str().expect("text")).collect();
    assert_eq!(order, ["", "a", "a/z", "a.txt", "a/link-to-link", "m", "n"]);
    assert_eq!(entries[4].kind, Kind::HardLink("a/z".into()));
    assert_eq!(entries[6].kind, Kind::HardLink("lower/file".into()));
}

#[test]
fn links_in_a_circle_are_refused() {
    let (_dir, store) = store();
    let tree: Tree = [("a", "b"), ("b", "a")]
        .map(|(path, target)| {
            let entry = entry(path, Kind::HardLink(target.into()));
            (path.into(), Node { entry, content: Content::None })
        })
        .into();
    let error =
        write_tree(LayerWriter::create(&store, &LayerOptions::default()).expect("a writer"), &tree)
            .expect_err("refused");
    assert!(matches!(error, LayerError::LinkLoop { .. }), "{error}");
    let empty = BTreeMap::new();
    write_tree(LayerWriter::create(&store, &LayerOptions::default()).expect("a writer"), &empty)
        .expect("an empty layer is one");
}
