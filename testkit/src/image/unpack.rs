//! Layers applied one after another to a directory.

use std::collections::HashSet;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, Uid, chownat, makedev, mknodat};

use crate::digest::sha256;

/// Applies a layer to a directory.
pub(crate) fn apply(layer: impl Read, root: &Path) -> io::Result<()> {
    let is_root = rustix::process::geteuid().is_root();
    let mut archive = tar::Archive::new(layer);
    archive.set_preserve_permissions(true);
    archive.set_preserve_ownerships(is_root);
    let mut written = HashSet::new();
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = root.join(relative(&entry.path()?));
        let (dir, name) = (path.parent().unwrap_or(root).to_owned(), name_of(&path));
        if name == ".wh..wh..opq" {
            empty(&dir, &written)?;
            continue;
        }
        if let Some(name) = name.strip_prefix(".wh.") {
            remove(&dir.join(name))?;
            continue;
        }
        fs::create_dir_all(&dir)?;
        let kind = entry.header().entry_type();
        let is_dir = fs::symlink_metadata(&path).is_ok_and(|found| found.is_dir());
        if !(kind.is_dir() && is_dir) {
            remove(&path)?;
        }
        written.insert(path.clone());
        let file_type = match kind.as_byte() {
            b'3' => FileType::CharacterDevice,
            b'4' => FileType::BlockDevice,
            b'6' => FileType::Fifo,
            _ => {
                entry.unpack_in(root)?;
                continue;
            }
        };
        if is_root || file_type == FileType::Fifo {
            make_node(&path, file_type, entry.header(), is_root)?;
        }
    }
    Ok(())
}

/// Content of the first regular file with that digest.
pub(crate) fn find(layer: impl Read, digest: &str) -> io::Result<Option<Vec<u8>>> {
    for entry in tar::Archive::new(layer).entries()? {
        let mut entry = entry?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let mut content = Vec::new();
        entry.read_to_end(&mut content)?;
        if sha256(&content) == digest {
            return Ok(Some(content));
        }
    }
    Ok(None)
}

fn relative(path: &Path) -> PathBuf {
    path.components().filter(|part| matches!(part, std::path::Component::Normal(_))).collect()
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn remove(path: &Path) -> io::Result<()> {
    let result = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Removes what this layer has not written.
fn empty(dir: &Path, written: &HashSet<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if !written.contains(&path) {
            remove(&path)?;
        }
    }
    Ok(())
}

fn make_node(path: &Path, kind: FileType, header: &tar::Header, own: bool) -> io::Result<()> {
    let (major, minor) = (header.device_major()?, header.device_minor()?);
    let device = makedev(major.unwrap_or_default(), minor.unwrap_or_default());
    let mode = Mode::from_raw_mode(header.mode()? & 0o7777);
    mknodat(CWD, path, kind, mode, device)?;
    let id = |number: u64| u32::try_from(number).unwrap_or_default();
    if own {
        let (uid, gid) = (Uid::from_raw(id(header.uid()?)), Gid::from_raw(id(header.gid()?)));
        chownat(CWD, path, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
    }
    Ok(())
}
