//! The directory in which a build keeps its blobs and file systems, and that is gone afterwards.

use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rustix::fs::{FlockOperation, flock};

use crate::event::Reporter;
use crate::request::Request;
use crate::rootfs::{Root, RootError};
use crate::sandbox::{HOME, Namespaces, Sandbox};

/// What the names of work directories begin with.
const PREFIX: &str = "kiln-build-";

/// A build's own directory; removed when dropped.
#[derive(Debug)]
pub struct WorkDir {
    path: PathBuf,
    /// Hears when it cannot be removed.
    reporter: Reporter,
    /// Locked as long as the build lives: how the next build tells a leftover from a neighbour.
    _lock: File,
}

impl WorkDir {
    /// Makes the directory where the request says, or else at the first usual place. For namespaces,
    /// the place must be able to hold the upper directory of an overlay mount (an overlay, such as a
    /// container's own root, is not).
    pub fn create(request: &Request, sandbox: &Sandbox, reporter: &Reporter) -> Result<Self> {
        let overlay = match sandbox {
            Sandbox::Namespaces(namespaces) => Some(namespaces),
            _ => None,
        };
        // Where `/` becomes the image's, there is one directory that stays kiln's.
        let own = matches!(sandbox, Sandbox::Inplace(_)).then_some(Path::new(HOME));
        Self::first(request, own, overlay, reporter)
    }

    /// The same for files that no command will see as its own.
    pub fn for_files(request: &Request, reporter: &Reporter) -> Result<Self> {
        Self::first(request, None, None, reporter)
    }

    fn first(
        request: &Request,
        own: Option<&Path>,
        overlay: Option<&Namespaces>,
        reporter: &Reporter,
    ) -> Result<Self> {
        let at = |parent: &Path| {
            // What is unpacked has a work directory of its own around it.
            if request.elsewhere.is_none() {
                outside(parent, &request.context)?;
            }
            Self::at(parent, overlay, reporter)
        };
        if let Some(parent) = &request.work_dir {
            std::fs::create_dir_all(parent)
                .with_context(|| format!("cannot make the work directory {}", parent.display()))?;
            return at(parent);
        }
        let mut first_failure = None;
        let usual = [&request.temp_dir, Path::new("/var/tmp"), Path::new("/tmp")];
        for parent in own.into_iter().chain(usual) {
            match at(parent) {
                Ok(made) => return Ok(made),
                Err(error) => _ = first_failure.get_or_insert(error),
            }
        }
        Err(first_failure.unwrap_or_else(|| anyhow::anyhow!("there is no temporary directory")))
    }

    /// One for files that belong to no context.
    pub fn for_archive(named: Option<&Path>, temp_dir: &Path, reporter: &Reporter) -> Result<Self> {
        let parent = named.unwrap_or(temp_dir);
        std::fs::create_dir_all(parent)
            .with_context(|| format!("cannot make the work directory {}", parent.display()))?;
        Self::at(parent, None, reporter)
    }

    fn at(parent: &Path, overlay: Option<&Namespaces>, reporter: &Reporter) -> Result<Self> {
        remove_leftovers(parent);
        Self::make_in(parent, overlay, reporter)
    }

    fn make_in(parent: &Path, overlay: Option<&Namespaces>, reporter: &Reporter) -> Result<Self> {
        let made = make(parent)
            .with_context(|| format!("cannot make a work directory in {}", parent.display()))?;
        let (path, lock) = made;
        let dir = Self { path, reporter: reporter.clone(), _lock: lock };
        if let Some(namespaces) = overlay {
            namespaces.check_work_dir(dir.path())?;
        }
        Ok(dir)
    }

