use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::time::Duration;

use super::sweep::UNFINISHED_FOR;
use super::*;
use crate::cache::key::Key;
use crate::cache::record::{self, About, Detail, Entry, KeptLayer, Record, Rivals};

const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

fn layout() -> (tempfile::TempDir, Layout) {
    let dir = tempfile::tempdir().expect("temp");
    let layout = Layout::new(dir.path().join("new/cache"), Cancel::default());
    (dir, layout)
}

fn blob(bytes: &[u8]) -> Descriptor {
    Descriptor::new(LAYER, Digest::of(bytes), bytes.len() as u64)
}

fn keep(layout: &Layout, bytes: &[u8]) -> Descriptor {
    let blob = blob(bytes);
    layout.keep(&blob, Content::Bytes(bytes), None, &|_| {}).expect("kept");
    blob
}

fn entry(layout: &Layout, name: &str, used: u64) -> Entry {
    let descriptor = keep(layout, name.as_bytes());
    let (key, diff_id) = (Key(Digest::of(name.as_bytes())), Digest::of(b"tar"));
    Entry {
        facts: crate::cache::facts::Facts::default(),
        key,
        below: Digest::of(b"below"),
        sources: Vec::new(),
        layer: Some(KeptLayer { descriptor, diff_id }),
        created: "2026-01-01T00:00:00Z".into(),
        used,
        about: About { step: name.to_owned(), inputs: Vec::new() },
    }
}

fn add(layout: &Layout, tag: &str, name: &str) {
    let entry = entry(layout, name, 1);
    record::write(layout, tag, &mut |record| record.merge(vec![entry.clone()], Rivals::Keep))
        .expect("written");
}

fn steps(layout: &Layout, tag: &str) -> Vec<String> {
    let record = record::read(layout, tag, Detail::About).expect("read");
    let mut steps: Vec<_> = record.entries.into_iter().map(|entry| entry.about.step).collect();
    steps.sort();
    steps
}

/// As if nobody had used anything for two hours.
fn age(layout: &Layout) {
    for entry in fs::read_dir(layout.blobs()).expect("readable").flatten() {
        let file = File::options().append(true).open(entry.path()).expect("writable");
        let then = std::time::SystemTime::now() - Duration::from_secs(7200);
        file.set_modified(then).expect("changed");
    }
}

