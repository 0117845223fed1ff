//! A source directory, an image directory, and a way to write down what is in them: one line an
//! object, `kind mode path`, where it has one, with `= content` or `-> target`.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::layer::content::Tree;
use crate::layer::{Kind, Timestamp};
use crate::rootfs::copy::{CopyError, CopyRequest, CopySource, Owner, Unpack, copy};
use crate::rootfs::ignore::Ignore;
use crate::rootfs::root::Root;

/// When directories were made that had to be made.
pub(super) const CREATED: Timestamp = Timestamp { secs: 1_700_000_000, nanos: 0 };

pub(super) struct Fixture {
    dir: tempfile::TempDir,
    pub(super) ignore: Option<Ignore>,
    pub(super) owner: Owner,
}

impl Fixture {
    pub(super) fn new(source: &[&str], image: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        for (name, lines) in [("source", source), ("image", image), ("spool", &[])] {
            let root = dir.path().join(name);
            fs::create_dir(&root).expect("made");
            lines.iter().for_each(|line| make(&root, line));
        }
        Self { dir, ignore: None, owner: Owner::Context }
    }

    pub(super) fn ignoring(mut self, text: &str) -> Self {
        let list = Ignore::parse(text.as_bytes()).expect("good patterns");
        self.ignore = Some(list.with_origin(".dockerignore"));
        self
    }

    pub(super) fn owned_by(mut self, owner: Owner) -> Self {
        self.owner = owner;
        self
    }

    pub(super) fn source(&self, path: &str) -> PathBuf {
        self.dir.path().join("source").join(path)
    }

    /// Runs `COPY [--chmod=…] [--exclude=…] [--parents] source … dest`, or ADD. A source `<<name` is a heredoc
    /// with its name as its body.
    pub(super) fn plan(&self, line: &str) -> Result<Tree, CopyError> {
        let mut words: Vec<&str> = line.split(' ').collect();
        let unpack = match words.remove(0) {
            "ADD" => Unpack::Auto,
            _ => Unpack::Never,
        };
        let dest = words.pop().expect("a destination");
        let value = |name: &str| {
            words.iter().filter_map(|word| word.strip_prefix(name)).collect::<Vec<_>>()
        };
        let chmod = value("--chmod=").pop().map(|text| text.parse().expect("a mode"));
        let exclude: Vec<_> = value("--exclude=").into_iter().map(str::to_owned).collect();
        let sources = words.iter().filter(|word| !word.starts_with("--"));
        let sources = sources.map(|word| match word.strip_prefix("<<") {
            Some(name) => CopySource::Inline { name: name.into(), body: name.into() },
            None if words.contains(&"--parents") => CopySource::Parents((*word).to_owned()),
            None => CopySource::Path((*word).to_owned()),
        });
        let open = |name: &str| Root::open(&self.dir.path().join(name)).expect("opens");
        copy(&CopyRequest {
            sources: sources.collect(),
            dest,
            from: Arc::new(open("source")),
            ignore: self.ignore.as_ref(),
            target: &open("image"),
            owner: self.owner,
            chmod,
            unpack,
            exclude: &exclude,
            created: CREATED,
            spool: &self.dir.path().join("spool"),
        })
    }

    #[track_caller]
    pub(super) fn gives(&self, line: &str, expected: &[&str]) {
        match self.plan(line) {
            Ok(tree) => assert_eq!(listing(&tree), expected, "{line}"),
            Err(error) => panic!("{line}: {error}"),
        }
    }

    #[track_caller]
    pub(super) fn fails(&self, line: &str, expected: &str) -> CopyError {
        match self.plan(line) {
            Ok(tree) => panic!("{line}: {:?}", listing(&tree)),
            Err(error) => {
                assert_eq!(error.to_string(), expected, "{line}");
                error
            }
        }
    }
}

fn make(root: &Path, line: &str) {
    let (kind, rest) = line.split_once(' ').expect("a kind");
    let at = |path: &str| {
        let path = root.join(path);
        make_dirs(path.parent().expect("below the root"));
        path
    };
    if kind == "l" || kind == "h" {
        let (path, target) = rest.split_once(" -> ").expect("a target");
        let path = at(path);
        return match kind {
            "l" => symlink(target, path).expect("linked"),
            _ => fs::hard_link(root.join(target), path).expect("linked"),
        };
    }
    let (mode, rest) = rest.split_once(' ').expect("a mode");
    let (path, content) = rest.split_once(" = ").unwrap_or((rest, ""));
    let path = at(path);
    match kind {
        "d" => make_dirs(&path),
        _ => fs::write(&path, content).expect("written"),
    }
    let mode = u32::from_str_radix(mode, 8).expect("octal");
    fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("changed");
}

/// Makes what is missing with mode 0755, whatever the umask.
fn make_dirs(path: &Path) {
    if !path.exists() {
        make_dirs(path.parent().expect("below the root"));
        fs::create_dir(path).expect("made");
        fs::set_permissions(path, PermissionsExt::from_mode(0o755)).expect("changed");
    }
}

/// The tree, read to the last byte and checked to be sound: parents first, links to what is there.
pub(super) fn listing(tree: &Tree) -> Vec<String> {
    let mut lines = Vec::new();
    for (path, node) in tree {
        assert_eq!(*path, node.entry.path);
        let parent = path.parent().expect("the root is not in the tree");
        if !parent.as_os_str().is_empty() {
            assert_eq!(tree[parent].entry.kind, Kind::Dir, "above {}", path.display());
        }
        let mut content = Vec::new();
        let mut reader = node.content.open().expect("opens");
        std::io::copy(&mut reader, &mut content).expect("read");
        let content = String::from_utf8_lossy(&content);
        let (mode, path) = (node.entry.meta.mode, path.display());
        lines.push(match &node.entry.kind {
            Kind::Dir => format!("d {mode:o} {path}"),
            Kind::File { size } => {
                assert_eq!(*size, content.len() as u64, "{path}");
                if content.is_empty() {
                    format!("f {mode:o} {path}")
                } else {
                    format!("f {mode:o} {path} = {content}")
                }
            }
            Kind::Symlink(target) => format!("l {path} -> {}", target.display()),
            Kind::HardLink(first) => {
                assert!(first < &node.entry.path, "{path} comes before its content");
                assert!(matches!(tree[first].entry.kind, Kind::File { .. }));
                format!("h {path} -> {}", first.display())
            }
            Kind::Fifo => format!("p {mode:o} {path}"),
            kind => format!("{kind:?} {mode:o} {path}"),
        });
    }
    lines
}
