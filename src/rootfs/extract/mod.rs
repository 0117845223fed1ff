//! Unpacking one layer into one directory.
//!
//! Entries land where `place.rs` says. Directories are opened by their literal
//! path (openat2 refuses every link in it) and kept open for the entries that follow; objects are
//! made in them by a single name with O_EXCL or its like. So no name is ever followed, and nothing
//! that a layer contains can reach outside the root. What a directory needs once it is complete (its
//! time, and a mode that would lock us out) is done at the end, deepest first.

mod dirs;
mod links;
mod objects;
mod whiteouts;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::dirs::Dirs;
use super::entries::Entries;
use super::place::{PathError, Places, Step};
use super::root::Root;
use super::scan::Ledger;
use super::settle::{Ownership, SettleError};
use crate::layer::{Entry, Kind, Metadata};

/// Which entries of a layer are wanted, by the path at which they land and by what they are.
pub type Filter = Box<dyn Fn(&Path, &Kind) -> bool + Send + Sync>;

/// How a layer is unpacked.
pub struct Extract {
    /// What happens to what the layers below have.
    pub whiteouts: Whiteouts,
    /// What happens to owners.
    pub ownership: Ownership,
    /// Entries for which this is false are passed over; whiteouts are not asked about, and
    /// directories that a wanted entry needs are made all the same.
    pub filter: Option<Filter>,
    /// Where the content of a file goes that is not wanted itself but has a hard link that is:
    /// from the first path to the link's ([`Index::visible_parts`](super::Index::visible_parts)).
    pub relocate: BTreeMap<PathBuf, PathBuf>,
    /// More entries than this are an error.
    pub max_entries: u64,
    /// Where the content and attributes of every file that is written are noted, for a later
    /// [`Snapshot`](super::Snapshot) of the directory; nothing is hashed without it.
    pub ledger: Option<Arc<Ledger>>,
}

impl Extract {
    /// Far more than any image has, and few enough to end before the disk's inodes do.
    pub const MAX_ENTRIES: u64 = 20_000_000;

    /// Everything that the layer has.
    pub fn new(whiteouts: Whiteouts, ownership: Ownership) -> Self {
        Self {
            whiteouts,
            ownership,
            filter: None,
            relocate: BTreeMap::new(),
            max_entries: Self::MAX_ENTRIES,
            ledger: None,
        }
    }
}

impl fmt::Debug for Extract {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Extract")
            .field("whiteouts", &self.whiteouts)
            .field("ownership", &self.ownership)
            .field("filter", &self.filter.as_ref().map(|_| "…"))
            .field("relocate", &self.relocate)
            .field("max_entries", &self.max_entries)
            .field("ledger", &self.ledger.is_some())
            .finish()
    }
}

/// What becomes of a layer's whiteouts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whiteouts {
    /// The directory holds this layer alone, for overlayfs: a whiteout becomes a character device
    /// 0:0, an opaque directory gets `trusted.overlay.opaque`, or `user.overlay.opaque`.
    Overlay {
        /// Whether it will be mounted with the option of that name.
        userxattr: bool,
    },
    /// The directory holds this layer alone, for [`join`](super::join()): they are noted.
    Apart,
    /// The directory holds the layers below already: what is there is removed.
    Apply,
    /// Nothing is removed: several layers are unpacked into the same directory at the same time,
    /// each only as far as it stays visible ([`Index::visible_parts`](super::Index::visible_parts)).
    /// Directories then get their time and owner from [`Index::complete`](super::Index::complete).
    Skip,
}