    /// Where it is, absolute.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Where a work directory is looked for when none is named, in order. `temp_dir` is the directory for
/// temporary files; `inplace` says whether `/` becomes the image's.
pub fn usual_places(temp_dir: &Path, inplace: bool) -> Vec<PathBuf> {
    // Where `/` becomes the image's, there is one directory that stays kiln's.
    let own = inplace.then_some(Path::new(HOME));
    let usual = [temp_dir, Path::new("/var/tmp"), Path::new("/tmp")];
    let mut places: Vec<PathBuf> = Vec::new();
    for place in own.into_iter().chain(usual) {
        if !places.iter().any(|known| known == place) {
            places.push(place.to_owned());
        }
    }
    places
}

/// Tries whether a work directory could be made there, for a build of this context; nothing is left
/// of it. With `overlay`, it must be able to hold the upper directory of an overlay mount.
pub fn try_at(parent: &Path, context: &Path, overlay: Option<&Namespaces>) -> Result<()> {
    outside(parent, context)?;
    WorkDir::make_in(parent, overlay, &Reporter::silent()).map(drop)
}

impl WorkDir {
    /// Whether it ends with this process anyway: the first one of a container takes all others and, but
    /// for volumes, the container's files with it. Should somebody start the same container again, the
    /// next build finds a leftover.
    pub fn goes_with_the_container(&self) -> bool {
        let device = |path: &Path| std::fs::metadata(path).map(|meta| meta.dev()).ok();
        std::process::id() == 1
            && device(&self.path).is_some_and(|it| device(Path::new("/")) == Some(it))
    }
}

impl Drop for WorkDir {
    fn drop(&mut self) {
        // A tenth of a second for ten thousand files.
        if self.goes_with_the_container() {
            return;
        }
        if let Err(error) = remove(&self.path) {
            let path = self.path.display();
            self.reporter.warning(&format!("the work directory {path} is left behind: {error}"));
        }
    }
}

/// Makes a directory and locks it.
fn make(parent: &Path) -> std::io::Result<(PathBuf, File)> {
    loop {
        let dir = tempfile::Builder::new().prefix(PREFIX).tempdir_in(parent)?;
        match lock(dir.path()) {
            // Before it was locked, a build that looks for leftovers may have taken it for one.
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Ok(_) if !dir.path().exists() => {}
            Ok(lock) => return Ok((dir.keep(), lock)),
            Err(error) if error.kind() == ErrorKind::NotFound && parent.exists() => {}
            Err(error) => return Err(error),
        }
    }
}

/// Removes a tree of any depth: a command can make one that `std::fs::remove_dir_all`, which keeps
/// a descriptor open for each level, cannot remove.
fn remove(path: &Path) -> Result<(), RootError> {
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => Root::open(parent)?.remove_tree(Path::new(name)),
        _ => Ok(()),
    }
}

/// COPY must not find the build's own files, whose names and contents are new each time.
fn outside(parent: &Path, context: &Path) -> Result<()> {
    let (Ok(inner), Ok(outer)) = (parent.canonicalize(), context.canonicalize()) else {
        return Ok(());
    };
    // Where the whole machine is the context, there is no place outside of it.
    if outer.parent().is_some() && inner.starts_with(&outer) {
        anyhow::bail!(
            "{} is inside the context, so that COPY would find the build's own files; name a \
             directory elsewhere with --work-dir",
            parent.display()
        );
    }
    Ok(())
}

fn lock(path: &Path) -> std::io::Result<File> {
    let dir = File::open(path)?;
    flock(&dir, FlockOperation::NonBlockingLockExclusive)?;
    Ok(dir)
}

/// Removes what builds left that were killed: their lock is free. Best effort: another build may
/// be faster, and other users' directories stay.
fn remove_leftovers(parent: &Path) {
    let Ok(entries) = std::fs::read_dir(parent) else { return };
    let ours = |name: &std::ffi::OsStr| name.to_string_lossy().starts_with(PREFIX);
    let leftovers: Vec<PathBuf> =
        entries.flatten().filter(|entry| ours(&entry.file_name())).map(|e| e.path()).collect();
    for path in leftovers {
        let is_dir = std::fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_dir());
        if is_dir && let Ok(_held) = lock(&path) {
            _ = remove(&path);
        }
    }
}
