//! Snapshots that travel between directories, through a place in memory.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{Cursor, Read};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tempfile::TempDir;

use super::{Memory, MountKey, Travel, Workplace};
use crate::cache::backend::{Change, Document, LayerPlace};
use crate::cache::library::Place;
use crate::cache::{Backend, CacheError, Content};
use crate::cancel::Cancel;
use crate::digest::Digest;
use crate::dockerfile::Sharing;
use crate::event::{Event, Observer, Reporter};
use crate::image::Descriptor;
use crate::plan::CacheMount;
use crate::registry::Repository;
use crate::request::MountLimits;
use crate::rootfs::Ownership;

/// A place in memory.
#[derive(Debug, Default)]
struct Shelf {
    documents: Mutex<BTreeMap<String, Document>>,
    blobs: Mutex<BTreeMap<Digest, Vec<u8>>>,
    /// Bytes that were kept, and the number of questions for documents.
    sent: Mutex<u64>,
    asked: Mutex<usize>,
}

impl Backend for Shelf {
    fn name(&self) -> String {
        "shelf".into()
    }

    fn document(&self, name: &str) -> Result<Option<Document>, CacheError> {
        *self.asked.lock().unwrap() += 1;
        Ok(self.documents.lock().unwrap().get(name).cloned())
    }

    fn document_by_digest(&self, _: &Digest) -> Result<Option<Document>, CacheError> {
        Ok(None)
    }

    fn keep_document(&self, _: &Document) -> Result<(), CacheError> {
        Ok(())
    }

    fn update(&self, name: &str, change: &mut Change<'_>) -> Result<(), CacheError> {
        let mut documents = self.documents.lock().unwrap();
        if let Some(new) = change(documents.get(name))? {
            documents.insert(name.to_owned(), new);
        }
        Ok(())
    }

    fn open(&self, blob: &Descriptor) -> Result<Box<dyn Read + Send>, CacheError> {
        let blobs = self.blobs.lock().unwrap();
        let bytes = blobs.get(&blob.digest).cloned().ok_or_else(|| CacheError::NotACache {
            place: "shelf".into(),
            reason: "a blob is gone".into(),
        })?;
        Ok(Box::new(Cursor::new(bytes)))
    }

    fn keep(
        &self,
        blob: &Descriptor,
        content: Content<'_>,
        _: Option<&Repository>,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<(), CacheError> {
        let bytes = match content {
            Content::File(path) => fs::read(path).unwrap(),
            Content::Later(make) => fs::read(make().unwrap()).unwrap(),
            Content::Bytes(bytes) | Content::Constant(bytes) => bytes.to_vec(),
        };
        assert_eq!((Digest::of(&bytes), bytes.len() as u64), (blob.digest, blob.size));
        if self.blobs.lock().unwrap().insert(blob.digest, bytes).is_none() {
            *self.sent.lock().unwrap() += blob.size;
            progress(blob.size);
        }
        Ok(())
    }

    fn layer(&self, layer: &Descriptor) -> Option<LayerPlace> {
        let is_there = self.blobs.lock().unwrap().contains_key(&layer.digest);
        let repository = Repository { registry: "shelf".into(), name: "shelf".into() };
        is_there.then_some(LayerPlace::Repository(repository))
    }
}

impl Shelf {
    /// Bytes that were sent since the last question.
    fn sent(&self) -> u64 {
        std::mem::take(&mut self.sent.lock().unwrap())
    }
}

#[derive(Default)]
struct Heard(Mutex<Vec<String>>);

impl Observer for Heard {
    fn on(&self, event: Event<'_>) {
        if let Event::Warning(text) | Event::Note(text) = event {
            self.0.lock().unwrap().push(text.to_owned());
        }
    }
}

/// A machine, and the place that it shares with others.
struct Machine {
    dir: TempDir,
    travel: Travel,
    heard: Arc<Heard>,
}

const LIMITS: MountLimits = MountLimits { size: 1 << 30, age: Duration::from_secs(30 * 24 * 3600) };

impl Machine {
    fn new(shelf: &Arc<Shelf>) -> Self {
        Self::with(shelf, LIMITS)
    }

    fn with(shelf: &Arc<Shelf>, limits: MountLimits) -> Self {
        let backend: Arc<dyn Backend> = shelf.clone();
        let places = vec![Place { backend, name: "kiln".into() }];
        let heard = Arc::new(Heard::default());
        let reporter = Reporter::new(heard.clone());
        let travel = Travel::new(places.clone(), places, limits, reporter, Cancel::default());
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("scratch")).unwrap();
        fs::create_dir(dir.path().join("c")).unwrap();
        Self { dir, travel, heard }
    }

