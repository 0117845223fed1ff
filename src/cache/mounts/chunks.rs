//! Where a file is cut: at places that its content decides, so that what is put in at one place
//! changes the pieces there and no others.
//!
//! FastCDC (Xia et al., "FastCDC: a Fast and Efficient Content-Defined Chunking Approach", USENIX ATC
//! 2016): a hash rolls over the bytes, and where some of its bits are zero is a cut. Before the normal
//! length more bits have to be zero than after it, so that most pieces are about that long.

use std::io::{self, Read};

/// No piece is shorter, but for a file's last one. So most files of a cache are one piece.
pub const MIN: usize = 16 << 10;
/// Most pieces are about as long.
pub const NORMAL: usize = 64 << 10;
/// No piece is longer.
pub const MAX: usize = 512 << 10;

/// Bits that are zero at a cut before [`NORMAL`], two more than its logarithm has. Those at the top,
/// which depend on the last 64 bytes.
const STRICT: u64 = !0 << (64 - 18);
/// And after it, two fewer.
const LOOSE: u64 = !0 << (64 - 14);

/// A random number for each byte. They are part of the format: with others nothing would be found
/// again.
const GEAR: [u64; 256] = gear();

/// splitmix64 from zero.
const fn gear() -> [u64; 256] {
    let mut table = [0; 256];
    let mut state: u64 = 0;
    let mut at = 0;
    while at < table.len() {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        table[at] = mixed ^ (mixed >> 31);
        at += 1;
    }
    table
}

/// The length of the first piece of these bytes. They are the rest of a file, or [`MAX`] of it.
pub fn cut(bytes: &[u8]) -> usize {
    let end = bytes.len().min(MAX);
    if end <= MIN {
        return end;
    }
    let normal = end.min(NORMAL);
    let mut hash: u64 = 0;
    let mut roll = |byte: u8, mask: u64| {
        hash = (hash << 1).wrapping_add(GEAR[usize::from(byte)]);
        hash & mask == 0
    };
    for (at, byte) in bytes[MIN..normal].iter().enumerate() {
        if roll(*byte, STRICT) {
            return MIN + at + 1;
        }
    }
    for (at, byte) in bytes[normal..end].iter().enumerate() {
        if roll(*byte, LOOSE) {
            return normal + at + 1;
        }
    }
    end
}

/// Hands on the pieces of a file, one after the other.
pub fn each(file: &mut dyn Read, take: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(2 * MAX);
    let mut start = 0;
    loop {
        if buffer.len() - start < MAX {
            buffer.drain(..start);
            start = 0;
            let room = 2 * MAX - buffer.len();
            Read::take(&mut *file, room as u64).read_to_end(&mut buffer)?;
        }
        let rest = &buffer[start..];
        if rest.is_empty() {
            return Ok(());
        }
        let length = cut(rest);
        take(&rest[..length])?;
        start += length;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn random(length: usize) -> Vec<u8> {
        let mut numbers = fastrand::Rng::with_seed(7);
        std::iter::repeat_with(|| numbers.u8(..)).take(length).collect()
    }

    fn pieces(bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        each(&mut &*bytes, &mut |piece| {
            all.push(piece.to_vec());
            Ok(())
        })
        .unwrap();
        all
    }

    #[test]
    fn pieces_are_the_file_and_have_a_piece_s_length() {
        for length in [0, 1, MIN, MIN + 1, MAX, 2 * MAX + 1, 5_000_000] {
            let bytes = random(length);
            let all = pieces(&bytes);
            assert_eq!(all.concat(), bytes);
            let (last, others) = all.split_last().map_or((None, &[][..]), |(l, o)| (Some(l), o));
            assert!(others.iter().all(|piece| (MIN..=MAX).contains(&piece.len())));
            assert!(last.is_none_or(|piece| (1..=MAX).contains(&piece.len())));
        }
        let all = pieces(&random(5_000_000));
        let mean = 5_000_000 / all.len();
        assert!((NORMAL / 2..NORMAL * 2).contains(&mean), "{mean}");
        // Nothing to find in it.
        assert_eq!(pieces(&vec![0; 3 * MAX]).len(), 3);
    }

    #[test]
    fn what_is_put_in_changes_only_the_pieces_around_it() {
        let bytes = random(4_000_000);
        let before: HashSet<Vec<u8>> = pieces(&bytes).into_iter().collect();
        for (at, with) in [(0, "x"), (1_000_000, "some more"), (3_999_999, "at the end")] {
            let mut changed = bytes.clone();
            changed.splice(at..at, with.bytes());
            let after = pieces(&changed);
            let new: usize = after.iter().filter(|piece| !before.contains(*piece)).count();
            assert!(new <= 3, "{at}: {new} of {}", after.len());
        }
    }

    #[test]
    fn where_cuts_are_is_part_of_the_format() {
        let all = pieces(&random(400_000));
        let lengths: Vec<usize> = all.iter().map(Vec::len).collect();
        assert_eq!(lengths, [69_667, 83_321, 72_962, 65_564, 72_769, 35_717]);
    }
}
