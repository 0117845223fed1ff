//! What stands at a path of a tree.

use std::collections::BTreeMap;
use std::fmt;

/// A tree: paths relative to its root, without a slash at either end, to what stands there.
pub type Objects = BTreeMap<String, Object>;

/// Type of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// A symbolic link.
    Symlink,
    /// A named pipe.
    Fifo,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
}

/// What stands at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Type.
    pub kind: Kind,
    /// Permissions with the set-id and sticky bits. 777 for symbolic links, which have none.
    pub mode: u32,
    /// User.
    pub uid: u64,
    /// Group.
    pub gid: u64,
    /// Modification time in seconds since 1970. Differences do not count, see [`super::diff`].
    pub mtime: i64,
    /// Target of a symbolic link.
    pub target: String,
    /// Size of a regular file in bytes.
    pub size: u64,
    /// `sha256:...` of a regular file's content.
    pub sha256: String,
    /// Major and minor number of a device.
    pub device: (u64, u64),
    /// Extended attributes.
    pub xattrs: BTreeMap<String, Vec<u8>>,
    /// The first path of this file, in alphabetical order, if it has others (hard links).
    pub same_as: Option<String>,
}

impl Object {
    /// A thing without properties.
    pub(crate) fn new(kind: Kind, mode: u32) -> Self {
        Self {
            kind,
            mode,
            uid: 0,
            gid: 0,
            mtime: 0,
            target: String::new(),
            size: 0,
            sha256: String::new(),
            device: (0, 0),
            xattrs: BTreeMap::new(),
            same_as: None,
        }
    }

    /// Its properties with their names, for comparing and for showing.
    pub(crate) fn properties(&self) -> Vec<(String, String)> {
        let mut found = vec![
            ("kind".to_owned(), format!("{:?}", self.kind)),
            ("mode".to_owned(), format!("{:04o}", self.mode)),
            ("owner".to_owned(), format!("{}:{}", self.uid, self.gid)),
        ];
        let mut add = |name: &str, value: String| found.push((name.to_owned(), value));
        match self.kind {
            Kind::Symlink => add("target", self.target.clone()),
            Kind::CharDevice | Kind::BlockDevice => add("device", format!("{:?}", self.device)),
            Kind::File => {
                add("size", self.size.to_string());
                add("content", self.sha256.get(..19).unwrap_or_default().to_owned());
            }
            Kind::Dir | Kind::Fifo => {}
        }
        for (name, value) in &self.xattrs {
            add(name, value.escape_ascii().to_string());
        }
        if let Some(first) = &self.same_as {
            add("same file as", first.clone());
        }
        found
    }
}

impl fmt::Display for Object {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: Vec<_> = self.properties().into_iter().map(|(_, value)| value).collect();
        out.write_str(&shown.join(" "))
    }
}
