//! The walk through what may have changed: what becomes of it in the layer. It is the same however
//! the changes were found ([`Source`]), so that the same command makes the same layer.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Seek};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::object::{Exactly, Leaf, Object};
use super::source::Source;
use super::{ChangeSink, DiffError, DiffStats, check_length, system};
use crate::layer::{Entry, Kind, Metadata, Whiteout};
use crate::rootfs::root::Root;
use crate::rootfs::scan::contents::HashingReader;

/// How many directories on the way down are kept open; those further down are opened again when the
/// walk comes back, so that no depth exhausts the descriptors.
const KEPT_OPEN: usize = 64;

/// One directory on the way down.
struct Level {
    path: PathBuf,
    /// Names that are still to be looked at, the next one last.
    names: Vec<OsString>,
    dir: Option<OwnedFd>,
    /// The directory's own entry, until something in it, or it itself, is worth handing on.
    pending: Option<Entry>,
    /// Its time differs from that of the directory below, and nothing else does.
    other_time: bool,
    /// One of the sandbox's mount points was made in here.
    has_placeholder: bool,
    /// Nothing of what is below is visible in here.
    hides_lower: bool,
    /// It is one of the sandbox's mount points itself.
    placed: bool,
}

pub(in crate::rootfs) struct Differ<'a> {
    source: &'a mut dyn Source,
    exclude: &'a BTreeSet<PathBuf>,
    sink: &'a mut dyn ChangeSink,
    levels: Vec<Level>,
    /// Files with several names, by device and inode: the path that was handed on.
    first_names: HashMap<(u64, u64), PathBuf>,
    stats: DiffStats,
}

impl<'a> Differ<'a> {
    pub(in crate::rootfs) fn new(
        source: &'a mut dyn Source,
        exclude: &'a BTreeSet<PathBuf>,
        sink: &'a mut dyn ChangeSink,
    ) -> Self {
        let stats = DiffStats::default();
        let first_names = HashMap::new();
        Self { source, exclude, sink, levels: Vec::new(), first_names, stats }
    }

    pub(in crate::rootfs) fn run(mut self) -> Result<DiffStats, DiffError> {
        let root = PathBuf::new();
        let dir =
            self.source.root().open_dir(&root).map_err(|errno| system("open", &root, errno))?;
        self.descend(root, dir)?;
        while let Some(level) = self.levels.last_mut() {
            match level.names.pop() {
                Some(name) => {
                    let path = level.path.join(name);
                    self.visit(&path)?;
                }
                None => self.ascend()?,
            }
        }
        Ok(self.stats)
    }

    fn descend(&mut self, path: PathBuf, dir: OwnedFd) -> Result<&mut Level, DiffError> {
        let mut names = self.source.names(&path, &dir)?;
        names.sort_unstable_by(|a, b| b.cmp(a));
        let deep = self.levels.len() >= KEPT_OPEN;
        if let Some(above) = self.levels.last_mut()
            && deep
        {
            above.dir = None;
        }
        self.levels.push(Level {
            path,
            names,
            dir: Some(dir),
            pending: None,
            other_time: false,
            has_placeholder: false,
            hides_lower: false,
            placed: false,
        });
        let last = self.levels.len() - 1;
        Ok(&mut self.levels[last])
    }

    fn ascend(&mut self) -> Result<(), DiffError> {
        if self.levels.last().is_some_and(|level| level.other_time && !level.has_placeholder) {
            self.hand_on_pending()?;
        }
        if let Some(Level { pending: Some(_), placed, path, .. }) = self.levels.pop() {
            self.stats.unchanged += 1;
            if placed {
                self.source.left_out(&path);
            }
        }
        Ok(())
    }

    fn visit(&mut self, path: &Path) -> Result<(), DiffError> {
        check_length(path)?;
        if path.file_name().is_some_and(|name| name.as_bytes().starts_with(b".wh.")) {
            self.stats.reserved.push(path.to_owned());
            return Ok(());
        }
        let hides_lower = self.levels.last().is_some_and(|level| level.hides_lower);
        let below = if hides_lower { None } else { self.source.below(path)? };
        let dir = current_dir(&mut self.levels, self.source.root())?;
        match self.source.look(dir, path)? {
            Object::Gone => Ok(()),
            Object::Whiteout => self.removed(path, below.as_ref()),
            Object::Socket => {
                self.stats.sockets += 1;
                // It hides what is below, which must not come back because it is left out.
                self.removed(path, below.as_ref())
            }
            Object::Dir { entry, dir, opaque } => self.directory(entry, dir, opaque, below),
            Object::Leaf(leaf) => self.leaf(leaf, below.as_ref()),
        }
    }

    fn removed(&mut self, path: &Path, below: Option<&Entry>) -> Result<(), DiffError> {
        match below {
            Some(_) => self.whiteout(&Whiteout::Remove(path.to_owned())),
            // Made and removed again.
            None => Ok(()),
        }
    }

