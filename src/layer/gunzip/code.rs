//! Huffman codes (RFC 1951, 3.2), and tables that decode them.
//!
//! A table is indexed by the next `ROOT` bits. A code that is longer leads to a link, behind which there
//! is a smaller table for what follows these bits.

/// Codes have no more bits.
const LONGEST: usize = 15;
/// An alphabet has no more symbols.
pub(super) const SYMBOLS: usize = 288;

/// Lengths that make no code: too many short ones, or bits that mean nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BadCode;

/// What the next bits mean.
///
/// 8 bits: how many bits there are with the extra bits. 5 bits: where the extra bits begin; of a link,
/// how many bits its table takes. 3 flags. 15 bits: a byte, a base or a place. 1 flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry(u32);

impl Entry {
    const LITERAL: u32 = 1 << 31;
    /// Neither a byte nor a base.
    const SPECIAL: u32 = 1 << 15;
    const LINK: u32 = 1 << 14 | Self::SPECIAL;
    const END: u32 = 1 << 13 | Self::SPECIAL;
    /// These bits mean nothing.
    pub(super) const NONE: Self = Self(Self::SPECIAL);

    pub(super) const fn literal(byte: u8) -> Self {
        Self(Self::LITERAL | (byte as u32) << 16)
    }

    /// A number to which extra bits add.
    pub(super) const fn base(value: u16, extra_bits: u32) -> Self {
        Self((value as u32) << 16 | extra_bits)
    }

    pub(super) const fn end() -> Self {
        Self(Self::END)
    }

    fn link(place: usize, bits: u32, root: u32) -> Self {
        Self((place as u32) << 16 | Self::LINK | bits << 8 | root)
    }

    /// With the length of its code.
    fn with_code(self, length: u32) -> Self {
        Self(self.0 + (length << 8 | length))
    }

    #[inline(always)]
    pub(super) fn is_literal(self) -> bool {
        self.0 & Self::LITERAL != 0
    }

    #[inline(always)]
    pub(super) fn is_special(self) -> bool {
        self.0 & Self::SPECIAL != 0
    }

    #[inline(always)]
    pub(super) fn is_link(self) -> bool {
        self.0 & Self::LINK == Self::LINK
    }

    pub(super) fn is_end(self) -> bool {
        self.0 & Self::END == Self::END
    }

    /// Bits of the code with its extra bits; of a link, those before its table.
    #[inline(always)]
    pub(super) fn bits(self) -> u32 {
        self.0 & 0xff
    }

    #[inline(always)]
    pub(super) fn byte(self) -> u8 {
        (self.0 >> 16) as u8
    }

    /// The base with what its extra bits add. `stream` begins with the code.
    #[inline(always)]
    pub(super) fn value(self, stream: u64) -> usize {
        let code_and_extra = stream & ((1 << (self.bits() & 63)) - 1);
        (self.0 >> 16 & 0x7fff) as usize + (code_and_extra >> self.second()) as usize
    }

    #[inline(always)]
    fn second(self) -> u32 {
        self.0 >> 8 & 31
    }
}

/// A table in an array with room for the largest that `ROOT` bits can have. `SIZE` is a power of two.
pub(super) struct Table<const ROOT: u32, const SIZE: usize>([Entry; SIZE]);

impl<const ROOT: u32, const SIZE: usize> Table<ROOT, SIZE> {
    pub(super) const fn new() -> Self {
        Self([Entry::NONE; SIZE])
    }

    /// What the stream begins with, or a link.
    #[inline(always)]
    pub(super) fn first(&self, stream: u64) -> Entry {
        self.0[stream as usize & ((1 << ROOT) - 1) & (SIZE - 1)]
    }

    /// What is behind a link; `stream` without the bits before it.
    #[inline(always)]
    pub(super) fn behind(&self, link: Entry, stream: u64) -> Entry {
        let index = (link.0 >> 16) as usize + (stream as usize & ((1 << link.second()) - 1));
        self.0[index & (SIZE - 1)]
    }

