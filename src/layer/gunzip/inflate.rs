//! Deflate (RFC 1951): blocks, and what is in them.

use std::io;

use super::bits::Bits;
use super::code::{Entry, SYMBOLS, Table};
use super::copies::{SPOILT, copy};
use super::damaged;
use super::symbols::{Ended, NO_DISTANCE, NO_SYMBOL, TOO_FAR, symbols};

/// Plain bytes: those that were made last, behind those that a distance may reach.
pub(super) const BUFFER: usize = 256 << 10;
const HISTORY: usize = 32 << 10;
/// Room for what one round of [`symbols`] makes: two literals and the longest copy.
pub(super) const ROOM: usize = 2 + LONGEST_COPY + SPOILT;
const LONGEST_COPY: usize = 258;

/// What the codes of a block mean. Links need no more room than this with any code (`enough` of zlib's
/// examples: 2342 for 286 symbols and 11 bits, 594 for 30 symbols and 9 bits).
pub(super) struct Codes {
    pub(super) literals: Table<11, 4096>,
    pub(super) distances: Table<9, 1024>,
}

/// Whether there is more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    Full,
    Ended,
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Block,
    Stored { left: usize },
    Symbols,
}

/// Makes plain bytes.
pub(super) struct Inflate<'a> {
    pub(super) bits: Bits<'a>,
    codes: Box<Codes>,
    /// Whether the codes are those that need not be given.
    are_fixed: bool,
    next: Next,
    is_last: bool,
    out: Box<[u8; BUFFER]>,
    /// Of `out`: where what a distance may reach begins, what nobody has taken, and what is not made yet.
    floor: usize,
    taken: usize,
    at: usize,
}

impl<'a> Inflate<'a> {
    pub(super) fn new(bits: Bits<'a>) -> Self {
        let codes = Box::new(Codes { literals: Table::new(), distances: Table::new() });
        let out = Box::new([0; BUFFER]);
        let next = Next::Block;
        Self { bits, codes, are_fixed: false, next, is_last: false, out, floor: 0, taken: 0, at: 0 }
    }

    /// A stream begins; nothing of the one before can be copied.
    pub(super) fn begin(&mut self) {
        self.next = Next::Block;
        self.is_last = false;
        self.floor = self.at;
    }

    /// What is made and was not taken.
    pub(super) fn ready(&self) -> &[u8] {
        &self.out[self.taken..self.at]
    }

    pub(super) fn take(&mut self, count: usize) {
        self.taken += count;
    }

    /// Makes as much as there is room for, when all was taken.
    pub(super) fn advance(&mut self) -> io::Result<Progress> {
        self.make_room();
        while self.has_room() {
            match self.next {
                Next::Block if self.is_last => return Ok(Progress::Ended),
                Next::Block => self.next = self.block()?,
                Next::Stored { left: 0 } => self.next = Next::Block,
                Next::Stored { left } => self.stored(left)?,
                Next::Symbols => self.symbols()?,
            }
        }
        Ok(Progress::Full)
    }

    fn has_room(&self) -> bool {
        self.at <= BUFFER - ROOM
    }

    fn make_room(&mut self) {
        if !self.has_room() {
            let gone = self.at - HISTORY;
            self.out.copy_within(gone..self.at, 0);
            self.at = HISTORY;
            self.floor = self.floor.saturating_sub(gone);
        }
        self.taken = self.at;
    }

    /// The beginning of a block.
    fn block(&mut self) -> io::Result<Next> {
        self.is_last = self.bits.take(1)? == 1;
        match self.bits.take(2)? {
            0 => {
                self.bits.align();
                let (length, inverted) = (self.bits.take(16)?, self.bits.take(16)?);
                if length != !inverted & 0xffff {
                    return Err(damaged("the length of a stored block is wrong"));
                }
                return Ok(Next::Stored { left: length as usize });
            }
            1 => self.make_fixed_codes()?,
            2 => self.read_codes()?,
            _ => return Err(damaged("a block is of no known kind")),
        }
        Ok(Next::Symbols)
    }

    /// RFC 1951, 3.2.7: codes are given by their lengths, which have a code themselves.
    fn read_codes(&mut self) -> io::Result<()> {
        let literals = 257 + self.bits.take(5)? as usize;
        let distances = 1 + self.bits.take(5)? as usize;
        let given = 4 + self.bits.take(4)? as usize;
        if literals > 286 || distances > 30 {
            return Err(damaged("a block has more symbols than there are"));
        }
        let mut of_lengths = [0; 19];
        for &symbol in &ORDER[..given] {
            of_lengths[symbol] = self.bits.take(3)? as u8;
        }
        let mut code = Table::<7, 128>::new();
        code.make(&of_lengths, &LENGTHS, false)
            .map_err(|_| damaged("the code of a block's codes is none"))?;
        let mut lengths = [0; 286 + 30];
        let lengths = &mut lengths[..literals + distances];
        self.read_lengths(&code, lengths)?;
        if lengths[256] == 0 {
            return Err(damaged("a block has no end"));
        }
        let (literals, distances) = lengths.split_at(literals);
        self.make_codes(literals, distances)
    }