    fn bring(&self) -> Option<Memory> {
        let scratch = &self.dir.path().join("scratch");
        let at = Workplace { scratch, ownership: Ownership::Ignore };
        let brought = self.travel.bring(&key(), &self.cache(), at, &Cancel::default())?;
        assert!(brought.is_exact);
        Some(brought.memory)
    }

    fn save(&self, memory: Memory) -> Option<Memory> {
        let scratch = &self.dir.path().join("scratch");
        let at = Workplace { scratch, ownership: Ownership::Ignore };
        let saved = self.travel.save(&key(), &self.cache(), memory, at);
        assert_eq!(fs::read_dir(scratch).unwrap().count(), 0, "something is left");
        saved
    }

    fn cache(&self) -> std::path::PathBuf {
        self.dir.path().join("c")
    }

    fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.cache().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn heard(&self) -> Vec<String> {
        std::mem::take(&mut self.heard.0.lock().unwrap())
    }
}

fn key() -> MountKey {
    let mount = CacheMount {
        target: "/c".into(),
        id: "//c".into(),
        sharing: Sharing::Shared,
        seed: None,
        source: "/".into(),
        read_only: false,
        mode: None,
        uid: None,
        gid: None,
    };
    MountKey::new(&mount, "id //c\n", "linux/amd64")
}

fn random(seed: u64, length: usize) -> Vec<u8> {
    let mut numbers = fastrand::Rng::with_seed(seed);
    std::iter::repeat_with(|| numbers.u8(..)).take(length).collect()
}

/// Everything below a directory that a program could tell apart.
fn listing(dir: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    let mut pending = vec![dir.to_owned()];
    while let Some(path) = pending.pop() {
        let meta = fs::symlink_metadata(&path).unwrap();
        let name = path.strip_prefix(dir).unwrap().display().to_string();
        let what = if meta.is_dir() {
            pending.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            String::new()
        } else if meta.is_symlink() {
            fs::read_link(&path).unwrap().display().to_string()
        } else {
            format!("{} {}", meta.nlink(), Digest::of(&fs::read(&path).unwrap()))
        };
        let (mode, secs, nanos) = (meta.mode(), meta.mtime(), meta.mtime_nsec());
        lines.push(format!("{name} {mode:o} {secs}.{nanos} {what}"));
    }
    lines.sort();
    lines
}

#[test]
fn what_was_there_is_there_again() {
    let shelf = Arc::default();
    let one = Machine::new(&shelf);
    one.write("deep/er/file", "text");
    one.write("large", random(1, 3_000_000));
    one.write("empty", "");
    one.write("same", "text");
    fs::hard_link(one.cache().join("deep/er/file"), one.cache().join("zlink")).unwrap();
    symlink("../outside", one.cache().join("soft")).unwrap();
    let mode = fs::Permissions::from_mode(0o4751);
    fs::set_permissions(one.cache().join("large"), mode).unwrap();
    fs::set_permissions(one.cache().join("deep"), fs::Permissions::from_mode(0o700)).unwrap();
    one.save(Memory::default()).unwrap();
    let other = Machine::new(&shelf);
    let memory = other.bring().unwrap();
    // What runs as somebody else does not.
    let mode = fs::Permissions::from_mode(0o751);
    fs::set_permissions(one.cache().join("large"), mode).unwrap();
    assert_eq!(listing(&other.cache()), listing(&one.cache()));
    // Nothing is new: nothing is written, and nobody is asked.
    shelf.sent();
    *shelf.asked.lock().unwrap() = 0;
    assert!(other.save(memory).is_none());
    assert_eq!((shelf.sent(), *shelf.asked.lock().unwrap()), (0, 0));
    assert!(other.heard().is_empty());
}

#[test]
fn a_file_that_looks_as_it_did_is_not_read_and_one_that_changed_is_sent_in_part() {
    let shelf = Arc::default();
    let one = Machine::new(&shelf);
    for number in 0..50 {
        one.write(&format!("{number}"), random(number, 100_000));
    }
    one.write("large", random(99, 8_000_000));
    one.save(Memory::default()).unwrap();
    let first = shelf.sent();
    assert!(first > 13_000_000, "{first}");
    let other = Machine::new(&shelf);
    let memory = other.bring().unwrap();
    let root = crate::rootfs::Root::open(&other.cache()).unwrap();
    let scan = super::scan::scan(&root, &memory, &Cancel::default()).unwrap();
    assert_eq!(scan.read, 0);
    other.write("new", random(1000, 1000));
    let memory = other.save(memory).unwrap();
    let small = shelf.sent();
    assert!((1_000..6_000).contains(&small), "{small}");
    let mut large = random(99, 8_000_000);
    large.splice(4_000_000..4_000_000, *b"inserted");
    other.write("large", &large);
    other.save(memory).unwrap();
    let middle = shelf.sent();
    assert!(middle < 1_000_000, "{middle}");
    let third = Machine::new(&shelf);
    third.bring().unwrap();
    assert_eq!(listing(&third.cache()), listing(&other.cache()));
}

