//! The file systems under the directories of a build.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::fs::statvfs;
use serde::Serialize;

use crate::request::DoctorRequest;
use crate::sandbox::{Entered, Mount, mount_of};
use crate::work_dir::{try_at, usual_places};

/// What a directory is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// A work directory may be made in it.
    Work,
    /// COPY reads it.
    Context,
    /// It is `/`.
    Root,
}

/// One directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Directory {
    /// Absolute, as named.
    pub path: PathBuf,
    /// What it is for.
    pub purpose: Purpose,
    /// Whether it is there. What follows is then its own, otherwise that of the nearest directory
    /// above it.
    pub exists: bool,
    /// The type of its file system: `overlay`, `ext4`.
    pub file_system: Option<String>,
    /// Those mount options that can stop a build: `ro`, `noexec`, `nosuid`, `nodev`.
    pub options: Vec<String>,
    /// What is free, where the file system says it.
    pub space: Option<Space>,
    /// Why no work directory can be made in it, or what else is wrong.
    pub problem: Option<String>,
}

/// What is free on a file system for this user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Space {
    /// Bytes.
    pub free_bytes: u64,
    /// How many files can be made; none where the file system does not count them.
    pub free_inodes: Option<u64>,
}

/// A place where a build looks for a work directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkPlace {
    /// Where.
    pub directory: Directory,
    /// Whether only isolation `inplace` looks there.
    pub only_inplace: bool,
    /// Why it cannot hold an overlay, if that was tried.
    pub overlay_problem: Option<String>,
}

/// Options that matter.
const TOLD: [&str; 4] = ["ro", "noexec", "nosuid", "nodev"];

impl Directory {
    /// Looks at a directory, which does not have to exist.
    pub(super) fn look_at(path: &Path, purpose: Purpose) -> Self {
        let exists = path.is_dir();
        let there = nearest(path);
        let table = fs::read("/proc/self/mountinfo").unwrap_or_default();
        let mount = mount_of(&table, &there);
        let problem = match purpose {
            Purpose::Context => fs::read_dir(path).err().map(|error| error.to_string()),
            Purpose::Work | Purpose::Root => None,
        };
        Self {
            path: path.to_owned(),
            purpose,
            exists,
            options: mount.as_ref().map_or_else(Vec::new, told),
            file_system: mount.map(|mount| mount.file_system),
            space: space(&there),
            problem,
        }
    }

    /// Whether it is mounted with this option.
    pub(super) fn has(&self, option: &str) -> bool {
        self.options.iter().any(|own| own == option)
    }
}

impl WorkPlace {
    /// Whether a build can make its work directory there.
    pub(super) fn can_be_used(&self, overlay: bool) -> bool {
        self.directory.problem.is_none() && !(overlay && self.overlay_problem.is_some())
    }
}

/// All places where a build of this context looks, in order, each tried.
pub(super) fn work_places(request: &DoctorRequest, entered: &Entered) -> Vec<WorkPlace> {
    let inplace = entered.inplace.is_ok();
    let places = match &request.work_dir {
        Some(dir) => vec![dir.clone()],
        None => usual_places(&request.temp_dir, inplace),
    };
    let usual = usual_places(&request.temp_dir, false);
    places
        .into_iter()
        .map(|path| {
            let only_inplace = request.work_dir.is_none() && !usual.contains(&path);
            let mut directory = Directory::look_at(&path, Purpose::Work);
            // A build makes the one that is named, but no usual one.
            let there = if request.work_dir.is_some() { nearest(&path) } else { path };
            let attempt = |overlay| {
                try_at(&there, &request.context, overlay).err().map(|error| format!("{error:#}"))
            };
            directory.problem = attempt(None);
            let namespaces = entered.namespaces.as_ref().ok();
            let overlay = namespaces.filter(|_| directory.problem.is_none() && !only_inplace);
            let overlay_problem = overlay.and_then(|namespaces| attempt(Some(namespaces)));
            WorkPlace { directory, only_inplace, overlay_problem }
        })
        .collect()
}

/// The directory, or the nearest one above it that is there; without links.
fn nearest(path: &Path) -> PathBuf {
    let there = path.ancestors().find_map(|above| above.canonicalize().ok());
    there.unwrap_or_else(|| PathBuf::from("/"))
}

fn told(mount: &Mount) -> Vec<String> {
    TOLD.into_iter().filter(|option| mount.has(option)).map(str::to_owned).collect()
}

fn space(path: &Path) -> Option<Space> {
    let stat = statvfs(path).ok()?;
    Some(Space {
        free_bytes: stat.f_bavail.saturating_mul(stat.f_frsize),
        free_inodes: (stat.f_files > 0).then_some(stat.f_favail),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_seen_from_above() {
        let dir = tempfile::tempdir().expect("a directory");
        let missing = Directory::look_at(&dir.path().join("a/b"), Purpose::Context);
        let above = Directory::look_at(dir.path(), Purpose::Context);
        assert!(!missing.exists && above.exists);
        assert!(missing.problem.is_some() && above.problem.is_none());
        assert_eq!(missing.file_system, above.file_system);
        assert!(above.space.is_some_and(|space| space.free_bytes > 0));
    }
}