/// What unpacking did, and what it leaves to the caller.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Extracted {
    /// Entries in the layer, those that were passed over included.
    pub entries: u64,
    /// Bytes of content that were written.
    pub bytes: u64,
    /// Hard links, by their path, whose target (second) is not in this layer, and the metadata of
    /// the link's entry. Never with [`Whiteouts::Apply`], where the target is there or it is an error.
    pub foreign_links: Vec<(PathBuf, PathBuf, Metadata)>,
    /// Directories that the layer has something in but does not mention. They were made with mode
    /// 0755 for root, with a time of 0; below overlayfs they hide the metadata of the directory in
    /// the layers below, so it has to be set from there ([`Root::set_metadata`]).
    pub implicit_dirs: Vec<PathBuf>,
    /// Whether the layer says what the root itself is like. If not, the directory's own owner and
    /// mode are whatever they were, and below overlayfs they would be those of the image's root.
    pub mentions_root: bool,
    /// The layer says that nothing below it remains. overlayfs has no mark for that: leave the layers
    /// below out of the mount.
    pub opaque_root: bool,
    /// What is gone of the layers below; of what this layer has put there, nothing. Only with
    /// [`Whiteouts::Apart`].
    pub hidden: BTreeSet<PathBuf>,
    /// Directories of which the layers below have nothing any more that is in them, but for those that
    /// are named here too. The same.
    pub emptied: BTreeSet<PathBuf>,
    /// Devices that the system did not let us make.
    pub devices_refused: u64,
    /// Extended attributes that the system or the file system did not take.
    pub xattrs_refused: u64,
}

/// A layer that could not be unpacked. Paths are in the image.
#[derive(Debug, thiserror::Error)]
pub enum ExtractError {
    /// The archive, or what it is read from.
    #[error("cannot read the layer: {0}")]
    Read(#[source] io::Error),
    /// A path that cannot be used.
    #[error(transparent)]
    Path(#[from] PathError),
    /// [`Extract::max_entries`].
    #[error("the layer has more than {0} entries")]
    TooMany(u64),
    /// The content ended early.
    #[error("the layer ends after {got} of the {size} bytes of `{}`", path.display())]
    Short {
        /// Whose content.
        path: PathBuf,
        /// What the header says.
        size: u64,
        /// What there was.
        got: u64,
    },
    /// No privilege, or no such id in this user namespace.
    #[error(
        "cannot give `{}` to {uid}:{gid}: {source}; unpacking an image with its owners needs root, \
         or a user namespace in which these ids exist", path.display()
    )]
    Chown {
        /// Whose owner.
        path: PathBuf,
        /// The layer's owner.
        uid: u32,
        /// The layer's group.
        gid: u32,
        /// Why.
        source: io::Error,
    },
    /// The system refused.
    #[error("cannot {action} `{}` while unpacking a layer: {source}", path.display())]
    System {
        /// What was tried, as a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A hard link to nothing.
    #[error("the hard link `{}` names `{}`, which no layer has", link.display(), target.display())]
    MissingTarget {
        /// The link.
        link: PathBuf,
        /// What it names.
        target: PathBuf,
    },
    /// A hard link to a directory.
    #[error("the hard link `{}` names the directory `{}`", link.display(), target.display())]
    LinkToDirectory {
        /// The link.
        link: PathBuf,
        /// What it names.
        target: PathBuf,
    },
    /// A hard link to something that the filter passed over, with no word of where it goes instead.
    #[error(
        "the hard link `{}` is wanted, but not `{}`, which has its content",
        link.display(), target.display()
    )]
    FilteredTarget {
        /// The link.
        link: PathBuf,
        /// What it names.
        target: PathBuf,
    },
}

/// Unpacks one layer. Later entries replace earlier ones, whatever they are; a directory that is
/// there stays and gets the metadata of the entry.
pub fn extract(
    entries: &mut dyn Entries,
    root: &Root,
    policy: &Extract,
) -> Result<Extracted, ExtractError> {
    let mut places = Places::default();
    let mut unpacker = Unpacker::new(root, policy);
    while let Some((entry, mut content)) = entries.next_entry().map_err(ExtractError::Read)? {
        unpacker.count()?;
        match places.step(&entry)? {
            Step::Root => {
                unpacker.done.mentions_root = true;
                unpacker.directory(Path::new(""), &entry.meta)?;
            }
            Step::Put(path) => unpacker.put(&path, &entry, &mut *content)?,
            Step::Link { path, target } => unpacker.link(&path, &target, &entry)?,
            Step::Remove(path) => unpacker.remove(&path)?,
            Step::Opaque(dir) => unpacker.opaque(&dir)?,
            Step::Nothing => {}
        }
    }
    unpacker.finish()
}

