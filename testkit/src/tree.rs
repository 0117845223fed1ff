//! Trees of files on disk: made for a test, and looked at afterwards.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, Uid, XattrFlags, chownat, lsetxattr, mknodat};

use crate::digest::sha256_of;
use crate::image::{Kind, Object, Objects};

/// A tree in the making. `mode`, `owner`, `mtime` and `xattr` change the thing before them.
/// Directories above a path need no mention.
///
/// ```
/// use testkit::tree::Tree;
///
/// let dir = tempfile::tempdir().unwrap();
/// Tree::new()
///     .file("Dockerfile", "FROM scratch\nCOPY . /\n")
///     .file("bin/tool", "#!/bin/sh\n").mode(0o755)
///     .symlink("bin/link", "tool")
///     .dir("empty")
///     .write_to(dir.path())
///     .unwrap();
/// assert!(dir.path().join("bin/link").exists());
/// ```
#[derive(Debug, Clone, Default)]
pub struct Tree {
    nodes: Vec<Node>,
}

#[derive(Debug, Clone)]
struct Node {
    path: String,
    what: What,
    mode: Option<u32>,
    owner: Option<(u32, u32)>,
    mtime: Option<u64>,
    xattrs: Vec<(String, Vec<u8>)>,
}

#[derive(Debug, Clone)]
enum What {
    File(Vec<u8>),
    Dir,
    Symlink(String),
    Hardlink(String),
    Fifo,
}

impl Tree {
    /// An empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// A regular file, mode 644.
    #[must_use]
    pub fn file(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        self.node(path, What::File(content.as_ref().to_vec()), Some(0o644))
    }

    /// A directory, mode 755.
    #[must_use]
    pub fn dir(self, path: &str) -> Self {
        self.node(path, What::Dir, Some(0o755))
    }

    /// A symbolic link.
    #[must_use]
    pub fn symlink(self, path: &str, target: &str) -> Self {
        self.node(path, What::Symlink(target.to_owned()), None)
    }

    /// A hard link to another path of the tree.
    #[must_use]
    pub fn hardlink(self, path: &str, target: &str) -> Self {
        self.node(path, What::Hardlink(target.to_owned()), None)
    }

    /// A named pipe.
    #[must_use]
    pub fn fifo(self, path: &str) -> Self {
        self.node(path, What::Fifo, Some(0o644))
    }

    /// Permissions of the last thing.
    #[must_use]
    pub fn mode(mut self, mode: u32) -> Self {
        self.last().mode = Some(mode);
        self
    }

    /// User and group of the last thing. Writing it needs root.
    #[must_use]
    pub fn owner(mut self, uid: u32, gid: u32) -> Self {
        self.last().owner = Some((uid, gid));
        self
    }

    /// Modification time of the last thing, not a link, in seconds since 1970.
    #[must_use]
    pub fn mtime(mut self, seconds: u64) -> Self {
        self.last().mtime = Some(seconds);
        self
    }

    /// An extended attribute of the last thing.
    #[must_use]
    pub fn xattr(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.last().xattrs.push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    /// Makes the tree in a directory, which is made if it is not there.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn write_to(&self, root: &Path) -> io::Result<()> {
        fs::create_dir_all(root)?;
        for node in &self.nodes {
            node.make(root)?;
        }
        // What is in a directory changes its time, and its mode may forbid to put something there.
        self.nodes.iter().rev().try_for_each(|node| node.finish(root))
    }

    fn node(mut self, path: &str, what: What, mode: Option<u32>) -> Self {
        let (path, xattrs) = (path.to_owned(), Vec::new());
        self.nodes.push(Node { path, what, mode, owner: None, mtime: None, xattrs });
        self
    }

    fn last(&mut self) -> &mut Node {
        match self.nodes.last_mut() {
            Some(node) => node,
            None => panic!("there is nothing before this call that it could change"),
        }
    }
}

impl Node {
    fn make(&self, root: &Path) -> io::Result<()> {
        let path = root.join(&self.path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        match &self.what {
            What::File(content) => File::create(&path)?.write_all(content),
            What::Dir => fs::create_dir_all(&path),
            What::Symlink(target) => symlink(target, &path),
            What::Hardlink(target) => fs::hard_link(root.join(target), &path),
            What::Fifo => Ok(mknodat(CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o600), 0)?),
        }
    }

