//! Files that a command has linked both into a source that it shares with other builds and into the
//! image: on mounts they could not be the same (link(2), EXDEV), and must not stay so.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, linkat, openat, renameat};

use super::ground::{Spot, stat_of};
use crate::sandbox::replica::{Replica, names};

/// What a file is called until it takes the place of another one.
const NEW: &str = ".kiln-unlinked";

/// Gives those files at a spot and below, that have names elsewhere too, an inode of their own.
/// Links among them stay links.
pub(super) fn part(spot: &Spot, how: Replica<'_>) -> io::Result<()> {
    let mut shared: HashMap<u64, Shared> = HashMap::new();
    let mut pending = vec![PathBuf::from(&spot.name)];
    while let Some(path) = pending.pop() {
        let Some(stat) = stat_of(&spot.dir, path.as_os_str())? else { continue };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                let names = names(directory(&spot.dir, &path)?)?;
                pending.extend(names.into_iter().map(|name| path.join(name)));
            }
            FileType::RegularFile if stat.st_nlink > 1 => {
                let links = usize::try_from(stat.st_nlink).unwrap_or(usize::MAX);
                let none = || Shared { links, paths: Vec::new() };
                shared.entry(stat.st_ino).or_insert_with(none).paths.push(path);
            }
            _ => {}
        }
    }
    let outside = |shared: &Shared| shared.links > shared.paths.len();
    shared.into_values().filter(outside).try_for_each(|shared| {
        let Some((first, others)) = shared.paths.split_first() else { return Ok(()) };
        replace(&spot.dir, first, |dir| {
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let file = openat(&spot.dir, first, flags, Mode::empty())?;
            how.copy_file(File::from(file), dir.as_fd(), OsStr::new(NEW))
        })?;
        others.iter().try_for_each(|other| {
            replace(&spot.dir, other, |dir| {
                Ok(linkat(&spot.dir, first, dir, NEW, AtFlags::empty())?)
            })
        })
    })
}

/// One file.
struct Shared {
    links: usize,
    /// Those of its names that were found.
    paths: Vec<PathBuf>,
}

fn replace(
    base: &OwnedFd,
    path: &Path,
    make: impl FnOnce(&OwnedFd) -> io::Result<()>,
) -> io::Result<()> {
    let dir = directory(base, path.parent().unwrap_or(Path::new("")))?;
    let name = path.file_name().unwrap_or_default().to_owned();
    Spot { dir, name }.quietly(|spot| {
        make(&spot.dir)?;
        Ok(renameat(&spot.dir, NEW, &spot.dir, &spot.name)?)
    })
}

fn directory(base: &OwnedFd, path: &Path) -> io::Result<OwnedFd> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(openat(base, path, flags, Mode::empty())?)
}