    /// Makes the table for symbols with codes of these lengths; zero: the symbol has none. What they
    /// mean is in `meanings`.
    ///
    /// As zlib has it, a code with fewer than it has room for is good where `may_lack` and one symbol
    /// has one bit, or where there is no symbol: whose bits must not come then.
    pub(super) fn make(
        &mut self,
        lengths: &[u8],
        meanings: &[Entry],
        may_lack: bool,
    ) -> Result<(), BadCode> {
        let mut counts = [0_usize; LONGEST + 1];
        for &length in lengths {
            counts[usize::from(length).min(LONGEST)] += 1;
        }
        counts[0] = 0;
        let longest = counts.iter().rposition(|&count| count > 0).unwrap_or(0);
        // Codes that are not given away, at each length twice as many as before.
        let mut left = 1_usize;
        for count in &counts[1..] {
            left = (2 * left).checked_sub(*count).ok_or(BadCode)?;
        }
        if left > 0 && longest > 0 && !(may_lack && longest == 1) {
            return Err(BadCode);
        }
        if left > 0 {
            self.0[..1 << ROOT].fill(Entry::NONE);
        }
        self.fill(&counts, longest as u32, &sorted(lengths, &counts), meanings);
        Ok(())
    }

    fn fill(&mut self, counts: &Counts, longest: u32, symbols: &[u16; SYMBOLS], all: &[Entry]) {
        let mut symbols = symbols.iter();
        let mut code = 0;
        for length in 1..=ROOT {
            // The bit that is new here may have either value behind all shorter codes.
            let known = 1 << (length - 1);
            self.0.copy_within(..known, known);
            let count = counts.get(length as usize).copied().unwrap_or_default();
            for &symbol in symbols.by_ref().take(count) {
                self.0[code] = all[usize::from(symbol)].with_code(length);
                code = following(code, length);
            }
        }
        let mut links = Links { end: 1 << ROOT, ..Links::default() };
        for length in ROOT + 1..=longest {
            let count = counts[length as usize];
            for (done, &symbol) in symbols.by_ref().take(count).enumerate() {
                let beginning = code & ((1 << ROOT) - 1);
                if links.beginning != Some(beginning) {
                    let bits = Self::room_for(length, counts, done);
                    links = Links {
                        beginning: Some(beginning),
                        start: links.end,
                        end: links.end + (1 << bits),
                    };
                    self.0[beginning] = Entry::link(links.start, bits, ROOT);
                }
                let entry = all[usize::from(symbol)].with_code(length - ROOT);
                let step = 1 << (length - ROOT);
                for at in (links.start + (code >> ROOT)..links.end).step_by(step) {
                    self.0[at & (SIZE - 1)] = entry;
                }
                code = following(code, length);
            }
        }
    }

    /// How many bits a table takes that begins with the code of this length of which so many are done:
    /// codes go on in their order, so it is full when as many of them are in as it has room for.
    fn room_for(length: u32, counts: &Counts, done: usize) -> u32 {
        let mut bits = length - ROOT;
        let mut codes = counts[length as usize] - done;
        while codes < 1 << bits && bits + ROOT < LONGEST as u32 {
            bits += 1;
            codes = 2 * codes + counts[(bits + ROOT) as usize];
        }
        bits
    }
}

/// How many symbols there are with codes of each length.
type Counts = [usize; LONGEST + 1];

/// The table behind the link that was made last.
#[derive(Debug, Default)]
struct Links {
    /// The first bits of the codes in it.
    beginning: Option<usize>,
    start: usize,
    end: usize,
}

/// Symbols in the order of their codes: those with shorter codes first.
fn sorted(lengths: &[u8], counts: &Counts) -> [u16; SYMBOLS] {
    let mut next = [0; LONGEST + 2];
    for length in 1..=LONGEST {
        next[length + 1] = next[length] + counts[length];
    }
    let mut sorted = [0; SYMBOLS];
    for (symbol, &length) in lengths.iter().enumerate().filter(|&(_, &length)| length > 0) {
        let place = &mut next[usize::from(length).min(LONGEST)];
        sorted[*place] = symbol as u16;
        *place += 1;
    }
    sorted
}

