//! A cache in a directory, under many processes at once that are killed at any moment: whoever looks
//! sees whole records and whole layers, what was written stays, and leftovers do not pile up.
//!
//! Each process is this program once more, told by its environment to write.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Lines, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use kiln::cache::backend::Layout;
use kiln::cache::record::{self, About, Detail, KeptLayer, Rivals};
use kiln::cache::{Backend, Content, Entry, Key, LayerPlace};
use kiln::cancel::Cancel;
use kiln::digest::Digest;
use kiln::image::Descriptor;

const WRITE_TO: &str = "KILN_TEST_WRITE_TO";
const NUMBER: &str = "KILN_TEST_NUMBER";
const TAG: &str = "kiln";
const WRITERS: usize = 32;
const KILLS: usize = 200;
const AT_MOST: Duration = Duration::from_secs(12);

/// The bytes of a layer, which tell its name: larger than one write.
fn layer(name: &str) -> Vec<u8> {
    let line = format!("{name}\n");
    line.as_bytes().iter().copied().cycle().take(40_000 + line.len() * 100).collect()
}

fn entry(name: &str, bytes: &[u8]) -> Entry {
    let kind = "application/vnd.oci.image.layer.v1.tar+gzip";
    let descriptor = Descriptor::new(kind, Digest::of(bytes), bytes.len() as u64);
    Entry {
        facts: kiln::cache::facts::Facts::default(),
        key: Key(Digest::of(name.as_bytes())),
        below: Digest::of(b"below"),
        sources: Vec::new(),
        layer: Some(KeptLayer { descriptor, diff_id: Digest::of(name.as_bytes()) }),
        created: "2026-01-01T00:00:00Z".into(),
        used: 1,
        about: About { step: name.to_owned(), inputs: Vec::new() },
    }
}

/// Writes entries until it is killed, and says each that is written.
#[test]
fn writer() {
    let Ok(dir) = std::env::var(WRITE_TO) else { return };
    let number = std::env::var(NUMBER).expect("a number");
    let layout = Layout::new(PathBuf::from(&dir), Cancel::default());
    let scratch = Path::new(&dir).with_extension("scratch").join(&number);
    for round in 0.. {
        let name = format!("{number}.{round}");
        let bytes = layer(&name);
        let entry = entry(&name, &bytes);
        let blob = entry.layer.clone().expect("a layer").descriptor;
        // By turns as a link, and as bytes.
        if round % 2 == 0 {
            std::fs::write(&scratch, &bytes).expect("written");
            layout.keep(&blob, Content::File(&scratch), None, &|_| {}).expect("kept");
            std::fs::remove_file(&scratch).expect("removed");
        } else {
            layout.keep(&blob, Content::Bytes(&bytes), None, &|_| {}).expect("kept");
        }
        record::write(&layout, TAG, &mut |record| record.merge(vec![entry.clone()], Rivals::Keep))
            .expect("written");
        // One write, so that a line is whole or not there. Not by println, which the harness keeps.
        let line = format!("wrote {name}\n");
        std::io::stderr().write_all(line.as_bytes()).expect("a pipe");
    }
}

fn start(dir: &Path, number: usize) -> Child {
    Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "writer", "--nocapture", "--test-threads=1"])
        .env(WRITE_TO, dir)
        .env(NUMBER, number.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("started")
}

/// What a process says until it is killed; it must not say anything else.
struct Said(Lines<BufReader<ChildStderr>>);

impl Said {
    fn of(child: &mut Child) -> Self {
        Self(BufReader::new(child.stderr.take().expect("a pipe")).lines())
    }
}

impl Iterator for Said {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        let line = self.0.next()?.ok()?;
        match line.strip_prefix("wrote ") {
            Some(name) => Some(name.to_owned()),
            None => panic!("a writer failed: {line}"),
        }
    }
}

