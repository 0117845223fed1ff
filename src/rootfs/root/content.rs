//! Comparing content without holding it.

use std::io::{self, Read};

const BLOCK: u64 = 64 * 1024;

/// Whether two readers yield the same bytes to their ends.
pub(super) fn same_bytes(left: &mut dyn Read, right: &mut dyn Read) -> io::Result<bool> {
    let (mut one, mut other) = (Vec::new(), Vec::new());
    loop {
        one.clear();
        other.clear();
        Read::take(&mut *left, BLOCK).read_to_end(&mut one)?;
        Read::take(&mut *right, BLOCK).read_to_end(&mut other)?;
        if one != other {
            return Ok(false);
        }
        if one.is_empty() {
            return Ok(true);
        }
    }
}
