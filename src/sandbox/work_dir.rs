//! Whether a directory can hold the upper directory of an overlay: tried, because there are too many
//! reasons why not (an overlay itself, no whiteouts, no attributes) to know them from names.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, open};
use rustix::mount::{MountFlags, UnmountFlags};

use super::error::SandboxError;
use super::mount_table::mount_of;
use super::overlay::Stack;
use super::view::mount_overlay;

/// Mounts a small overlay there and changes it as a RUN might.
pub(super) fn check(dir: &Path, userxattr: bool) -> Result<(), SandboxError> {
    try_overlay(dir, userxattr).map_err(|problem| SandboxError::WorkDir {
        dir: dir.to_owned(),
        file_system: file_system(dir),
        problem,
    })
}

fn try_overlay(dir: &Path, userxattr: bool) -> Result<(), String> {
    let dir = tempfile::Builder::new()
        .prefix("check-")
        .tempdir_in(dir)
        .map_err(|error| format!("a directory cannot be made in it ({error})"))?;
    let path = |name: &str| dir.path().join(name);
    let prepare = || -> io::Result<_> {
        for name in ["l", "l/d", "u", "w", "m"] {
            fs::create_dir(path(name))?;
        }
        fs::write(path("l/f"), "")?;
        fs::write(path("l/d/f"), "")?;
        Ok(open(path("m"), OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?)
    };
    let place = prepare().map_err(|error| format!("files cannot be made in it ({error})"))?;

    let lowers = [PathBuf::from("l")];
    let upper = Some((Path::new("u"), Path::new("w")));
    let overlay =
        Stack { lowers: &lowers, upper, userxattr }.options().map_err(|error| error.to_string())?;
    mount_overlay(dir.path(), &overlay, &place, MountFlags::empty()).map_err(|error| {
        format!("an overlay with its upper directory there is refused ({error})")
    })?;
    let _mounted = Mounted(path("m"));

    whiteout(&path("m/f"), &path("u/f"))
        .map_err(|error| format!("deleting a file of a lower layer fails ({error})"))?;
    replace(&path("m/d")).map_err(|error| {
        format!("replacing a directory of a lower layer fails ({error}); it may lack attributes")
    })
}

fn whiteout(file: &Path, mark: &Path) -> io::Result<()> {
    fs::remove_file(file)?;
    let mark = fs::symlink_metadata(mark)?;
    if mark.file_type().is_char_device() && mark.rdev() == 0 {
        Ok(())
    } else {
        Err(io::Error::other("the whiteout is no device 0/0"))
    }
}

fn replace(directory: &Path) -> io::Result<()> {
    fs::remove_dir_all(directory)?;
    fs::create_dir(directory)?;
    match fs::read_dir(directory)?.next() {
        None => Ok(()),
        Some(_) => Err(io::Error::other("the files of the old one are back")),
    }
}

struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        rustix::mount::unmount(&*self.0, UnmountFlags::DETACH).ok();
    }
}

/// The type of the file system that a directory is on, as mountinfo names it.
fn file_system(dir: &Path) -> String {
    let dir = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
    let table = fs::read("/proc/self/mountinfo").unwrap_or_default();
    mount_of(&table, &dir)
        .map_or_else(|| "an unknown file system".to_owned(), |mount| mount.file_system)
}