#[test]
fn what_is_known_outlives_the_process() {
    let shelf = Arc::default();
    let one = Machine::new(&shelf);
    one.write("d/f", random(1, 500_000));
    symlink("d", one.cache().join("s")).unwrap();
    fs::hard_link(one.cache().join("d/f"), one.cache().join("h")).unwrap();
    std::thread::sleep(super::scan::GRAIN + Duration::from_millis(5));
    let memory = one.save(Memory::default()).unwrap();
    let path = one.dir.path().join("known");
    memory.write(&path).unwrap();
    let read = Memory::read(&path).unwrap();
    assert_eq!(read.seen, memory.seen);
    assert_eq!((&read.packs, &read.kept), (&memory.packs, &memory.kept));
    let root = crate::rootfs::Root::open(&one.cache()).unwrap();
    assert_eq!(super::scan::scan(&root, &read, &Cancel::default()).unwrap().read, 0);
    assert!(one.save(read).is_none());
    fs::write(&path, "damaged").unwrap();
    assert!(Memory::read(&path).is_none() && Memory::read(Path::new("/nowhere")).is_none());
}

#[test]
fn of_two_that_save_at_the_same_time_one_wins_whole() {
    let shelf: Arc<Shelf> = Arc::default();
    let base = Machine::new(&shelf);
    base.write("base", random(1, 200_000));
    base.save(Memory::default()).unwrap();
    let machines: Vec<(Machine, Memory)> = (0..4)
        .map(|_| {
            let machine = Machine::new(&shelf);
            let memory = machine.bring().unwrap();
            (machine, memory)
        })
        .collect();
    std::thread::scope(|scope| {
        for (number, (machine, memory)) in machines.into_iter().enumerate() {
            scope.spawn(move || {
                let mut memory = memory;
                for round in 0..8_u64 {
                    let seed = 100 * number as u64 + round;
                    for file in ["a", "b"] {
                        machine.write(file, format!("{number} {round}"));
                        machine.write(&format!("{file}.large"), random(seed, 90_000));
                    }
                    memory = machine.save(memory).unwrap();
                    assert!(machine.heard().is_empty());
                }
            });
        }
        for _ in 0..12 {
            let reader = Machine::new(&shelf);
            reader.bring().unwrap();
            let read = |name: &str| fs::read(reader.cache().join(name)).ok();
            assert_eq!(read("a"), read("b"));
            assert_eq!(read("a.large"), read("b.large"));
            assert_eq!(read("base"), Some(random(1, 200_000)));
        }
    });
}

#[test]
fn a_pack_that_others_took_away_is_sent_again() {
    let shelf: Arc<Shelf> = Arc::default();
    let one = Machine::new(&shelf);
    one.write("a", random(1, 300_000));
    let memory = one.save(Memory::default()).unwrap();
    // Somebody else saves something else, and what is not named any more is cleaned away.
    let stranger = Machine::new(&shelf);
    stranger.write("b", "b");
    stranger.save(Memory::default()).unwrap();
    let named: Vec<u8> =
        shelf.documents.lock().unwrap().values().flat_map(|it| it.bytes.clone()).collect();
    let named = String::from_utf8(named).unwrap();
    shelf.blobs.lock().unwrap().retain(|digest, _| named.contains(&digest.hex()));
    one.write("c", "c");
    one.save(memory).unwrap();
    let other = Machine::new(&shelf);
    other.bring().unwrap();
    assert_eq!(listing(&other.cache()), listing(&one.cache()));
}

#[test]
fn a_pack_that_is_named_and_gone_is_sent_again() {
    let shelf: Arc<Shelf> = Arc::default();
    let one = Machine::new(&shelf);
    one.write("a", random(1, 300_000));
    let memory = one.save(Memory::default()).unwrap();
    let pack = memory.packs[0].descriptor.digest;
    shelf.blobs.lock().unwrap().remove(&pack).unwrap();
    one.write("b", "b");
    one.save(memory).unwrap();
    let other = Machine::new(&shelf);
    other.bring().unwrap();
    assert_eq!(listing(&other.cache()), listing(&one.cache()));
}

#[test]
fn what_is_there_already_is_known_from_then_on() {
    let shelf: Arc<Shelf> = Arc::default();
    let one = Machine::new(&shelf);
    one.write("a", "a");
    one.save(Memory::default()).unwrap();
    shelf.sent();
    // As a machine that stays and has lost what it knew.
    let memory = one.save(Memory::default()).unwrap();
    *shelf.asked.lock().unwrap() = 0;
    assert!(one.save(memory).is_none());
    assert_eq!((shelf.sent(), *shelf.asked.lock().unwrap()), (0, 0));
}

