//! Deltas: an object as parts of another one and bytes of its own (gitformat-pack(5)).

use std::io::{self, BufRead, Read, Write};

use super::content::Content;
use super::wrong::{Wrong, unusable};

/// The sizes at the beginning of a delta: of the base, and of the result.
pub(super) fn sizes(delta: &mut impl BufRead) -> Result<(u64, u64), Wrong> {
    Ok((size(delta)?, size(delta)?))
}

fn size(delta: &mut impl BufRead) -> Result<u64, Wrong> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = next(delta)?.ok_or_else(cut)?;
        let bits = u64::from(byte & 0x7f);
        if bits.checked_shl(shift).is_none_or(|moved| moved >> shift != bits) {
            break;
        }
        value |= bits << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    unusable("the pack is damaged: a delta has a size that is no number")
}

fn cut() -> Wrong {
    Wrong::Unusable("the pack is damaged: a delta is cut off".into())
}

fn next(delta: &mut impl BufRead) -> Result<Option<u8>, Wrong> {
    let mut byte = [0];
    let read = delta.read(&mut byte).map_err(Wrong::of_stream)?;
    Ok((read == 1).then_some(byte[0]))
}

/// Carries out what follows the sizes. `into` gets exactly `size` bytes.
pub(super) fn apply(
    base: &Content,
    delta: &mut impl BufRead,
    size: u64,
    into: &mut impl Write,
) -> Result<(), Wrong> {
    let mut left = size;
    while let Some(order) = next(delta)? {
        let part = if order & 0x80 == 0 { u64::from(order) } else { 0 };
        if order & 0x80 != 0 {
            let (from, length) = place(order, delta)?;
            let inside = from.checked_add(length).is_some_and(|end| end <= base.len());
            if !inside || length > left {
                return unusable("the pack is damaged: a delta copies what is not there");
            }
            base.part(from, length, |bytes| into.write_all(bytes)).map_err(Wrong::of_stream)?;
            left -= length;
        } else if part == 0 || part > left {
            return unusable("the pack is damaged: a delta has an order that means nothing");
        } else {
            let copied = io::copy(&mut delta.by_ref().take(part), into);
            if copied.map_err(Wrong::of_stream)? != part {
                return Err(cut());
            }
            left -= part;
        }
    }
    if left == 0 { Ok(()) } else { unusable("the pack is damaged: a delta makes too few bytes") }
}

/// Where to copy from, and how much.
fn place(order: u8, delta: &mut impl BufRead) -> Result<(u64, u64), Wrong> {
    let mut number = |bits: std::ops::Range<u32>| {
        let mut value = 0_u64;
        for (at, bit) in bits.enumerate() {
            if order & (1 << bit) != 0 {
                value |= u64::from(next(delta)?.ok_or_else(cut)?) << (8 * at);
            }
        }
        Ok::<_, Wrong>(value)
    };
    let from = number(0..4)?;
    let length = number(4..7)?;
    Ok((from, if length == 0 { 0x10000 } else { length }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(base: &[u8], delta: &[u8], size: u64) -> Result<Vec<u8>, Wrong> {
        let mut into = Vec::new();
        apply(&Content::Memory(base.to_vec()), &mut &*delta, size, &mut into)?;
        Ok(into)
    }

    #[test]
    fn parts_are_put_together() {
        let delta = [0x91, 2, 3, 2, b'x', b'y', 0x90, 1];
        assert_eq!(applied(b"abcdef", &delta, 6).expect("applied"), b"cdexya");
        let long = vec![7; 0x10000];
        assert_eq!(applied(&long, &[0x80], 0x10000).expect("applied"), long);
        assert_eq!(sizes(&mut &[0x80, 1, 5][..]).expect("sizes"), (128, 5));
    }

    #[test]
    fn what_is_not_there_is_not_copied() {
        for (delta, size) in [
            (&[0x91, 5, 2][..], 2),
            (&[0x9f, 255, 255, 255, 255, 2], 2),
            (&[0x90, 6], 5),
            (&[0], 1),
            (&[3, 1], 3),
            (&[0x91, 5], 3),
            (&[0x90, 2], 3),
            (&[], 1),
        ] {
            assert!(applied(b"abcdef", delta, size).is_err(), "{delta:?}");
        }
        assert!(sizes(&mut &[0xff; 12][..]).is_err());
    }
}