    fn finish(&self, root: &Path) -> io::Result<()> {
        let path = root.join(&self.path);
        for (name, value) in &self.xattrs {
            lsetxattr(&path, name.as_str(), value, XattrFlags::empty())?;
        }
        if let Some((uid, gid)) = self.owner {
            let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
            chownat(CWD, &path, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
        }
        if let Some(mode) = self.mode {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
        }
        if let Some(seconds) = self.mtime {
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            File::open(&path)?.set_modified(time)?;
        }
        Ok(())
    }
}

/// What is below a directory, in the form in which images are read back.
///
/// # Errors
/// If something in it cannot be read.
pub fn scan(root: &Path) -> io::Result<Objects> {
    let mut objects = Objects::new();
    let mut inodes = HashMap::new();
    visit(root, "", &mut objects, &mut inodes)?;
    let mut names: HashMap<_, Vec<String>> = HashMap::new();
    for path in objects.keys() {
        names.entry(inodes[path]).or_default().push(path.clone());
    }
    for paths in names.into_values().filter(|paths| paths.len() > 1) {
        for path in &paths {
            if let Some(object) = objects.get_mut(path) {
                object.same_as = Some(paths[0].clone());
            }
        }
    }
    Ok(objects)
}

type Inodes = HashMap<String, (u64, u64)>;

fn visit(dir: &Path, prefix: &str, objects: &mut Objects, inodes: &mut Inodes) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
        let found = entry.metadata()?;
        objects.insert(path.clone(), read(&entry.path(), &found)?);
        inodes.insert(path.clone(), (found.dev(), found.ino()));
        if found.is_dir() {
            visit(&entry.path(), &format!("{path}/"), objects, inodes)?;
        }
    }
    Ok(())
}

fn read(path: &Path, found: &fs::Metadata) -> io::Result<Object> {
    let kind = match found.file_type() {
        t if t.is_dir() => Kind::Dir,
        t if t.is_symlink() => Kind::Symlink,
        t if t.is_fifo() => Kind::Fifo,
        t if t.is_char_device() => Kind::CharDevice,
        t if t.is_block_device() => Kind::BlockDevice,
        _ => Kind::File,
    };
    let mut object = Object::new(kind, found.mode() & 0o7777);
    (object.uid, object.gid) = (found.uid().into(), found.gid().into());
    object.mtime = found.mtime();
    match kind {
        Kind::File => (object.sha256, object.size) = sha256_of(File::open(path)?)?,
        Kind::Symlink => object.target = fs::read_link(path)?.to_string_lossy().into_owned(),
        Kind::CharDevice | Kind::BlockDevice => {
            let (major, minor) = (rustix::fs::major(found.rdev()), rustix::fs::minor(found.rdev()));
            object.device = (major.into(), minor.into());
        }
        Kind::Dir | Kind::Fifo => {}
    }
    object.xattrs = xattrs(path)?.into_iter().collect();
    Ok(object)
}

fn xattrs(path: &Path) -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut names = vec![0; 64 * 1024];
    let length = match rustix::fs::llistxattr(path, &mut names) {
        Err(rustix::io::Errno::OPNOTSUPP) => 0,
        other => other?,
    };
    let names = names[..length].split(|&byte| byte == 0).filter(|name| !name.is_empty());
    let read = |name: &[u8]| {
        let mut value = vec![0; 64 * 1024];
        let os_name = std::ffi::OsStr::from_bytes(name);
        let length = rustix::fs::lgetxattr(path, os_name, &mut value)?;
        value.truncate(length);
        Ok((os_name.to_string_lossy().into_owned(), value))
    };
    names.map(read).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_is_written_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let tree = Tree::new()
            .dir("locked")
            .mode(0o500)
            .mtime(5)
            .file("locked/file", "text")
            .mode(0o640)
            .mtime(7)
            .xattr("user.a", "b")
            .hardlink("again", "locked/file")
            .symlink("link", "nowhere")
            .fifo("pipe");
        tree.write_to(dir.path()).unwrap();
        let found = scan(dir.path()).unwrap();
        let paths: Vec<_> = found.keys().map(String::as_str).collect();
        assert_eq!(paths, ["again", "link", "locked", "locked/file", "pipe"]);
        let file = &found["locked/file"];
        assert_eq!((file.mode, file.mtime, file.size), (0o640, 7, 4));
        assert_eq!(file.xattrs["user.a"], b"b");
        assert_eq!(file.same_as.as_deref(), Some("again"));
        assert_eq!((found["locked"].mode, found["locked"].mtime), (0o500, 5));
        assert_eq!(found["link"].target, "nowhere");
        assert_eq!(found["pipe"].kind, Kind::Fifo);
    }
}
