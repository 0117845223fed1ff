use std::io::{self, Read, Write};

use flate2::Compression;
use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;

use super::Gunzip;

/// What kiln's own decoder makes of data that comes in pieces of this size.
fn own(packed: &[u8], piece: usize) -> io::Result<Vec<u8>> {
    let mut plain = Vec::new();
    Gunzip::new(Pieces { rest: packed, piece }).read_to_end(&mut plain)?;
    Ok(plain)
}

/// What a library makes of it.
fn library(packed: &[u8]) -> io::Result<Vec<u8>> {
    let mut plain = Vec::new();
    MultiGzDecoder::new(packed).read_to_end(&mut plain)?;
    Ok(plain)
}

struct Pieces<'a> {
    rest: &'a [u8],
    piece: usize,
}

impl Read for Pieces<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = buf.len().min(self.piece).min(self.rest.len());
        buf[..count].copy_from_slice(&self.rest[..count]);
        self.rest = &self.rest[count..];
        Ok(count)
    }
}

fn packed(plain: &[u8], level: u32) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(level));
    encoder.write_all(plain).expect("memory");
    encoder.finish().expect("memory")
}

/// Data of many kinds: what does not compress, bytes of one kind, copies near and far, text, and code.
fn samples() -> Vec<Vec<u8>> {
    let mut random = fastrand::Rng::with_seed(7);
    let noise: Vec<u8> = (0..200_000).map(|_| random.u8(..)).collect();
    let few: Vec<u8> = (0..300_000).map(|_| b"abcdefghijkl"[random.usize(..12)]).collect();
    // Lengths of codes from 1 to 15: each byte is half as frequent as the one before.
    let skewed: Vec<u8> = (0..500_000).map(|_| random.u32(..).trailing_zeros() as u8).collect();
    let mut copies = noise[..40_000].to_vec();
    while copies.len() < 700_000 {
        let farthest = if random.bool() { 20 } else { 32_768 };
        let distance = random.usize(1..=copies.len().min(farthest));
        for _ in 0..random.usize(3..300) {
            copies.push(copies[copies.len() - distance]);
        }
        copies.push(random.u8(..));
    }
    let text: Vec<u8> =
        (0..60_000_u32).flat_map(|n| format!("line {n}, {}\n", n / 7).into_bytes()).collect();
    let program = std::fs::read("/proc/self/exe").expect("this program");
    let program = program[..program.len().min(4 << 20)].to_vec();
    let short = (0..40).map(|length| noise[..length].to_vec());
    [noise.clone(), few, skewed, copies, text, vec![0; 3 << 20], program]
        .into_iter()
        .chain(short)
        .collect()
}

#[test]
fn whatever_was_packed_comes_back() {
    for (number, plain) in samples().iter().enumerate() {
        for level in [0, 1, 3, 6, 9] {
            let packed = packed(plain, level);
            assert!(own(&packed, usize::MAX).expect("whole") == *plain, "{number} {level}");
            if plain.len() < 1_000_000 {
                assert!(own(&packed, 1 + number).expect("whole") == *plain, "{number} {level}");
            }
        }
        let mut compressor = libdeflater::Compressor::new(libdeflater::CompressionLvl::default());
        let mut packed = vec![0; compressor.gzip_compress_bound(plain.len())];
        let length = compressor.gzip_compress(plain, &mut packed).expect("room");
        assert!(own(&packed[..length], 1000).expect("whole") == *plain, "{number}");
    }
}

#[test]
fn it_may_be_read_in_any_pieces() {
    let plain = samples().swap_remove(3);
    let packed = packed(&plain, 6);
    let mut reader = Gunzip::new(&packed[..]);
    let (mut read, mut size) = (Vec::new(), 1);
    loop {
        let mut buffer = vec![0; size];
        let count = reader.read(&mut buffer).expect("whole");
        if count == 0 {
            break;
        }
        read.extend_from_slice(&buffer[..count]);
        size = size * 3 % 70_001 + 1;
    }
    assert!(read == plain);
    assert_eq!(reader.read(&mut [0; 9]).expect("the end stays the end"), 0);
}

#[test]
fn members_follow_each_other_and_nothing_else() {
    let parts = samples();
    let mut packed_parts = Vec::new();
    let mut plain = Vec::new();
    for part in parts.iter().rev() {
        packed_parts.extend(packed(part, 6));
        plain.extend_from_slice(part);
    }
    assert!(own(&packed_parts, usize::MAX).expect("whole") == plain);
    for behind in [&b"\0"[..], b"\x1f\x8b", b"garbage", &[0; 600]] {
        let spoilt = [&packed_parts[..], behind].concat();
        assert!(own(&spoilt, usize::MAX).is_err(), "{behind:?}");
    }
    // What a member copies is its own: "zzzz" as one byte and a copy from before it.
    let first = packed(b"zzzzzzzzzzzzzzzz", 6);
    let bits_of_a_copy = [0x03, 0x02, 0x00];
    let mut second = first[..10].to_vec();
    second.extend(bits_of_a_copy);
    second.extend([0; 8]);
    assert!(own(&[first, second].concat(), usize::MAX).is_err());
}