#[test]
fn that_kiln_reads_a_file_is_no_use() {
    let shelf: Arc<Shelf> = Arc::default();
    let one = Machine::new(&shelf);
    one.write("a", random(1, 100_000));
    let times = fs::FileTimes::new().set_accessed(std::time::SystemTime::UNIX_EPOCH);
    let file = fs::File::options().append(true).open(one.cache().join("a")).unwrap();
    file.set_times(times).unwrap();
    one.save(Memory::default()).unwrap();
    assert_eq!(fs::metadata(one.cache().join("a")).unwrap().atime(), 0);
}

#[test]
fn who_has_been_told_to_stop_asks_nobody() {
    let shelf: Arc<Shelf> = Arc::default();
    let one = Machine::new(&shelf);
    let scratch = &one.dir.path().join("scratch");
    let at = Workplace { scratch, ownership: Ownership::Ignore };
    let cancel = Cancel::default();
    cancel.cancel();
    assert!(one.travel.bring(&key(), &one.cache(), at, &cancel).is_none());
    let backend: Arc<dyn Backend> = shelf.clone();
    one.travel.leave_out(&Place { backend, name: "kiln".into() });
    assert!(one.bring().is_none());
    assert_eq!(*shelf.asked.lock().unwrap(), 0);
}

#[test]
fn what_cannot_be_used_is_a_warning_and_an_empty_cache() {
    let shelf: Arc<Shelf> = Arc::default();
    let one = Machine::new(&shelf);
    one.write("a", random(1, 300_000));
    one.save(Memory::default()).unwrap();
    let good = shelf.blobs.lock().unwrap().clone();
    // Nobody reads the config.
    let config = super::manifest::config().digest;
    let digests: Vec<Digest> = good.keys().copied().filter(|it| *it != config).collect();
    assert_eq!(digests.len(), 2);
    for digest in digests {
        for damage in 0..4 {
            let mut blobs = good.clone();
            let bytes = blobs.get_mut(&digest).unwrap();
            match damage {
                0 => bytes.truncate(bytes.len() / 2),
                1 => bytes.extend_from_slice(b"more"),
                2 => bytes.clear(),
                _ => _ = blobs.remove(&digest),
            }
            *shelf.blobs.lock().unwrap() = blobs;
            let other = Machine::new(&shelf);
            assert!(other.bring().is_none());
            let heard = other.heard();
            assert!(heard.len() == 1 && heard[0].contains("/c begins empty"), "{heard:?}");
        }
    }
    *shelf.blobs.lock().unwrap() = good;
    let small = Machine::with(&shelf, MountLimits { size: 299_999, ..LIMITS });
    assert!(small.bring().is_none());
    assert!(small.heard()[0].contains("more bytes than a cache may keep here"));
    // What was saved too long ago is as good as none.
    let impatient = Machine::with(&shelf, MountLimits { age: Duration::ZERO, ..LIMITS });
    std::thread::sleep(Duration::from_millis(1100));
    assert!(impatient.bring().is_none() && impatient.heard().is_empty());
}

#[test]
fn limits_are_kept_and_told() {
    let shelf: Arc<Shelf> = Arc::default();
    let one = Machine::with(&shelf, MountLimits { size: 250_000, ..LIMITS });
    for (name, size) in [("a", 100_000), ("b", 110_000), ("c", 120_000)] {
        one.write(name, random(size as u64, size));
    }
    one.save(Memory::default()).unwrap();
    let heard = one.heard();
    assert!(heard.len() == 1 && heard[0].contains("1 files with 120.0 kB"), "{heard:?}");
    let other = Machine::new(&shelf);
    other.bring().unwrap();
    let names: Vec<_> =
        fs::read_dir(other.cache()).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
}

#[test]
fn sockets_pipes_and_names_that_hide_others_stay_at_home() {
    let shelf: Arc<Shelf> = Arc::default();
    let one = Machine::new(&shelf);
    one.write("f", "f");
    one.write(".wh.f", "not a whiteout");
    let _socket = std::os::unix::net::UnixListener::bind(one.cache().join("socket")).unwrap();
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mkfifoat(rustix::fs::CWD, one.cache().join("pipe"), mode).unwrap();
    one.save(Memory::default()).unwrap();
    let other = Machine::new(&shelf);
    other.bring().unwrap();
    let names: Vec<_> =
        fs::read_dir(other.cache()).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert_eq!(names, ["f"]);
}
