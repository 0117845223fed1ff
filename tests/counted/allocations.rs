//! What one more line, entry or file costs in allocations, from works of two sizes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use kiln::dockerfile::{self, Dockerfile};
use kiln::image::{ImageConfig, Platform};
use kiln::layer::{Entry, Kind, Metadata, TarReader, TarWriter, Timestamp, Whiteout};
use kiln::plan::{Graph, Inputs, Plan, plan};
use kiln::rootfs::diff::SinkError;
use kiln::rootfs::ignore::{Ignore, Trail};
use kiln::rootfs::{
    ChangeSink, Extract, Index, Overlay, Ownership, Root, Whiteouts, diff_upper, extract,
};

use super::allocator::allocations;
use super::table;
use super::trace::Counts;

/// Allocations for so many more items.
fn growth(sizes: [usize; 2], work: impl Fn(usize) -> u64) -> u64 {
    let [few, many] = sizes.map(work);
    // Of a hundred, since a fraction matters too; rounded, since a vector grows now and then.
    (many.saturating_sub(few) * 100).div_ceil((sizes[1] - sizes[0]) as u64)
}

#[test]
fn for_each_item() {
    let mut counts = Counts::new();
    let mut add = |what: &str, sizes: [usize; 2], work: fn(usize) -> u64| {
        counts.insert(format!("for 100 {what}"), growth(sizes, work));
    };
    add("lines parsed", [200, 1000], |lines| {
        let text = text(lines);
        allocations(|| parsed(&text))
    });
    add("lines planned", [200, 1000], |lines| {
        let file = parsed(&text(lines));
        allocations(|| planned(&file))
    });
    add("entries written", [1000, 5000], |count| {
        let entries: Vec<Entry> = (0..count).map(entry).collect();
        allocations(|| archive(&entries))
    });
    add("entries read", [1000, 5000], |count| {
        let tar = archive_of(count);
        allocations(|| assert_eq!(entries_in(&tar), count))
    });
    add("entries indexed", [1000, 5000], |count| {
        let tar = archive_of(count);
        allocations(|| {
            let mut index = Index::default();
            index.apply(&mut TarReader::new(&*tar)).unwrap();
            index
        })
    });
    add("paths that no rule ignores", [1000, 5000], |count| {
        let ignore = Ignore::parse(b"**/node_modules\n*.log\n!keep.log\nbuild/out\n").unwrap();
        let paths: Vec<PathBuf> = (0..count).map(path).collect();
        let top = ignore.enter(&Trail::default(), Path::new("data"));
        allocations(|| assert!(!paths.iter().any(|path| ignore.matches_in(&top, path).unwrap())))
    });
    table::check("allocations", &counts);
}

#[test]
fn for_each_file() {
    let mut counts = Counts::new();
    let mut add = |what: &str, work: fn(usize) -> u64| {
        counts.insert(format!("for 100 {what}"), growth([200, 1000], work));
    };
    add("files unpacked", |count| {
        let (tar, dir) = (archive_of(count), tempfile::tempdir().unwrap());
        allocations(|| unpack(&tar, dir.path()))
    });
    add("files that a command wrote", |count| {
        let (dir, below) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir(dir.path().join("data")).unwrap();
        for number in 0..count {
            fs::write(dir.path().join(path(number)), "content\n").unwrap();
        }
        let (upper, lower) = (Root::open(dir.path()).unwrap(), Root::open(below.path()).unwrap());
        let style = Overlay { userxattr: !rustix::process::geteuid().is_root() };
        let mut sink = Counter::default();
        let made = allocations(|| {
            diff_upper(&upper, &lower, style, &BTreeSet::new(), &mut sink).unwrap();
        });
        assert_eq!(sink.files, count + 1);
        made
    });
    table::check("allocations on disk", &counts);
}

fn text(lines: usize) -> String {
    let mut text = "FROM base\nARG VERSION=1\n".to_owned();
    for number in 2..lines {
        let line = match number % 4 {
            0 => format!("RUN make part{number} VERSION=$VERSION && rm -rf /tmp/part{number}"),
            1 => format!("ENV NAME{number}=value-${{VERSION}}"),
            2 => format!("COPY --chown=1:1 src/part{number} /app/part{number}"),
            _ => format!("LABEL org.example.part{number}=\"$VERSION\""),
        };
        writeln!(text, "{line}").expect("memory");
    }
    text
}

fn parsed(text: &str) -> Dockerfile {
    dockerfile::parse(text.as_bytes()).unwrap()
}

fn planned(file: &Dockerfile) -> Plan {
    let inputs = Inputs {
        path: "Dockerfile".into(),
        args: BTreeMap::new(),
        target: None,
        platform: Platform::host(),
        labels: Vec::new(),
        contexts: BTreeMap::new(),
    };
    let graph = Graph::new(file, &inputs).unwrap();
    let base = ImageConfig::scratch(&Platform::host());
    let bases = graph.images.keys().map(|key| (key.clone(), base.clone())).collect();
    plan(file, &inputs, &graph, &bases).unwrap()
}

fn path(number: usize) -> PathBuf {
    format!("data/file{number:06}").into()
}

fn entry(number: usize) -> Entry {
    let mtime = Timestamp::from_secs(1_700_000_000);
    let meta = Metadata { mode: 0o644, mtime, ..Metadata::default() };
    Entry { path: path(number), meta, kind: Kind::File { size: 8 } }
}

fn archive(entries: &[Entry]) -> Vec<u8> {
    let mut tar = TarWriter::new(Vec::new());
    for entry in entries {
        tar.append(entry, &mut &b"content\n"[..]).unwrap();
    }
    tar.finish().unwrap()
}

fn archive_of(count: usize) -> Vec<u8> {
    archive(&(0..count).map(entry).collect::<Vec<_>>())
}

fn entries_in(tar: &[u8]) -> usize {
    let mut reader = TarReader::new(tar);
    let mut count = 0;
    while let Some(mut entry) = reader.next().unwrap() {
        assert_eq!(io::copy(&mut entry, &mut io::sink()).unwrap(), 8);
        count += 1;
    }
    count
}

fn unpack(tar: &[u8], dir: &Path) {
    let root = Root::open(dir).unwrap();
    let how = Extract::new(Whiteouts::Apply, Ownership::Ignore);
    extract(&mut TarReader::new(tar), &root, &how).unwrap();
}

#[derive(Debug, Default)]
struct Counter {
    files: usize,
}

impl ChangeSink for Counter {
    fn file(&mut self, _: &Entry, content: &mut dyn Read) -> Result<(), SinkError> {
        self.files += 1;
        io::copy(content, &mut io::sink())?;
        Ok(())
    }

    fn whiteout(&mut self, whiteout: &Whiteout) -> Result<(), SinkError> {
        panic!("nothing is gone: {whiteout:?}");
    }
}
