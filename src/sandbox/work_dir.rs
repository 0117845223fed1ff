//! Whether a directory can hold the upper directory of an overlay: tried, because there are too many
//! reasons why not (an overlay itself, no whiteouts, no attributes) to know them from names.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, open};
use rustix::mount::{MountFlags, UnmountFlags};

use super::error::SandboxError;
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
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    find_mount(&table, &dir).unwrap_or_else(|| "an unknown file system".to_owned())
}

/// The last of the longest mount points that lead to `dir` (proc_pid_mountinfo(5)).
fn find_mount(table: &str, dir: &Path) -> Option<String> {
    let mounts = table.lines().filter_map(|line| {
        let (place, file_system) = line.split_once(" - ")?;
        let place = unescape(place.split(' ').nth(4)?.as_bytes());
        dir.starts_with(&place)
            .then(|| (place.as_os_str().len(), file_system.split(' ').next().unwrap_or_default()))
    });
    mounts.max_by_key(|(length, _)| *length).map(|(_, file_system)| file_system.to_owned())
}

/// Space, tab, newline and backslash are three octal digits there.
pub(super) fn unescape(text: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        let octal = tail.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) if *first == b'\\' => {
                bytes.push(byte);
                rest = &tail[3..];
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    std::ffi::OsString::from_vec(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_mount_names_the_file_system() {
        let table = "\
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime - overlay overlay rw
30 27 0:26 / /mnt/a\\040b rw shared:1 - ext4 /dev/sda rw
31 30 0:27 / /mnt/a\\040b rw - xfs /dev/sdb rw
";
        let rows = [("/tmp", "overlay"), ("/mnt/a b/c", "xfs"), ("/proc/1", "proc")];
        for (dir, expected) in rows {
            assert_eq!(find_mount(table, Path::new(dir)).as_deref(), Some(expected), "{dir}");
        }
    }
}
