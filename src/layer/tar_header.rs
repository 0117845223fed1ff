//! The 512-byte header block: where its fields are, and how numbers are written in them.
//!
//! Source: POSIX.1-2017 pax, "ustar Interchange Format"; GNU tar manual, "Basic Tar Format".

use std::ops::Range;

/// Everything in an archive is a multiple of this long.
pub(super) const BLOCK: usize = 512;

pub(super) const NAME: Range<usize> = 0..100;
pub(super) const MODE: Range<usize> = 100..108;
pub(super) const UID: Range<usize> = 108..116;
pub(super) const GID: Range<usize> = 116..124;
pub(super) const SIZE: Range<usize> = 124..136;
pub(super) const MTIME: Range<usize> = 136..148;
pub(super) const CHECKSUM: Range<usize> = 148..156;
pub(super) const TYPE: usize = 156;
pub(super) const LINK: Range<usize> = 157..257;
/// Magic and version together.
pub(super) const MAGIC: Range<usize> = 257..265;
pub(super) const DEV_MAJOR: Range<usize> = 329..337;
pub(super) const DEV_MINOR: Range<usize> = 337..345;
/// Start of the path, in ustar.
pub(super) const PREFIX: Range<usize> = 345..500;
/// Start of the path in Schilling's star, which has times behind it and `tar` at the end.
pub(super) const STAR_PREFIX: Range<usize> = 345..476;
pub(super) const STAR_TRAILER: Range<usize> = 508..512;
/// GNU keeps times where ustar has the prefix.
pub(super) const GNU_ATIME: Range<usize> = 345..357;
pub(super) const GNU_CTIME: Range<usize> = 357..369;
/// GNU's old sparse format: four pieces, whether more follow, and the whole length.
pub(super) const GNU_SPARSE: Range<usize> = 386..482;
pub(super) const GNU_EXTENDED: usize = 482;
pub(super) const GNU_REAL_SIZE: Range<usize> = 483..495;

pub(super) const USTAR_MAGIC: &[u8; 8] = b"ustar\x0000";
pub(super) const GNU_MAGIC: &[u8; 8] = b"ustar  \x00";

/// The largest number in an octal field of so many bytes, of which the last is a NUL.
pub(super) const fn largest_octal(field: usize) -> u64 {
    (1 << (3 * (field - 1))) - 1
}

/// The sum of all bytes, those of the checksum itself taken as spaces; and the same with signed
/// bytes, which some old implementations wrote.
pub(super) fn checksums(block: &[u8; BLOCK]) -> (u64, i64) {
    let field = |index| CHECKSUM.contains(&index);
    let bytes = || block.iter().enumerate().map(|(i, b)| if field(i) { b' ' } else { *b });
    (bytes().map(u64::from).sum(), bytes().map(|byte| i64::from(byte.cast_signed())).sum())
}

/// Writes octal digits with leading zeros and a NUL. The caller has checked that it fits.
pub(super) fn put_octal(field: &mut [u8], mut value: u64) {
    let last = field.len() - 1;
    field[last] = 0;
    for digit in field[..last].iter_mut().rev() {
        *digit = b'0' + (value & 7) as u8;
        value >>= 3;
    }
}

/// Reads a number: octal digits between spaces and NULs, or GNU's base 256, told by the first bit.
/// An empty field is zero. `None` where it is neither, or beyond 63 bits.
pub(super) fn number(field: &[u8]) -> Option<i64> {
    match field.first()? {
        0x80..=0xff => base_256(field),
        _ => octal(field),
    }
}

fn octal(field: &[u8]) -> Option<i64> {
    let padding = |byte: &u8| matches!(byte, b' ' | 0);
    let start = field.iter().position(|byte| !padding(byte)).unwrap_or(field.len());
    let digits = &field[start..];
    let end = digits.iter().position(padding).unwrap_or(digits.len());
    let (digits, rest) = digits.split_at(end);
    // Whatever follows a NUL is left over from an earlier use of the buffer in some old writers;
    // after spaces there may only be more padding.
    if rest.first() == Some(&b' ') && !rest.iter().all(padding) {
        return None;
    }
    digits.iter().try_fold(0_i64, |value, digit| {
        let digit = (b'0'..=b'7').contains(digit).then(|| i64::from(digit - b'0'))?;
        value.checked_mul(8)?.checked_add(digit)
    })
}

fn base_256(field: &[u8]) -> Option<i64> {
    let negative = field[0] & 0x40 != 0;
    // Two's complement, without the bit that says base 256.
    let first = if negative { field[0] } else { field[0] & 0x7f };
    let start = i128::from(first.cast_signed());
    let value = field[1..]
        .iter()
        .try_fold(start, |value, byte| value.checked_mul(256)?.checked_add(i128::from(*byte)))?;
    i64::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        for (field, expected) in [
            (&b"0000644\0"[..], Some(0o644)),
            (b"   644 \0", Some(0o644)),
            (b"644     ", Some(0o644)),
            (b"77777777", Some(0o77_777_777)),
            (b"\0\0\0\0", Some(0)),
            (b"        ", Some(0)),
            (b"12\0junk!", Some(0o12)),
            (b"12 34   ", None),
            (b"0000648\0", None),
            (b"-1      ", None),
            (b"\x80\0\0\0\0\0\0\0\0\0\x01\0", Some(256)),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe", Some(-2)),
            (b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff", Some(i64::MAX)),
            (b"\x80\0\0\0\x80\0\0\0\0\0\0\0", None),
            (b"\xbf\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", None),
        ] {
            assert_eq!(number(field), expected, "{field:?}");
        }
    }

    #[test]
    fn octal_survives_a_round_trip() {
        assert_eq!(largest_octal(8), 0o7_777_777);
        for value in [0, 1, 0o644, largest_octal(12)] {
            let mut field = [b'x'; 12];
            put_octal(&mut field, value);
            assert_eq!(number(&field), Some(value.cast_signed()));
        }
    }
}