/// A member with all that a header may have, and its right checksum.
fn with_header(flags: u8, spoil: u8) -> Vec<u8> {
    let bare = packed(b"what is in it", 6);
    let mut header = vec![0x1f, 0x8b, 8, flags, 1, 2, 3, 4, 2, 3];
    if flags & 4 != 0 {
        header.extend([5, 0]);
        header.extend(b"extra");
    }
    if flags & 8 != 0 {
        header.extend(b"name\0");
    }
    if flags & 16 != 0 {
        header.extend(b"comment\0");
    }
    if flags & 2 != 0 {
        let mut checksum = libdeflater::Crc::new();
        checksum.update(&header);
        header.extend([checksum.sum() as u8 ^ spoil, (checksum.sum() >> 8) as u8]);
    }
    header.extend(&bare[10..]);
    header
}

#[test]
fn headers_may_have_names_and_checksums() {
    for flags in 0..32 {
        let member = with_header(flags, 0);
        assert_eq!(own(&member, 3).expect("whole"), b"what is in it", "{flags}");
        assert_eq!(own(&with_header(flags, 1), 3).is_err(), flags & 2 != 0, "{flags}");
        for end in 0..member.len() {
            assert!(own(&member[..end], 7).is_err(), "{flags} {end}");
        }
    }
    assert!(own(&with_header(32, 0), 7).is_err(), "RFC 1952, 2.3.1.2: such bits must be refused");
}

/// Damage of all kinds is found, or what comes out is what the library makes of it.
#[test]
fn damage_is_judged_as_by_a_library() {
    let mut random = fastrand::Rng::with_seed(23);
    let plain: Vec<u8> = (0..700_u32)
        .flat_map(|n| format!("{} {}\n", n % 13, n * n)[..].as_bytes().to_vec())
        .collect();
    let mut kinds = [0; 2];
    for level in [0, 1, 6, 9] {
        let whole = packed(&plain, level);
        for round in 0..4000 {
            let mut damaged = whole.clone();
            // The checksum is taken away first: it would find nearly all of it.
            for _ in 0..random.usize(1..4) {
                let at = 10 + random.usize(..damaged.len().min(300) - 10);
                damaged[at] ^= 1 << random.u8(..8);
            }
            if round % 3 == 0 {
                damaged.truncate(random.usize(..damaged.len()));
            }
            let expected =
                deflated(flate2::read::DeflateDecoder::new(&damaged[10.min(damaged.len())..]));
            let found = deflated(raw(&damaged[10.min(damaged.len())..]));
            assert_eq!(found.1, expected.1, "level {level}, round {round}");
            assert!(expected.0.starts_with(&found.0) || found.0.starts_with(&expected.0));
            if found.1 {
                assert!(found.0 == expected.0, "level {level}, round {round}");
            }
            kinds[usize::from(found.1)] += 1;
        }
    }
    assert!(kinds.iter().all(|count| *count > 300), "both kinds are seen: {kinds:?}");
}

/// What was read, and whether it came to an end.
fn deflated(mut reader: impl Read) -> (Vec<u8>, bool) {
    let mut plain = Vec::new();
    let is_whole = reader.read_to_end(&mut plain).is_ok();
    (plain, is_whole)
}

/// Deflate without its gzip.
fn raw(packed: &[u8]) -> impl Read {
    struct Raw<'a>(super::Inflate<'a>, bool);
    impl Read for Raw<'_> {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            while self.0.ready().is_empty() && !self.1 {
                self.1 = self.0.advance()? == super::Progress::Ended;
            }
            let count = self.0.ready().len().min(buf.len());
            buf[..count].copy_from_slice(&self.0.ready()[..count]);
            self.0.take(count);
            Ok(count)
        }
    }
    let mut inflate = super::Inflate::new(super::Bits::new(Box::new(packed)));
    inflate.begin();
    Raw(inflate, false)
}

#[test]
fn errors_say_what_is_wrong_and_stay() {
    let packed = packed(b"something that is long enough to be compressed, compressed", 6);
    let length = packed.len();
    let mut damaged = packed.clone();
    damaged[length - 5] ^= 1;
    let mut reader = Gunzip::new(&damaged[..]);
    let mut plain = Vec::new();
    let error = reader.read_to_end(&mut plain).expect_err("a wrong checksum");
    assert_eq!(error.to_string(), "the gzip data is damaged: a checksum is wrong");
    assert!(reader.read(&mut [0]).is_err());
    let cut = &packed[..length - 9];
    let error = own(cut, 100).expect_err("cut");
    assert_eq!(error.to_string(), "the gzip data ends in the middle");
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    assert!(library(cut).is_err());
}

#[test]
fn what_comes_before_the_damage_is_given() {
    let plain = samples().swap_remove(4);
    let packed = packed(&plain, 6);
    for end in [100, 1000, packed.len() / 2, packed.len() - 8] {
        let mut reader = Gunzip::new(&packed[..end]);
        let mut read = Vec::new();
        reader.read_to_end(&mut read).expect_err("cut");
        assert!(plain.starts_with(&read) && !read.is_empty(), "{end}");
        assert!(reader.read(&mut [0]).is_err());
    }
}
