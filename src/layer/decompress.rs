//! Decompression: what a stream is compressed with is found in its first bytes, never in a name or
//! a media type, because both are wrong often enough.
//!
//! All formats may consist of several members, frames or streams. What follows the last one and is
//! none, and an end in the middle of one, are errors.

use std::io::{self, BufReader, Cursor, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::gunzip::Gunzip;

/// Compressed bytes read at once.
const INPUT_BUFFER: usize = 128 << 10;

/// How a stream is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Not at all, or in a way that kiln does not know.
    Plain,
    /// gzip.
    Gzip,
    /// Zstandard.
    Zstd,
    /// bzip2.
    Bzip2,
    /// xz.
    Xz,
}

/// As many first bytes as [`sniff`] looks at.
pub const SNIFFED: usize = 6;

/// Finds out how a stream is compressed from its first [`SNIFFED`] bytes (fewer, where the stream is
/// shorter). The set is the one that Docker's ADD unpacks.
pub fn sniff(start: &[u8]) -> Format {
    match start {
        [0x1f, 0x8b, 0x08, ..] => Format::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Format::Zstd,
        // A skippable frame, as seekable zstd and eStargz variants start with (RFC 8878, 3.1.2).
        [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Format::Zstd,
        [b'B', b'Z', b'h', b'1'..=b'9', ..] => Format::Bzip2,
        [0xfd, b'7', b'z', b'X', b'Z', 0x00, ..] => Format::Xz,
        _ => Format::Plain,
    }
}

/// How much may come out of a compressed stream.
///
/// The output may have `floor` bytes in any case, and beyond it `ratio` times the input read so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Bytes that are always allowed.
    pub floor: u64,
    /// Output bytes per input byte.
    pub ratio: u64,
}

impl Limit {
    /// For data that was checked otherwise.
    pub const NONE: Self = Self { floor: u64::MAX, ratio: u64::MAX };
}

impl Default for Limit {
    /// 16 GiB, then 1100 to one. Deflate cannot exceed 1032 to one, so no gzip stream is refused:
    /// it does no more harm than its own size allows. The others can say a petabyte of zeros in a few
    /// megabytes (zstd 28,000 to one, bzip2 45,000), and so can a file of zeros in an honest layer,
    /// but not one that large.
    fn default() -> Self {
        Self { floor: 16 << 30, ratio: 1100 }
    }
}

/// A reader of the decompressed data, within the default [`Limit`].
pub fn decoder<'a>(reader: impl Read + Send + 'a) -> io::Result<Box<dyn Read + Send + 'a>> {
    decoder_limited(reader, Limit::default())
}

/// A reader of the decompressed data that fails where more comes out than `limit` allows.
pub fn decoder_limited<'a>(
    mut reader: impl Read + Send + 'a,
    limit: Limit,
) -> io::Result<Box<dyn Read + Send + 'a>> {
    let mut start = Vec::with_capacity(SNIFFED);
    reader.by_ref().take(SNIFFED as u64).read_to_end(&mut start)?;
    let format = sniff(&start);
    let whole = Cursor::new(start).chain(reader);
    if format == Format::Plain {
        return Ok(Box::new(whole));
    }
    let consumed = Arc::new(AtomicU64::new(0));
    let counted = Counted { inner: whole, count: consumed.clone() };
    let decoded = decode(format, counted)?;
    Ok(Box::new(Limited { inner: decoded, limit, consumed, produced: 0 }))
}

/// Memory that an xz stream may ask for; its largest preset, `-9`, asks for 65 MiB.
const XZ_MEMORY: u64 = 256 << 20;

fn decode<'a, R: Read + Send + 'a>(
    format: Format,
    input: R,
) -> io::Result<Box<dyn Read + Send + 'a>> {
    let buffered = |input| BufReader::with_capacity(INPUT_BUFFER, input);
    Ok(match format {
        Format::Plain => Box::new(input),
        Format::Gzip => Box::new(Gunzip::new(input)),
        // libzstd refuses windows over 128 MiB by itself.
        Format::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(buffered(input))?),
        Format::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(buffered(input))),
        Format::Xz => {
            let flags = liblzma::stream::CONCATENATED;
            let stream = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, flags)?;
            Box::new(liblzma::bufread::XzDecoder::new_stream(buffered(input), stream))
        }
    })
}