/// The next code of this length. A code's first bit is the lowest here, as in the stream.
fn following(code: usize, length: u32) -> usize {
    let free = !code & ((1 << length) - 1);
    match free.checked_ilog2() {
        Some(bit) => code & ((1 << bit) - 1) | 1 << bit,
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NUMBERS: [Entry; SYMBOLS] = {
        let mut numbers = [Entry::NONE; SYMBOLS];
        let mut number = 0;
        while number < SYMBOLS {
            numbers[number] = Entry::base(number as u16, 0);
            number += 1;
        }
        numbers
    };

    fn find<const ROOT: u32, const SIZE: usize>(
        table: &Table<ROOT, SIZE>,
        stream: u64,
    ) -> Option<(usize, u32)> {
        let mut entry = table.first(stream);
        let mut before = 0;
        if entry.is_link() {
            before = entry.bits();
            entry = table.behind(entry, stream >> before);
        }
        (!entry.is_special()).then(|| (entry.value(stream >> before), before + entry.bits()))
    }

    /// Codes as RFC 1951, 3.2.2 gives them out, the first bit highest.
    fn codes(lengths: &[u8]) -> Vec<(usize, u32, u64)> {
        let mut codes = Vec::new();
        let mut code = 0_u64;
        for length in 1..=15 {
            code <<= 1;
            for (symbol, _) in lengths.iter().enumerate().filter(|(_, l)| **l == length) {
                codes.push((symbol, u32::from(length), code));
                code += 1;
            }
        }
        codes
    }

    fn check<const ROOT: u32, const SIZE: usize>(lengths: &[u8]) {
        let mut table = Table::<ROOT, SIZE>::new();
        table.make(lengths, &NUMBERS, false).expect("a code");
        for (symbol, length, code) in codes(lengths) {
            let stream = code.reverse_bits() >> (64 - length);
            for behind in [0, u64::MAX << length] {
                assert_eq!(find(&table, stream | behind), Some((symbol, length)), "{lengths:?}");
            }
        }
    }

    #[test]
    fn codes_are_those_of_the_specification() {
        check::<7, 128>(&[3, 3, 3, 3, 3, 2, 4, 4]);
        check::<9, 1024>(&[1, 1]);
        // One of each length, then two of the longest.
        let mut steps: Vec<u8> = (1..=15).collect();
        steps.push(15);
        check::<9, 1024>(&steps);
        check::<11, 4096>(&steps);
        steps.reverse();
        check::<9, 1024>(&steps);
        let mut fixed = [8; 288];
        fixed[144..256].fill(9);
        fixed[256..280].fill(7);
        check::<11, 4096>(&fixed);
        // Half of all codes are long: 128 of 8 bits, and tables behind links of several sizes.
        let mut long = vec![2];
        long.extend([10; 128]);
        long.extend([12; 128]);
        long.extend([9; 20]);
        let left = 32768 - 8192 - 128 * 32 - 128 * 8 - 20 * 64;
        long.extend(vec![3; left / 4096]);
        let rest = left % 4096;
        long.extend((0..12).filter(|bit| rest >> bit & 1 == 1).map(|bit| 15 - bit as u8));
        check::<9, 1024>(&long);
        check::<11, 4096>(&long);
    }

    #[test]
    fn what_is_no_code_is_refused() {
        let make =
            |lengths: &[u8], may_lack| Table::<9, 1024>::new().make(lengths, &NUMBERS, may_lack);
        assert_eq!(make(&[1, 1, 1], true), Err(BadCode), "too many");
        assert_eq!(make(&[1, 2, 15, 15, 14, 2], true), Err(BadCode), "too many");
        assert_eq!(make(&[2, 2, 2], true), Err(BadCode), "too few");
        assert_eq!(make(&[1], false), Err(BadCode), "too few");
        assert_eq!(make(&[1], true), Ok(()));
        assert_eq!(make(&[0; 30], true), Ok(()));
    }

    #[test]
    fn bits_that_mean_nothing_are_known() {
        let mut table = Table::<9, 1024>::new();
        // What was there before does not shine through.
        table.make(&[9; 256], &NUMBERS, true).expect_err("too few");
        table.make(&[1, 1], &NUMBERS, true).expect("a code");
        table.make(&[0, 0, 1], &NUMBERS, true).expect("one symbol");
        assert_eq!(find(&table, 0b10), Some((2, 1)));
        assert_eq!(find(&table, 0b01), None);
        table.make(&[0, 0], &NUMBERS, true).expect("no symbol");
        assert_eq!((find(&table, 0), find(&table, 1)), (None, None));
    }
}
