//! Copies within the output: what a length and a distance stand for (RFC 1951, 3.2.3).

use super::inflate::BUFFER;

/// Bytes beyond its end that a copy may spoil; what comes next is written over them.
pub(super) const SPOILT: usize = 2 * WIDE - 1;
const WIDE: usize = 16;
const NARROW: usize = 8;

/// Copies `length` bytes to `at` from `distance` before it, where there are so many.
#[inline(always)]
pub(super) fn copy(out: &mut [u8; BUFFER], at: usize, distance: usize, length: usize) {
    let (from, end) = (at - distance, at + length);
    if distance >= WIDE {
        // Most are no longer than this, and a branch that nobody can foretell costs more than a copy.
        copy_chunk::<WIDE>(out, from, at);
        copy_chunk::<WIDE>(out, from + WIDE, at + WIDE);
        for done in (2 * WIDE..length).step_by(WIDE) {
            copy_chunk::<WIDE>(out, from + done, at + done);
        }
    } else if distance == 1 {
        let byte = out[from];
        out[at..end].fill(byte);
    } else if distance >= NARROW {
        for done in (0..length).step_by(NARROW) {
            copy_chunk::<NARROW>(out, from + done, at + done);
        }
    } else {
        // The copy overlaps what it makes.
        for place in at..end {
            out[place] = out[place - distance];
        }
    }
}

#[inline(always)]
fn copy_chunk<const SIZE: usize>(out: &mut [u8; BUFFER], from: usize, to: usize) {
    if let Some(&chunk) = out[from..].first_chunk::<SIZE>()
        && let Some(place) = out[to..].first_chunk_mut::<SIZE>()
    {
        *place = chunk;
    }
}
