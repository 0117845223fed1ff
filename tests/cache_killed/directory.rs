//! What a directory has.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use kiln::cache::backend::{Backend as _, Layout};
use kiln::cache::record::{self, Detail};
use kiln::digest::Digest;

/// Makes all files of a directory look as if nobody had used them for so long.
pub fn age(dir: &Path, by: Duration) {
    for entry in fs::read_dir(dir).expect("a directory") {
        let entry = entry.expect("an entry");
        if entry.file_type().expect("a type").is_file() {
            let file = File::options().write(true).open(entry.path()).expect("opened");
            file.set_modified(SystemTime::now() - by).expect("aged");
        }
    }
}

/// Adds a blob that nothing leads to; gives its name.
pub fn add_loose(blobs: &Path, number: usize) -> String {
    let bytes = format!("loose {number}");
    let name = Digest::of(bytes.as_bytes()).hex().to_string();
    fs::write(blobs.join(&name), bytes).expect("written");
    name
}

pub fn names(dir: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(dir).expect("a directory");
    entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("text")).collect()
}

/// What is there under the name of a digest has it, whatever leads there.
pub fn blobs_are_whole(dir: &Path) {
    for name in names(&dir.join("blobs/sha256")) {
        if name.starts_with(".kiln-") {
            continue;
        }
        let bytes = fs::read(dir.join("blobs/sha256").join(&name)).expect("read");
        assert_eq!(Digest::of(&bytes).hex().to_string(), name, "a blob is not whole");
    }
}

/// All that a record leads to is there, and whole.
pub fn record_is_whole(layout: &Layout, tag: &str) -> usize {
    let record = record::read(layout, tag, Detail::About).expect("a record");
    for entry in &record.entries {
        assert!(!entry.about.step.is_empty(), "{entry:?}");
        let Some(layer) = &entry.layer else { continue };
        let mut bytes = Vec::new();
        let mut blob = layout.open(&layer.descriptor).expect("a blob");
        blob.read_to_end(&mut bytes).expect("its digest");
    }
    record.entries.len()
}