/// The steps of the record, all of whose layers are whole.
fn look(layout: &Layout) -> BTreeMap<String, Descriptor> {
    let record = record::read(layout, TAG, Detail::About).expect("a record that is whole");
    let entries = record.entries.into_iter().map(|entry| {
        let blob = entry.layer.expect("a layer").descriptor;
        (entry.about.step, blob)
    });
    entries.filter(|(step, _)| !step.is_empty()).collect()
}

fn check(layout: &Layout, name: &str, blob: &Descriptor) {
    assert!(matches!(layout.layer(blob), Some(LayerPlace::File(_))), "{name} has lost its layer");
    let mut bytes = Vec::new();
    layout.open(blob).expect("opened").read_to_end(&mut bytes).expect("its digest");
    assert_eq!(bytes, layer(name), "{name} has another's layer");
}

#[test]
fn processes_that_are_killed_at_any_moment_lose_and_spoil_nothing() {
    let temp = tempfile::tempdir().expect("temp");
    let dir = temp.path().join("cache");
    std::fs::create_dir(dir.with_extension("scratch")).expect("made");
    let layout = Layout::new(dir.clone(), Cancel::default());
    let (started, killed, done) =
        (AtomicUsize::new(0), AtomicUsize::new(0), AtomicBool::new(false));
    let begin = Instant::now();
    let written: Vec<String> = thread::scope(|scope| {
        let writers = (0..WRITERS).map(|_| {
            scope.spawn(|| {
                let mut all = Vec::new();
                while killed.load(Ordering::Relaxed) < KILLS && begin.elapsed() < AT_MOST {
                    let mut child = start(&dir, started.fetch_add(1, Ordering::Relaxed));
                    // However slow the machine is, something is written.
                    let mut said = Said::of(&mut child);
                    let before = if all.is_empty() { 2 } else { fastrand::usize(0..8) };
                    all.extend(said.by_ref().take(before));
                    thread::sleep(Duration::from_millis(fastrand::u64(0..60)));
                    child.kill().expect("still there");
                    all.extend(said);
                    child.wait().expect("ended");
                    killed.fetch_add(1, Ordering::Relaxed);
                }
                all
            })
        });
        let writers: Vec<_> = writers.collect();
        let reader = scope.spawn(|| {
            let mut looks = 0;
            while !done.load(Ordering::Relaxed) {
                let seen = look(&layout);
                if let Some((name, blob)) = seen.iter().nth(fastrand::usize(0..=seen.len())) {
                    check(&layout, name, blob);
                }
                looks += 1;
            }
            looks
        });
        let written = writers.into_iter().flat_map(|writer| writer.join().expect("a writer"));
        let written = written.collect();
        done.store(true, Ordering::Relaxed);
        assert!(reader.join().expect("a reader") > 0);
        written
    });
    let found = look(&layout);
    eprintln!(
        "{} kills, {} finished writes, {} entries",
        killed.load(Ordering::Relaxed),
        written.len(),
        found.len()
    );
    assert!(written.len() > WRITERS, "the processes wrote something: {}", written.len());
    for name in &written {
        let blob = found.get(name).unwrap_or_else(|| panic!("{name} is lost"));
        check(&layout, name, blob);
    }
    // One more write cleans up.
    let bytes = layer("last");
    layout
        .keep(
            &entry("last", &bytes).layer.expect("one").descriptor,
            Content::Bytes(&bytes),
            None,
            &|_| {},
        )
        .expect("kept");
    record::write(&layout, TAG, &mut |record| {
        record.merge(vec![entry("last", &bytes)], Rivals::Keep)
    })
    .expect("written");
    assert_eq!(std::fs::read_dir(dir.join(".kiln/tmp")).expect("there").count(), 0);
    // What is superseded goes, and nothing else does.
    layout.sweep(Duration::ZERO).expect("swept");
    let (_, loose) = layout.blobs_and_loose().expect("read");
    assert_eq!(loose.blobs, 0);
    let after = look(&layout);
    assert_eq!(after.len(), found.len() + 1);
    after.iter().for_each(|(name, blob)| check(&layout, name, blob));
}
