//! The loop in which nearly all of the time goes: symbols, as long as there is plenty of input and room.

use std::io;

use super::bits::{Bits, INPUT};
use super::code::Entry;
use super::copies::copy;
use super::damaged;
use super::inflate::{BUFFER, Codes, ROOM};

/// Input that one round takes at most: three words of 8 bytes.
const AHEAD: usize = 24;

/// Why the loop ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// So did the block.
    Block,
    /// Little is left of the input that was read, or of the room.
    Scarce,
}

/// Decodes symbols to `out` from `at` on, which goes forward; what is before `floor` is nobody's.
///
/// What is known at the beginning of each round, and what keeps all sums within 64 bits: there are at
/// least 56 bits. Three literals take 33 (links are no literals); a length takes 15 and 5, a distance 15
/// and 13.
pub(super) fn symbols(
    bits: &mut Bits<'_>,
    codes: &Codes,
    out: &mut [u8; BUFFER],
    at: &mut usize,
    floor: usize,
) -> io::Result<Ended> {
    let mut stream = Stream { buffer: bits.buffer, count: bits.count, at: bits.at };
    let input = &*bits.input;
    let ended = decode(&mut stream, input, bits.end, codes, out, at, floor);
    bits.buffer = stream.buffer & ((1 << stream.count) - 1);
    bits.count = stream.count;
    bits.at = stream.at;
    ended.map_err(damaged)
}

#[inline(always)]
fn decode(
    stream: &mut Stream,
    input: &[u8; INPUT],
    end: usize,
    codes: &Codes,
    out: &mut [u8; BUFFER],
    place: &mut usize,
    floor: usize,
) -> Result<Ended, &'static str> {
    let (literals, distances) = (&codes.literals, &codes.distances);
    let end = end.saturating_sub(AHEAD);
    let mut at = *place;
    let mut bits = Stream { ..*stream };
    if bits.at >= end || at > BUFFER - ROOM {
        return Ok(Ended::Scarce);
    }
    bits.refill(input);
    let mut entry = literals.first(bits.buffer);
    let ended = loop {
        if bits.at >= end || at > BUFFER - ROOM {
            break Ok(Ended::Scarce);
        }
        // Where the entry's bits begin, as those beyond its code are looked at later.
        let mut before = bits.take(entry);
        if entry.is_literal() {
            put(out, &mut at, entry);
            entry = literals.first(bits.buffer);
            before = bits.take(entry);
            if entry.is_literal() {
                put(out, &mut at, entry);
                entry = literals.first(bits.buffer);
                before = bits.take(entry);
                if entry.is_literal() {
                    put(out, &mut at, entry);
                    bits.refill(input);
                    entry = literals.first(bits.buffer);
                    continue;
                }
            }
            bits.refill(input);
        }
        if entry.is_special() {
            if entry.is_link() {
                bits.refill(input);
                entry = literals.behind(entry, bits.buffer);
                before = bits.take(entry);
                if entry.is_literal() {
                    put(out, &mut at, entry);
                    bits.refill(input);
                    entry = literals.first(bits.buffer);
                    continue;
                }
            }
            if entry.is_special() {
                break if entry.is_end() { Ok(Ended::Block) } else { Err(NO_SYMBOL) };
            }
        }
        let length = entry.value(before);
        let mut far = distances.first(bits.buffer);
        if far.is_special() {
            if far.is_link() {
                bits.used(far.bits());
                far = distances.behind(far, bits.buffer);
            }
            if far.is_special() {
                break Err(NO_DISTANCE);
            }
        }
        let distance = far.value(bits.buffer);
        bits.used(far.bits());
        bits.refill(input);
        // While what is copied comes from memory.
        entry = literals.first(bits.buffer);
        if distance > at - floor {
            break Err(TOO_FAR);
        }
        copy(out, at, distance, length);
        at += length;
    };
    *place = at;
    *stream = bits;
    ended
}

#[inline(always)]
fn put(out: &mut [u8; BUFFER], at: &mut usize, literal: Entry) {
    out[*at] = literal.byte();
    *at += 1;
}

pub(super) const NO_SYMBOL: &str = "bits that are no symbol";
pub(super) const NO_DISTANCE: &str = "bits that are no distance";
pub(super) const TOO_FAR: &str = "a distance to before the beginning";

/// What [`Bits`] has, where the compiler keeps it in registers. Above `count` there are bits of the input
/// too; they are added once more, and the same.
struct Stream {
    buffer: u64,
    count: u32,
    at: usize,
}

impl Stream {
    /// To at least 56 bits, from 8 bytes that are there.
    #[inline(always)]
    fn refill(&mut self, input: &[u8; INPUT]) {
        let word = input[self.at..].first_chunk().copied().unwrap_or_default();
        self.buffer |= u64::from_le_bytes(word) << self.count;
        self.at += ((63 - self.count) >> 3) as usize;
        self.count |= 56;
    }

    /// Uses the bits of an entry. Returns what there was before.
    #[inline(always)]
    fn take(&mut self, entry: Entry) -> u64 {
        let before = self.buffer;
        self.used(entry.bits());
        before
    }

    #[inline(always)]
    fn used(&mut self, count: u32) {
        self.buffer >>= count & 63;
        self.count -= count;
    }
}
