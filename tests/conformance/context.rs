//! The directory that all cases are built from.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};
use tempfile::TempDir;
use testkit::tar::TarBytes;
use testkit::tree::Tree;

use crate::bases::CAPABILITY;
use crate::case::Case;

/// 2021-06-01; each file is a second younger than the one before.
const MTIME: i64 = 1_622_505_600;
/// Layers have whole seconds. A time that is rounded instead of cut shows here.
const NANOSECONDS: i64 = 700_000_000;

/// The context, and the directories with what the cases have of their own.
#[derive(Debug)]
pub struct Contexts {
    dir: TempDir,
}

impl Contexts {
    pub fn create(cases: &[Case]) -> io::Result<Self> {
        let dir = TempDir::with_prefix("conformance-")?;
        let contexts = Self { dir };
        write(tree()?, &contexts.shared())?;
        for case in cases {
            let dockerfile = contexts.dockerfile(case);
            fs::create_dir_all(dockerfile.parent().unwrap_or(Path::new("/")))?;
            fs::copy(&case.path, &dockerfile)?;
            if !case.ignore_of_file.is_empty() {
                let path = dockerfile.with_extension("dockerfile.dockerignore");
                fs::write(path, case.ignore_of_file.join("\n"))?;
            }
            if case.has_own_context() {
                let mut tree = tree()?;
                if !case.ignore.is_empty() {
                    tree = tree.file(".dockerignore", case.ignore.join("\n"));
                }
                if case.xattrs {
                    tree = xattrs(tree);
                }
                write(tree, &contexts.context(case))?;
            }
        }
        Ok(contexts)
    }

    /// The directory that COPY takes from.
    pub fn context(&self, case: &Case) -> PathBuf {
        match case.has_own_context() {
            true => self.dir.path().join("contexts").join(&case.name),
            false => self.shared(),
        }
    }

    pub fn dockerfile(&self, case: &Case) -> PathBuf {
        self.dir.path().join("dockerfiles").join(format!("{}.dockerfile", case.name))
    }

    fn shared(&self) -> PathBuf {
        self.dir.path().join("context")
    }
}

fn write(tree: Tree, dir: &Path) -> io::Result<()> {
    tree.write_to(dir)?;
    let mut now = MTIME;
    set_mtimes(dir, &mut now)
}

fn tree() -> io::Result<Tree> {
    let tree = Tree::new()
        .file("plain.txt", "plain text\n")
        .file("with space.txt", "a name with a space\n")
        .file("apple.txt", "a\n")
        .owner(1000, 1000)
        .file("zebra.txt", "z\n")
        .file(".hidden", "hidden\n")
        .file("run.sh", "#!/bin/sh\necho run\n")
        .mode(0o755)
        .file("UPPER.TXT", "upper case\n")
        .file("notes.md", "notes\n")
        .file("brackets[1].txt", "in brackets\n");
    Ok(special(archives(links(directories(tree)))?))
}

fn directories(tree: Tree) -> Tree {
    tree.dir("dir")
        .file("dir/file", "in dir\n")
        .file("dir/a.sh", "echo a\n")
        .mode(0o755)
        .file("dir/b.sh", "echo b\n")
        .mode(0o700)
        .file("dir/long.sh", "echo long\n")
        .file("dir/.hidden", "hidden in dir\n")
        .file("dir/sub/one.md", "# one\n")
        .file("dir/sub/two.txt", "two\n")
        .file("dir/sub/deep/er/file", "deep\n")
        .mode(0o600)
        .dir("dir/sub/private")
        .mode(0o700)
        .file("dir2/sub/three.md", "# three\n")
        .file("dir2/sub/b.sh", "echo b of dir2\n")
        .owner(1000, 50)
        .file("dir2/ünïcödé", "name in UTF-8\n")
}