    fn directory(
        &mut self,
        entry: Entry,
        dir: OwnedFd,
        opaque: bool,
        below: Option<Entry>,
    ) -> Result<(), DiffError> {
        let path = entry.path.clone();
        let below = below.filter(|below| below.kind == Kind::Dir);
        let placed = below.is_none() && self.exclude.contains(&path);
        if placed {
            self.note_placeholder();
        }
        let level = self.descend(path.clone(), dir)?;
        level.hides_lower = opaque || below.is_none();
        level.placed = placed;
        let changed = match &below {
            None => !placed,
            Some(below) => {
                let untimed = Metadata { mtime: below.meta.mtime, ..entry.meta.clone() };
                level.other_time = entry.meta.mtime != below.meta.mtime;
                untimed != below.meta
            }
        };
        level.pending = Some(entry);
        if changed {
            self.hand_on_pending()?;
        }
        if opaque && below.is_some() {
            self.whiteout(&Whiteout::Opaque(path))?;
        }
        Ok(())
    }

    fn leaf(&mut self, mut leaf: Leaf, below: Option<&Entry>) -> Result<(), DiffError> {
        let is_empty = leaf.entry.kind == Kind::File { size: 0 };
        if is_empty && below.is_none() && self.exclude.contains(&leaf.entry.path) {
            self.note_placeholder();
            self.source.left_out(&leaf.entry.path);
            return Ok(());
        }
        match leaf.shared {
            // All names are handed on, whether changed or not, or a link would have no target.
            Some(shared) => match self.first_names.get(&shared) {
                Some(first) => {
                    leaf.entry.kind = Kind::HardLink(first.clone());
                    leaf.content = None;
                }
                None => {
                    self.first_names.insert(shared, leaf.entry.path.clone());
                }
            },
            None => {
                if let Some(below) = below
                    && self.is_unchanged(&mut leaf, below)?
                {
                    self.stats.unchanged += 1;
                    return Ok(());
                }
            }
        }
        self.hand_on_pending()?;
        self.hand_on(&leaf.entry, leaf.content)
    }

    /// Whether something was done to this and nothing came of it: opened for writing, or given the
    /// owner and mode that it had.
    fn is_unchanged(&mut self, leaf: &mut Leaf, below: &Entry) -> Result<bool, DiffError> {
        if leaf.entry != *below {
            return Ok(false);
        }
        let Some(content) = &mut leaf.content else { return Ok(true) };
        let same = self.source.had_content(&leaf.entry.path, content)?;
        content.rewind().map_err(|error| system("read", &leaf.entry.path, error))?;
        Ok(same)
    }

    fn note_placeholder(&mut self) {
        if let Some(level) = self.levels.last_mut() {
            level.has_placeholder = true;
        }
    }

    /// Hands on the directories that lead to something that is about to be.
    fn hand_on_pending(&mut self) -> Result<(), DiffError> {
        for at in 0..self.levels.len() {
            if let Some(entry) = self.levels[at].pending.take() {
                self.hand_on(&entry, None)?;
            }
        }
        Ok(())
    }

    fn hand_on(&mut self, entry: &Entry, content: Option<File>) -> Result<(), DiffError> {
        let sink_error = |source| DiffError::Sink { path: entry.path.clone(), source };
        let size = match entry.kind {
            Kind::File { size } => size,
            _ => 0,
        };
        let hasher = self.source.hasher();
        match (content.map(|file| Exactly { file, left: size }), hasher) {
            (None, _) => self.sink.file(entry, &mut io::empty()).map_err(sink_error)?,
            (Some(mut content), None) => {
                self.sink.file(entry, &mut content).map_err(sink_error)?;
            }
            (Some(content), Some(hasher)) => {
                let mut content = HashingReader::new(content, hasher);
                self.sink.file(entry, &mut content).map_err(sink_error)?;
                let (hash, read) = content.finish();
                // Nothing is known of what the sink did not read.
                if read == size {
                    self.source.handed_on(&entry.path, hash);
                }
            }
        }
        self.stats.entries += 1;
        self.stats.bytes += size;
        Ok(())
    }

    fn whiteout(&mut self, whiteout: &Whiteout) -> Result<(), DiffError> {
        self.hand_on_pending()?;
        self.sink
            .whiteout(whiteout)
            .map_err(|source| DiffError::Sink { path: whiteout.to_path(), source })?;
        self.stats.whiteouts += 1;
        Ok(())
    }
}

/// The directory that is being walked.
fn current_dir<'l>(levels: &'l mut [Level], root: &Root) -> Result<&'l OwnedFd, DiffError> {
    let none = || system("open", Path::new(""), io::Error::from(io::ErrorKind::NotFound));
    let level = levels.last_mut().ok_or_else(none)?;
    if level.dir.is_none() {
        let dir = root.open_dir(&level.path);
        level.dir = Some(dir.map_err(|errno| system("open", &level.path, errno))?);
    }
    level.dir.as_ref().ok_or_else(none)
}
