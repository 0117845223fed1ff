//! The tree of which layers are made: files as images have them, the same in each run.

use std::fs;
use std::io;
use std::path::Path;

/// How many files.
pub(super) const FILES: usize = 20_000;
const PER_DIRECTORY: usize = 100;
/// So many sizes, one KiB apart, take turns: 25 KiB on average.
const SIZES: usize = 49;

/// Writes the tree. Returns the bytes of its files.
///
/// # Errors
/// If the disk refuses.
pub(super) fn write(dir: &Path) -> io::Result<u64> {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut content = Vec::new();
    let mut bytes = 0;
    for number in 0..FILES {
        let place = dir.join(format!("{:03}", number / PER_DIRECTORY));
        if number % PER_DIRECTORY == 0 {
            fs::create_dir_all(&place)?;
        }
        // 31 and 49 have no common divisor: all sizes come.
        fill(&mut content, (number * 31 % SIZES + 1) << 10, number % 4, &mut random);
        fs::write(place.join(format!("{number:05}")), &content)?;
        bytes += content.len() as u64;
    }
    Ok(bytes)
}

/// A quarter is like packages and pictures, a half like scripts, a quarter like programs.
fn fill(content: &mut Vec<u8>, size: usize, kind: usize, random: &mut Random) {
    content.clear();
    while content.len() < size {
        let next = random.next();
        match kind {
            0 => content.extend_from_slice(&next.to_le_bytes()),
            1 | 2 => {
                // Words of which few are frequent.
                let word = (next % 997) * (next >> 32) % 997;
                content.extend_from_slice(format!("w{word:x} ").as_bytes());
                if next.is_multiple_of(11) {
                    content.extend_from_slice(b"\n    ");
                }
            }
            // Small numbers in a wide frame, as in tables and in code.
            _ => content.extend_from_slice(&(next & 0x0300_00ff_0000_fff0).to_le_bytes()),
        }
    }
    content.truncate(size);
}

/// Marsaglia's xorshift: the same numbers in each run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_have_their_size_and_are_always_the_same() {
        let of = |kind| {
            let (mut content, mut random) = (Vec::new(), Random(7));
            fill(&mut content, 5_000, kind, &mut random);
            content
        };
        for kind in 0..4 {
            assert_eq!(of(kind).len(), 5_000);
            assert_eq!(of(kind), of(kind));
        }
        assert_ne!(of(0), of(1));
    }
}
