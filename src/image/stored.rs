//! Documents and blobs as files that a stranger may have laid there.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use rustix::fs::{Mode, OFlags};

/// Bytes of the largest document, on disk and from a registry: twice what registries take
/// (distribution's limit is 4 MiB).
pub const DOCUMENT_MAX: u64 = 8 << 20;

/// Opens a file, and nothing that only looks like one: a pipe would never end.
pub fn open_regular(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    Ok(file)
}

/// Reads a document whole.
///
/// # Errors
/// Those of [`open_regular`], and more than [`DOCUMENT_MAX`] bytes.
pub fn read_document(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_regular(path)?.take(DOCUMENT_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > DOCUMENT_MAX {
        return Err(io::Error::other("it is too long"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_of_a_documents_size_are_read() {
        let dir = tempfile::tempdir().expect("temp");
        let path = |name: &str| dir.path().join(name);
        std::fs::write(path("file"), "{}").expect("written");
        assert_eq!(read_document(&path("file")).expect("a file"), b"{}");
        let mode = Mode::from_raw_mode(0o600);
        rustix::fs::mkfifoat(rustix::fs::CWD, path("pipe"), mode).expect("a pipe");
        let long = File::create(path("long")).expect("a file");
        long.set_len(DOCUMENT_MAX + 1).expect("a hole");
        for (name, why) in [("pipe", "no file"), (".", "no file"), ("long", "too long")] {
            let error = read_document(&path(name)).expect_err(name).to_string();
            assert!(error.contains(why), "{name}: {error}");
        }
        long.set_len(DOCUMENT_MAX).expect("a hole");
        assert!(read_document(&path("long")).is_ok());
    }
}