    fn read_lengths(&mut self, code: &Table<7, 128>, lengths: &mut [u8]) -> io::Result<()> {
        let mut at = 0;
        while at < lengths.len() {
            self.bits.refill()?;
            let entry = code.first(self.bits.buffer);
            if entry.is_special() {
                return Err(damaged("bits that are no length of a code"));
            }
            let symbol = entry.value(self.bits.buffer);
            self.bits.used(entry.bits())?;
            let (length, count) = match symbol {
                16 => {
                    let before = at.checked_sub(1).and_then(|before| lengths.get(before));
                    let before = before.ok_or_else(|| damaged("the first length is repeated"))?;
                    (*before, 3 + self.bits.take(2)?)
                }
                17 => (0, 3 + self.bits.take(3)?),
                18 => (0, 11 + self.bits.take(7)?),
                length => (length as u8, 1),
            };
            let end = at + count as usize;
            let same = lengths.get_mut(at..end);
            same.ok_or_else(|| damaged("more lengths than symbols"))?.fill(length);
            at = end;
        }
        Ok(())
    }

    /// Not again where they are there: a block may have ten bits, and making them takes far longer.
    fn make_fixed_codes(&mut self) -> io::Result<()> {
        if !self.are_fixed {
            self.make_codes(&FIXED, &[5; 32])?;
            self.are_fixed = true;
        }
        Ok(())
    }

    fn make_codes(&mut self, literals: &[u8], distances: &[u8]) -> io::Result<()> {
        self.are_fixed = false;
        let made = self.codes.literals.make(literals, &LITERALS, true);
        made.map_err(|_| damaged("the code of a block's bytes and lengths is none"))?;
        let made = self.codes.distances.make(distances, &DISTANCES, true);
        made.map_err(|_| damaged("the code of a block's distances is none"))
    }

    fn stored(&mut self, left: usize) -> io::Result<()> {
        let end = (self.at + left).min(BUFFER);
        let count = self.bits.copy(&mut self.out[self.at..end])?;
        if count == 0 {
            self.bits.used(1)?;
        }
        self.at += count;
        self.next = Next::Stored { left: left - count };
        Ok(())
    }

    fn symbols(&mut self) -> io::Result<()> {
        self.bits.read()?;
        let (bits, out) = (&mut self.bits, &mut self.out);
        let ended = symbols(bits, &self.codes, out, &mut self.at, self.floor)?;
        match ended {
            Ended::Block => self.next = Next::Block,
            Ended::Scarce if self.has_room() => self.symbol()?,
            Ended::Scarce => {}
        }
        Ok(())
    }

    /// One symbol, whose bits may be the last of the input.
    fn symbol(&mut self) -> io::Result<()> {
        self.bits.refill()?;
        let mut entry = self.codes.literals.first(self.bits.buffer);
        if entry.is_link() {
            self.bits.used(entry.bits())?;
            entry = self.codes.literals.behind(entry, self.bits.buffer);
        }
        let stream = self.bits.buffer;
        self.bits.used(entry.bits())?;
        if entry.is_literal() {
            self.out[self.at] = entry.byte();
            self.at += 1;
        } else if entry.is_end() {
            self.next = Next::Block;
        } else if entry.is_special() {
            return Err(damaged(NO_SYMBOL));
        } else {
            self.copy(entry.value(stream))?;
        }
        Ok(())
    }

    fn copy(&mut self, length: usize) -> io::Result<()> {
        self.bits.refill()?;
        let mut entry = self.codes.distances.first(self.bits.buffer);
        if entry.is_link() {
            self.bits.used(entry.bits())?;
            entry = self.codes.distances.behind(entry, self.bits.buffer);
        }
        let distance = entry.value(self.bits.buffer);
        self.bits.used(entry.bits())?;
        if entry.is_special() {
            return Err(damaged(NO_DISTANCE));
        }
        if distance > self.at - self.floor {
            return Err(damaged(TOO_FAR));
        }
        copy(&mut self.out, self.at, distance, length);
        self.at += length;
        Ok(())
    }
}

/// In which order the lengths of the code of lengths are given.
const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/// RFC 1951, 3.2.6: the lengths of a code that needs not be given.
static FIXED: [u8; SYMBOLS] = {
    let mut lengths = [8; SYMBOLS];
    let mut symbol = 144;
    while symbol < 280 {
        lengths[symbol] = if symbol < 256 { 9 } else { 7 };
        symbol += 1;
    }
    lengths
};

/// RFC 1951, 3.2.5: bytes, the end, and the lengths of copies. 286 and 287 have codes and no meaning.
static LITERALS: [Entry; SYMBOLS] = {
    let mut meanings = [Entry::NONE; SYMBOLS];
    let mut symbol = 0;
    while symbol < 256 {
        meanings[symbol] = Entry::literal(symbol as u8);
        symbol += 1;
    }
    meanings[256] = Entry::end();
    let mut length = 3;
    symbol = 257;
    while symbol < 285 {
        let extra_bits = if symbol < 265 { 0 } else { (symbol as u32 - 261) / 4 };
        meanings[symbol] = Entry::base(length, extra_bits);
        length += 1 << extra_bits;
        symbol += 1;
    }
    meanings[285] = Entry::base(LONGEST_COPY as u16, 0);
    meanings
};

/// The same of distances. 30 and 31 have codes and no meaning.
static DISTANCES: [Entry; 32] = {
    let mut meanings = [Entry::NONE; 32];
    let (mut symbol, mut distance) = (0, 1_u32);
    while symbol < 30 {
        let extra_bits = if symbol < 4 { 0 } else { (symbol as u32 - 2) / 2 };
        meanings[symbol] = Entry::base(distance as u16, extra_bits);
        distance += 1 << extra_bits;
        symbol += 1;
    }
    meanings
};

/// Lengths of codes, and the three symbols that repeat them.
static LENGTHS: [Entry; 19] = {
    let mut meanings = [Entry::NONE; 19];
    let mut length = 0;
    while length < 19 {
        meanings[length] = Entry::base(length as u16, 0);
        length += 1;
    }
    meanings
};