fn files(layout: &Layout) -> usize {
    fs::read_dir(layout.blobs()).expect("readable").count()
}

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn what_is_written_is_read_and_other_names_stay() {
    let (_dir, layout) = layout();
    assert_eq!(record::read(&layout, "kiln", Detail::About).expect("empty"), Record::default());
    add(&layout, "kiln", "a");
    add(&layout, "kiln", "b");
    add(&layout, "other", "c");
    assert_eq!(steps(&layout, "kiln"), ["a", "b"]);
    assert_eq!(steps(&layout, "other"), ["c"]);
    assert_eq!(layout.names().expect("an index"), ["kiln", "other"]);
    let version = fs::read_to_string(layout.dir.join("oci-layout")).expect("there");
    assert_eq!(version, r#"{"imageLayoutVersion":"1.0.0"}"#);
    let top = Digest::of(&layout.document("kiln").expect("read").expect("there").bytes);
    layout.forget("kiln", &Digest::of(b"an older one")).expect("nothing to do");
    assert_eq!(layout.names().expect("an index"), ["kiln", "other"]);
    layout.forget("kiln", &top).expect("forgotten");
    assert_eq!(layout.names().expect("an index"), ["other"]);
}

#[test]
fn a_file_is_shared_where_it_can_be_and_copied_where_it_cannot() {
    let (dir, layout) = layout();
    let source = dir.path().join("source");
    fs::write(&source, "layer").expect("written");
    let of = |bytes: u64| std::sync::atomic::AtomicU64::new(bytes);
    let told = of(0);
    let progress = |bytes| _ = told.fetch_add(bytes, std::sync::atomic::Ordering::Relaxed);
    let blob = blob(b"layer");
    let keep = |source: &Path| layout.keep(&blob, Content::File(source), None, &progress);
    keep(&source).expect("kept");
    let path = layout.blob(&blob.digest);
    assert_eq!(fs::metadata(&path).expect("there").nlink(), 2);
    keep(&source).expect("there already");
    // A part of it, of some other tool: not written to, but replaced.
    fs::remove_file(&path).expect("removed");
    fs::write(&path, "lay").expect("written");
    assert_eq!(layout.layer(&blob), None);
    keep(&source).expect("replaced");
    let meta = fs::metadata(&path).expect("there");
    assert_eq!((meta.nlink(), meta.len()), (1, 5));
    assert_eq!(told.into_inner(), 10);
    let place = layout.layer(&blob);
    assert!(matches!(&place, Some(LayerPlace::File(file)) if file.path() == path), "{place:?}");
}

#[test]
fn other_bytes_than_announced_are_not_kept() {
    let (dir, layout) = layout();
    let source = dir.path().join("source");
    fs::write(&source, "short").expect("written");
    let announced = blob(b"something longer");
    let kept = layout.keep(&announced, Content::File(&source), None, &|_| {});
    let error = kept.expect_err("refused").to_string();
    assert!(error.contains("does not match its digest"), "{error}");
    assert_eq!(files(&layout), 0);
    assert_eq!(fs::read_dir(layout.temporaries()).expect("there").count(), 0);
}

#[test]
fn a_damaged_blob_is_found_at_its_end_and_removed() {
    let (_dir, layout) = layout();
    let blob = keep(&layout, b"good");
    let mut bytes = Vec::new();
    layout.open(&blob).expect("opened").read_to_end(&mut bytes).expect("good");
    assert_eq!(bytes, b"good");
    fs::write(layout.blob(&blob.digest), "evil").expect("written");
    let read = layout.open(&blob).expect("opened").read_to_end(&mut bytes);
    let error = read.expect_err("damaged").to_string();
    assert!(error.contains("is damaged") && error.contains(&blob.digest.hex()), "{error}");
    assert_eq!(layout.layer(&blob), None);
    fs::write(layout.blob(&blob.digest), "too long").expect("written");
    let error = layout.open(&blob).err().expect("refused").to_string();
    assert!(error.contains("has 8 bytes, not 4"), "{error}");
}

#[test]
fn documents_that_are_damaged_or_gone() {
    let (_dir, layout) = layout();
    add(&layout, "kiln", "a");
    let top = layout.document("kiln").expect("read").expect("there");
    let path = layout.blob(&Digest::of(&top.bytes));
    fs::write(&path, "{}").expect("written");
    let error = layout.document("kiln").expect_err("damaged").to_string();
    assert!(error.contains("remove that file") && error.contains("oci:/"), "{error}");
    fs::remove_file(&path).expect("removed");
    assert_eq!(layout.document("kiln").expect("read"), None);
    add(&layout, "kiln", "b");
    assert_eq!(steps(&layout, "kiln"), ["b"]);
}

#[test]
fn what_is_no_layout_is_left_alone() {
    let (dir, _) = layout();
    let layout = Layout::new(dir.path().to_owned(), Cancel::default());
    fs::write(dir.path().join("index.json"), "[1]").expect("written");
    let error = layout.document("kiln").expect_err("refused").to_string();
    assert!(error.contains("is no index of an OCI layout"), "{error}");
    let written = layout.update("kiln", &mut |_| Ok(None));
    assert!(written.is_err());
    assert_eq!(fs::read(dir.path().join("index.json")).expect("there"), b"[1]");
    // A file where the directory should be.
    let layout = Layout::new(dir.path().join("index.json"), Cancel::default());
    for error in [
        layout.document("kiln").expect_err("no directory"),
        layout.update("kiln", &mut |_| Ok(None)).expect_err("no directory"),
    ] {
        assert!(error.to_string().contains("index.json"), "{error}");
    }
    // A pipe would never end.
    let layout = Layout::new(dir.path().join("pipes"), Cancel::default());
    fs::create_dir(&layout.dir).expect("made");
    symlink("/dev/zero", layout.dir.join("index.json")).expect("made");
    assert!(layout.document("kiln").expect_err("no file").to_string().contains("it is no file"));
}

#[test]
fn an_image_under_the_name_is_not_overwritten() {
    let (_dir, layout) = layout();
    let image = br#"{"schemaVersion":2,"config":{"mediaType":"x","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2},"layers":[]}"#;
    let config = Descriptor::new("x", Digest::of(b"{}"), 2);
    layout.keep(&config, Content::Bytes(b"{}"), None, &|_| {}).expect("kept");
    let document = Document {
        bytes: image.to_vec(),
        media_type: "application/vnd.oci.image.manifest.v1+json".into(),
    };
    layout.update("kiln", &mut |_| Ok(Some(document.clone()))).expect("written");
    let written = record::write(&layout, "kiln", &mut |record| record.entries.clear());
    assert!(matches!(written, Err(CacheError::NotACache { .. })), "{written:?}");
    assert_eq!(layout.document("kiln").expect("read"), Some(document));
}

#[test]
fn who_reads_writes_nothing() {
    let (_dir, layout) = layout();
    add(&layout, "kiln", "a");
    let layer = blob(b"a");
    fs::remove_dir_all(layout.dir.join(OWN)).expect("removed");
    let all = [layout.dir.clone(), layout.blobs()];
    let mode = |mode| {
        all.iter().for_each(|dir| {
            fs::set_permissions(dir, fs::Permissions::from_mode(mode)).expect("ours");
        });
    };
    mode(0o555);
    assert_eq!(steps(&layout, "kiln"), ["a"]);
    assert!(layout.layer(&layer).is_some());
    assert!(!layout.dir.join(OWN).exists());
    mode(0o755);
}

#[test]
fn a_sweep_takes_what_nothing_leads_to_and_nobody_used() {
    let (_dir, layout) = layout();
    add(&layout, "kiln", "a");
    add(&layout, "kiln", "b");
    let loose = keep(&layout, b"loose");
    let before = files(&layout);
    assert_eq!(layout.sweep(HOUR).expect("swept"), Swept::default(), "all was used just now");
    age(&layout);
    assert!(layout.layer(&loose).is_some(), "which is a use");
    // The first record, and its list of steps.
    assert_eq!(layout.sweep(HOUR).expect("swept").blobs, 2);
    assert_eq!(files(&layout), before - 2);
    let (all, unreferenced) = layout.blobs_and_loose().expect("read");
    assert_eq!((all.blobs, unreferenced), (before - 2, Swept { blobs: 1, bytes: 5 }));
    age(&layout);
    assert_eq!(layout.sweep(HOUR).expect("swept"), Swept { blobs: 1, bytes: 5 });
    assert_eq!(steps(&layout, "kiln"), ["a", "b"]);
    assert!(layout.layer(&blob(b"a")).is_some());
    assert_eq!(layout.layer(&loose), None);
}

#[test]
fn files_of_others_are_not_swept() {
    let (_dir, layout) = layout();
    add(&layout, "kiln", "a");
    fs::write(layout.blobs().join("README"), "hello").expect("written");
    fs::write(layout.blobs().join(".kiln-young"), "half").expect("written");
    age(&layout);
    layout.sweep(HOUR).expect("swept");
    assert!(layout.blobs().join("README").exists());
    assert!(layout.blobs().join(".kiln-young").exists());
    let old = File::options().append(true).open(layout.blobs().join(".kiln-young"));
    let then = std::time::SystemTime::now() - 2 * UNFINISHED_FOR;
    old.expect("there").set_modified(then).expect("changed");
    layout.sweep(HOUR).expect("swept");
    assert!(!layout.blobs().join(".kiln-young").exists());
}

#[test]
fn a_wait_for_the_lock_can_be_stopped() {
    let (_dir, layout) = layout();
    layout.prepare().expect("made");
    let held = layout.lock().expect("free");
    let cancel = layout.cancel.clone();
    let stopper = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(50));
        cancel.cancel();
    });
    let error = layout.update("kiln", &mut |_| Ok(None)).expect_err("stopped");
    assert!(error.is_cancelled());
    stopper.join().expect("no panic");
    drop(held);
}
