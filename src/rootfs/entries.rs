//! A layer as this module sees it: one entry after the other, each with its content.

use std::io::{self, Read};

use crate::layer::Entry;

/// The entries of a layer in their order.
pub trait Entries {
    /// The next entry and its content (empty unless it is a regular file); nothing at the end.
    /// What is not read of the content is skipped.
    fn next_entry(&mut self) -> io::Result<Option<(Entry, Box<dyn Read + '_>)>>;
}