fn links(tree: Tree) -> Tree {
    tree.symlink("link.txt", "plain.txt")
        .symlink("linkdir", "dir")
        .symlink("links/file", "../plain.txt")
        .symlink("links/dir", "../dir")
        .symlink("links/dangling", "nowhere/at/all")
        .symlink("links/absolute", "/etc/passwd")
        .symlink("links/up", "../../../../etc/passwd")
        .symlink("chain1", "chain2")
        .symlink("chain2", "dir/sub")
        .file("hard/one", "one file, three names\n")
        .mode(0o640)
        .hardlink("hard/sub/two", "hard/one")
        .hardlink("hard/three", "hard/one")
        .file("hard/other", "alone\n")
}

fn special(tree: Tree) -> Tree {
    tree.file("special/setuid", "setuid\n")
        .mode(0o4755)
        .file("special/setgid", "setgid\n")
        .mode(0o2711)
        .dir("special/sticky")
        .mode(0o1777)
        .dir("special/setgid-dir")
        .mode(0o2755)
        .dir("special/empty-dir")
        .file("special/empty", "")
        .file("special/secret", "0600\n")
        .mode(0o600)
        .file("special/read-only", "0444\n")
        .mode(0o444)
        .file("special/nothing", "0000\n")
        .mode(0)
        .dir("special/closed")
        .mode(0o500)
        .file("special/world", "0666\n")
        .mode(0o666)
}

/// Not in every context: Docker 20.10 loses them, and that is to be said once.
fn xattrs(tree: Tree) -> Tree {
    tree.file("xattrs/noted", "with a note\n")
        .xattr("user.note", "a value")
        .file("xattrs/capable", "with a capability\n")
        .mode(0o755)
        .xattr("security.capability", CAPABILITY)
        .file("xattrs/plain", "without\n")
}

fn archives(tree: Tree) -> io::Result<Tree> {
    let tar = archive().finish();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&tar)?;
    let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    bzip2.write_all(&tar)?;
    let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
    xz.write_all(&tar)?;
    let mut text = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    text.write_all(b"text, no archive\n")?;
    Ok(tree
        .file("archive.tar", &tar)
        .file("archive.tar.gz", gzip.finish()?)
        .file("archive.tar.bz2", bzip2.finish()?)
        .file("archive.tar.xz", xz.finish()?)
        .file("fake.tar", "text, no archive\n")
        .file("notar.gz", text.finish()?))
}

/// For ADD. Directories above a path are missing where Docker makes them itself.
fn archive() -> TarBytes {
    const MTIME: u64 = 1_500_000_000;
    TarBytes::new()
        .dir("dir")
        .mode(0o2750)
        .owner(1000, 50)
        .mtime(MTIME)
        .file("dir/file", "from the archive\n")
        .owner(1000, 1000)
        .mtime(MTIME + 1)
        .file("dir/setuid", "setuid\n")
        .mode(0o4711)
        .mtime(MTIME + 2)
        .hardlink("dir/hard", "dir/file")
        .owner(1000, 1000)
        .mtime(MTIME + 1)
        .symlink("dir/link", "file")
        .symlink("absolute", "/etc/passwd")
        .fifo("pipe")
        .file("implied/parents/file", "deep\n")
        .mode(0o600)
        .mtime(MTIME + 3)
        .file("./dotted", "./ before the name\n")
        .mtime(MTIME + 4)
        .file("capable", "")
        .xattr("security.capability", CAPABILITY)
        .mtime(MTIME + 5)
        .file(format!("{}/file", "long-name".repeat(15)), "PAX\n")
        .mtime(MTIME + 6)
}

/// Gives everything below a directory, and then the directory, a time of its own.
fn set_mtimes(dir: &Path, now: &mut i64) -> io::Result<()> {
    let mut entries = fs::read_dir(dir)?.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        match entry.file_type()?.is_dir() {
            true => set_mtimes(&entry.path(), now)?,
            false => {
                *now += 1;
                set_mtime(&entry.path(), *now)?;
            }
        }
    }
    *now += 1;
    set_mtime(dir, *now)
}

fn set_mtime(path: &Path, seconds: i64) -> io::Result<()> {
    let time = Timespec { tv_sec: seconds, tv_nsec: NANOSECONDS };
    let times = Timestamps { last_access: time, last_modification: time };
    let path = path.as_os_str().as_bytes();
    Ok(utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}