/// Counts what is read, where [`Limited`] can see it.
struct Counted<R> {
    inner: R,
    count: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buf)?;
        // Both ends are in one thread; the atomic is there for `Send`.
        self.count.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

struct Limited<R> {
    inner: R,
    limit: Limit,
    consumed: Arc<AtomicU64>,
    produced: u64,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buf)?;
        self.produced = self.produced.saturating_add(count as u64);
        let consumed = self.consumed.load(Ordering::Relaxed);
        let Limit { floor, ratio } = self.limit;
        if self.produced > floor && self.produced > consumed.saturating_mul(ratio) {
            let text = format!(
                "{consumed} compressed bytes have grown to more than {} bytes, over {ratio} times \
                 as many; this looks like a decompression bomb",
                self.produced - 1
            );
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::process::{Command, Stdio};

    /// The output of a program that reads standard input.
    fn through(program: &str, args: &[&str], input: &[u8]) -> Vec<u8> {
        let mut child = Command::new(program)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program is installed");
        let mut stdin = child.stdin.take().expect("piped");
        let input = input.to_vec();
        let feeder = std::thread::spawn(move || stdin.write_all(&input));
        let output = child.wait_with_output().expect("ran");
        feeder.join().expect("no panic").expect("taken");
        assert!(output.status.success());
        output.stdout
    }

    fn read(packed: &[u8]) -> io::Result<Vec<u8>> {
        let mut plain = Vec::new();
        decoder(packed)?.read_to_end(&mut plain)?;
        Ok(plain)
    }

    fn packed(data: &[u8]) -> [(Format, Vec<u8>); 4] {
        [
            (Format::Gzip, through("gzip", &["-c"], data)),
            (Format::Bzip2, through("bzip2", &["-c"], data)),
            (Format::Xz, through("xz", &["-c"], data)),
            (Format::Zstd, zstd::encode_all(data, 3).expect("memory")),
        ]
    }

    #[test]
    fn every_format_alone_and_concatenated() {
        let data: Vec<u8> =
            (0..300_000_u32).flat_map(|i| i.wrapping_mul(i).to_le_bytes()).collect();
        for (format, one) in packed(&data) {
            assert_eq!(sniff(&one), format);
            assert!(read(&one).expect("whole") == data, "{format:?}");
            let twice = [&one[..], &one[..]].concat();
            assert!(read(&twice).expect("whole") == [&data[..], &data[..]].concat(), "{format:?}");
        }
        assert!(read(&data).expect("plain") == data);
        assert_eq!(read(b"").expect("plain"), b"");
        assert_eq!(read(b"\x1f\x8b").expect("too short to be anything"), b"\x1f\x8b");
    }

    #[test]
    fn truncation_and_garbage_are_errors() {
        let data: Vec<u8> =
            (0..100_000_u32).flat_map(|i| i.wrapping_mul(i).to_le_bytes()).collect();
        for (format, one) in packed(&data) {
            for len in [8, 20, one.len() / 2, one.len() - 5, one.len() - 1] {
                assert!(read(&one[..len]).is_err(), "{format:?} {len}");
            }
            assert!(read(&[&one[..], b"garbage, and some more"].concat()).is_err(), "{format:?}");
            let mut flipped = one.clone();
            flipped[one.len() / 2] ^= 0x55;
            // zstd frames need not have a checksum; the layer's digest is what protects those.
            assert!(format == Format::Zstd || read(&flipped).is_err(), "{format:?}");
        }
    }

    #[test]
    fn bombs_are_refused_and_named() {
        let zeros = vec![0; 8 << 20];
        let limit = Limit { floor: 1 << 20, ratio: 100 };
        for (format, bomb) in packed(&zeros) {
            let mut decoder = decoder_limited(&bomb[..], limit).expect("known");
            let error = io::copy(&mut decoder, &mut io::sink()).expect_err("refused");
            assert!(error.to_string().contains("bomb"), "{format:?} {error}");
            assert!(read(&bomb).expect("within the default") == zeros, "{format:?}");
        }
    }

    #[test]
    fn xz_cannot_ask_for_any_amount_of_memory() {
        let greedy = through("xz", &["-c", "--lzma2=dict=1GiB"], b"small");
        assert!(read(&greedy).is_err());
    }
}