/// Large enough that a system call's cost does not show.
const BUFFER: usize = 256 * 1024;

struct Unpacker<'a> {
    root: &'a Root,
    policy: &'a Extract,
    dirs: Dirs,
    /// What this layer has put here, and the directories that lead to it. Kept only where lower
    /// layers are in the same directory: a whiteout does not concern what its own layer has.
    touched: HashSet<PathBuf>,
    /// What the filter passed over, and where its content is all the same; for hard links to it.
    passed_over: HashMap<PathBuf, Option<PathBuf>>,
    /// What is left of [`Extract::relocate`].
    relocate: BTreeMap<PathBuf, PathBuf>,
    /// Devices that could not be made, for hard links to them.
    refused: HashSet<PathBuf>,
    /// Hard links, by path, to what this layer does not have.
    foreign: BTreeMap<PathBuf, (PathBuf, Metadata)>,
    buffer: Vec<u8>,
    done: Extracted,
}

impl<'a> Unpacker<'a> {
    fn new(root: &'a Root, policy: &'a Extract) -> Self {
        Self {
            root,
            policy,
            dirs: Dirs::default(),
            touched: HashSet::new(),
            passed_over: HashMap::new(),
            relocate: policy.relocate.clone(),
            refused: HashSet::new(),
            foreign: BTreeMap::new(),
            buffer: vec![0; BUFFER],
            done: Extracted::default(),
        }
    }

    fn count(&mut self) -> Result<(), ExtractError> {
        self.done.entries += 1;
        if self.done.entries > self.policy.max_entries {
            return Err(ExtractError::TooMany(self.policy.max_entries));
        }
        Ok(())
    }

    /// Makes the object of an entry, if it is wanted.
    fn put(
        &mut self,
        path: &Path,
        entry: &Entry,
        content: &mut dyn Read,
    ) -> Result<(), ExtractError> {
        let mut path = path;
        let moved;
        if !self.wants(path, &entry.kind) {
            if entry.kind == Kind::Dir {
                return Ok(());
            }
            moved = self.relocate.get(path).cloned();
            self.passed_over.insert(path.to_owned(), moved.clone());
            let Some(moved) = &moved else { return Ok(()) };
            path = moved;
        }
        match &entry.kind {
            Kind::Dir => self.directory(path, &entry.meta)?,
            Kind::File { size } => self.file(path, &entry.meta, *size, content)?,
            Kind::Symlink(target) => self.symlink(path, &entry.meta, target)?,
            Kind::Fifo | Kind::CharDevice { .. } | Kind::BlockDevice { .. } => {
                self.node(path, &entry.meta, &entry.kind)?;
            }
            // Places makes a step of its own of these.
            Kind::HardLink(_) => {}
        }
        self.touch(path);
        Ok(())
    }

    fn wants(&self, path: &Path, kind: &Kind) -> bool {
        self.policy.filter.as_ref().is_none_or(|filter| filter(path, kind))
    }

    fn touch(&mut self, path: &Path) {
        if self.policy.whiteouts == Whiteouts::Apply && !self.touched.contains(path) {
            self.touched.insert(path.to_owned());
        }
    }

    fn overlay(&self) -> Option<super::Overlay> {
        match self.policy.whiteouts {
            Whiteouts::Overlay { userxattr } => Some(super::Overlay { userxattr }),
            Whiteouts::Apart | Whiteouts::Apply | Whiteouts::Skip => None,
        }
    }
}

pub(super) fn system(
    action: &'static str,
    path: &Path,
    source: impl Into<io::Error>,
) -> ExtractError {
    ExtractError::System { action, path: path.to_owned(), source: source.into() }
}

/// A closure that adds the path, and the owner to a refused chown.
fn settling(path: &Path, meta: &Metadata) -> impl FnOnce(SettleError) -> ExtractError {
    let (path, uid, gid) = (path.to_owned(), meta.uid, meta.gid);
    move |SettleError { action, source }| match action {
        "chown" => ExtractError::Chown { path, uid, gid, source },
        action => ExtractError::System { action, path, source },
    }
}
