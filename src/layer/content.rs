//! What files are filled with, without holding it in memory.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use super::entry::Entry;

/// Something that can be read from the start, any number of times.
pub trait Source: Send + Sync {
    /// A reader at the start.
    fn open(&self) -> io::Result<Box<dyn Read + Send + '_>>;
}

/// The bytes of one object.
#[derive(Default)]
pub enum Content {
    /// None: a directory, a link, an empty file.
    #[default]
    None,
    /// Small and in memory, such as a heredoc.
    Bytes(Vec<u8>),
    /// Anywhere else.
    Source(Box<dyn Source>),
}

impl Content {
    /// A reader at the start of the bytes.
    pub fn open(&self) -> io::Result<Box<dyn Read + Send + '_>> {
        match self {
            Self::None => Ok(Box::new(io::empty())),
            Self::Bytes(bytes) => Ok(Box::new(bytes.as_slice())),
            Self::Source(source) => source.open(),
        }
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Bytes(bytes) => write!(f, "Bytes({})", bytes.len()),
            Self::Source(_) => f.write_str("Source"),
        }
    }
}

/// An object and its bytes.
#[derive(Debug)]
pub struct Node {
    /// Path, metadata, kind.
    pub entry: Entry,
    /// The bytes, where the kind is a file.
    pub content: Content,
}

/// Objects by path, parents before children: `Path` compares component by component.
pub type Tree = BTreeMap<PathBuf, Node>;

/// A part of an open file. Reading does not move the file's own position, so slices of one file can
/// be read side by side.
#[derive(Debug, Clone)]
pub struct FileSlice {
    /// The file.
    pub file: Arc<File>,
    /// Where the part starts, in bytes.
    pub offset: u64,
    /// How many bytes it has.
    pub len: u64,
}

impl Source for FileSlice {
    fn open(&self) -> io::Result<Box<dyn Read + Send + '_>> {
        Ok(Box::new(SliceReader { file: &self.file, offset: self.offset, left: self.len }))
    }
}

struct SliceReader<'a> {
    file: &'a File,
    offset: u64,
    left: u64,
}

impl Read for SliceReader<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(buf.len());
        let count = self.file.read_at(&mut buf[..wanted], self.offset)?;
        self.offset += count as u64;
        self.left -= count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn slices_of_one_file_do_not_disturb_each_other() {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(b"0123456789").expect("written");
        let file = Arc::new(file);
        let slice = |offset, len| FileSlice { file: file.clone(), offset, len };
        let (left, right, past) = (slice(2, 3), slice(4, 2), slice(8, 9));
        let (mut a, mut b) = (left.open().expect("opens"), right.open().expect("opens"));
        let mut pair = [0; 1];
        a.read_exact(&mut pair).expect("read");
        assert_eq!(io::read_to_string(&mut b).expect("text"), "45");
        assert_eq!(io::read_to_string(&mut a).expect("text"), "34");
        // Shorter than promised: the caller, who knows the size, sees it.
        assert_eq!(io::read_to_string(past.open().expect("opens")).expect("text"), "89");
    }
}
