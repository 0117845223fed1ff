//! A blob's file, held open: whoever takes it away meanwhile takes its name, not its bytes.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::image::open_regular;

/// See above. Two are the same if they have the same name.
#[derive(Debug, Clone)]
pub struct KeptFile {
    path: PathBuf,
    file: Arc<File>,
}

impl PartialEq for KeptFile {
    fn eq(&self, other: &Self) -> bool {
        self.path == other.path
    }
}

impl Eq for KeptFile {}

impl KeptFile {
    /// Opens it; nothing where no file of this size is there.
    pub(super) fn open(path: PathBuf, size: u64) -> Option<Self> {
        let file = open_regular(&path).ok()?;
        let whole = file.metadata().is_ok_and(|meta| meta.len() == size);
        whole.then(|| Self { path, file: Arc::new(file) })
    }

    /// Its name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its bytes from the first one on, which nobody has checked.
    pub fn bytes(&self) -> impl Read + use<> {
        Bytes { file: self.file.clone(), at: 0 }
    }

    /// Removes it, if it still has its name.
    pub fn remove(&self) -> bool {
        remove(&self.path, &self.file)
    }
}

/// Threads read the same file, each at its own place.
struct Bytes {
    file: Arc<File>,
    at: u64,
}

impl Read for Bytes {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buf, self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

/// Removes what is damaged: as long as it is there, nobody writes a good one. Somebody may have by now.
pub(super) fn remove(path: &Path, open: &File) -> bool {
    let same = |there: &fs::Metadata, open: &fs::Metadata| {
        (there.dev(), there.ino()) == (open.dev(), open.ino())
    };
    match (fs::symlink_metadata(path), open.metadata()) {
        (Ok(there), Ok(open)) if same(&there, &open) => fs::remove_file(path).is_ok(),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lost_its_name_can_be_read_and_what_has_it_now_is_not_removed() {
        let dir = tempfile::tempdir().expect("temp");
        let path = dir.path().join("blob");
        fs::write(&path, "bytes").expect("written");
        assert_eq!(KeptFile::open(path.clone(), 4), None);
        let kept = KeptFile::open(path.clone(), 5).expect("there");
        fs::remove_file(&path).expect("removed");
        fs::write(&path, "other").expect("written");
        for _ in 0..2 {
            let mut text = String::new();
            kept.bytes().read_to_string(&mut text).expect("read");
            assert_eq!(text, "bytes");
        }
        assert!(kept.remove() && path.exists());
        assert!(KeptFile::open(path.clone(), 5).expect("there").remove() && !path.exists());
    }
}
