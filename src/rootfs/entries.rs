//! A layer as this module sees it: one entry after the other, each with its content.

use std::io::{self, BufRead, Read};

use std::path::PathBuf;

use crate::layer::{Entry, Kind, Metadata, TarReader};

/// The entries of a layer in their order.
pub trait Entries {
    /// The next entry and its content (empty unless it is a regular file); nothing at the end.
    /// What is not read of the content is skipped.
    fn next_entry(&mut self) -> io::Result<Option<(Entry, Box<dyn Read + '_>)>>;
}

impl<R: BufRead> Entries for TarReader<R> {
    fn next_entry(&mut self) -> io::Result<Option<(Entry, Box<dyn Read + '_>)>> {
        let Some(mut member) = self.next().map_err(io::Error::other)? else { return Ok(None) };
        let taken = Entry { path: PathBuf::new(), meta: Metadata::default(), kind: Kind::Dir };
        let entry = std::mem::replace(&mut member.entry, taken);
        Ok(Some((entry, Box::new(member))))
    }
}
