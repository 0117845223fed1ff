//! Packet lines: what git's protocol is made of (gitprotocol-common(5)), and the bands within
//! (gitprotocol-pack(5)).

use std::io::{self, BufRead, Read};

use super::wrong::{Wrong, unusable};

/// The longest line, with its four digits.
const LONGEST: usize = 65520;
/// As many bytes of one answer as are listened to beside the pack: a million refs of usual names.
const TEXT_MAX: usize = 64 << 20;
/// As much of a server's words as is shown.
const WORDS_MAX: usize = 400;

/// One packet.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Packet<'a> {
    Data(&'a [u8]),
    /// The end of a message.
    Flush,
    /// The end of a section.
    Delimiter,
    /// The end of an answer.
    End,
}

/// Writes a line.
pub(super) fn line(into: &mut Vec<u8>, text: &str) {
    into.extend_from_slice(format!("{:04x}{text}", text.len() + 4).as_bytes());
}

/// Writes the end of a message.
pub(super) fn flush(into: &mut Vec<u8>) {
    into.extend_from_slice(b"0000");
}

/// Writes the end of a section.
pub(super) fn delimiter(into: &mut Vec<u8>) {
    into.extend_from_slice(b"0001");
}

/// Packets out of bytes.
#[derive(Debug)]
pub(super) struct Packets<R> {
    from: R,
    line: Vec<u8>,
    /// Bytes of what is not the pack that may still come.
    left: usize,
}

impl<R: Read> Packets<R> {
    pub(super) fn new(from: R) -> Self {
        Self { from, line: Vec::new(), left: TEXT_MAX }
    }

    /// The next packet. A server that ends here has not said all.
    pub(super) fn next(&mut self) -> Result<Packet<'_>, Wrong> {
        let mut digits = [0; 4];
        self.from.read_exact(&mut digits).map_err(Wrong::of_stream)?;
        let length = std::str::from_utf8(&digits).ok();
        let length = length.filter(|text| text.bytes().all(|b| b.is_ascii_hexdigit()));
        let length = length.and_then(|text| usize::from_str_radix(text, 16).ok());
        match length {
            Some(0) => Ok(Packet::Flush),
            Some(1) => Ok(Packet::Delimiter),
            Some(2) => Ok(Packet::End),
            Some(length @ 4..=LONGEST) => {
                self.line.resize(length - 4, 0);
                self.from.read_exact(&mut self.line).map_err(Wrong::of_stream)?;
                if let Some(words) = self.line.strip_prefix(b"ERR ") {
                    return Err(Wrong::Refused(shown(words)));
                }
                Ok(Packet::Data(&self.line))
            }
            _ => unusable("the server does not speak git's protocol: a line has no length"),
        }
    }

    /// Counts a line that is not the pack's, with its digits: those of empty ones have no end either.
    fn pay(&mut self, bytes: usize) -> Result<(), Wrong> {
        match self.left.checked_sub(bytes + 4) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => unusable("the server says more than kiln listens to"),
        }
    }

    /// The next line without its end; none where a section, a message or an answer ends.
    pub(super) fn text(&mut self) -> Result<Option<String>, Wrong> {
        match self.next()? {
            Packet::Data(line) => {
                let line = line.strip_suffix(b"\n").unwrap_or(line);
                // Names of refs may be anything; those that are no text cannot be asked for.
                let text = String::from_utf8_lossy(line).into_owned();
                self.pay(text.len())?;
                Ok(Some(text))
            }
            Packet::Flush | Packet::Delimiter | Packet::End => Ok(None),
        }
    }
}

/// A server's words: one line, without control characters.
pub(super) fn shown(words: &[u8]) -> String {
    let text = String::from_utf8_lossy(words);
    let text = text.trim().replace(['\n', '\r', '\t'], " ");
    text.chars().filter(|c| !c.is_control()).take(WORDS_MAX).collect()
}

/// The first band, which is the pack's. The second is progress; the third says why it ends.
#[derive(Debug)]
pub(super) struct Band<R> {
    packets: Packets<R>,
    /// Bytes of the packet that were read, with the one that names the band.
    taken: usize,
    ended: bool,
}

impl<R: Read> Band<R> {
    pub(super) fn new(packets: Packets<R>) -> Self {
        let taken = packets.line.len();
        Self { packets, taken, ended: false }
    }

    fn advance(&mut self) -> Result<(), Wrong> {
        while !self.ended && self.taken >= self.packets.line.len() {
            self.taken = 1;
            let (band, words) = match self.packets.next()? {
                Packet::Data([band, words @ ..]) => (*band, words),
                // It only shows that the server is alive.
                Packet::Data([]) => {
                    self.packets.pay(0)?;
                    continue;
                }
                Packet::Flush | Packet::End => {
                    self.ended = true;
                    continue;
                }
                Packet::Delimiter => return unusable("the pack is cut into sections"),
            };
            match band {
                1 => {}
                2 => {
                    self.taken = self.packets.line.len();
                    self.packets.pay(self.taken)?;
                }
                3 => return Err(Wrong::Refused(shown(words))),
                other => return unusable(format!("the server sends on band {other}")),
            }
        }
        Ok(())
    }
}

impl<R: Read> BufRead for Band<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.advance()?;
        if self.ended { Ok(&[]) } else { Ok(&self.packets.line[self.taken..]) }
    }

    fn consume(&mut self, count: usize) {
        self.taken += count;
    }
}

impl<R: Read> Read for Band<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = self.fill_buf()?.read(into)?;
        self.consume(length);
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_written_and_read() {
        let mut bytes = Vec::new();
        line(&mut bytes, "want x\n");
        delimiter(&mut bytes);
        line(&mut bytes, "");
        flush(&mut bytes);
        assert_eq!(bytes, b"000bwant x\n000100040000");
        let mut packets = Packets::new(bytes.as_slice());
        assert_eq!(packets.text().expect("a line").as_deref(), Some("want x"));
        assert_eq!(packets.next().expect("a packet"), Packet::Delimiter);
        assert_eq!(packets.next().expect("a packet"), Packet::Data(b""));
        assert_eq!(packets.text().expect("an end"), None);
        assert!(matches!(packets.next(), Err(Wrong::Short)));
    }

    #[test]
    fn what_is_no_protocol_is_said() {
        for (bytes, words) in [
            (&b"<!DOCTYPE html>"[..], "does not speak git's protocol"),
            (b"0003", "does not speak git's protocol"),
            (b"+0a0", "does not speak git's protocol"),
            (b"fff5", "does not speak git's protocol"),
            (b"0017ERR access\x1b denied\n", "access denied"),
            (b"0010abc", "ended before"),
        ] {
            let wrong = Packets::new(bytes).text().expect_err("wrong");
            assert!(wrong.to_string().contains(words), "{wrong}");
        }
    }

    #[test]
    fn a_server_that_talks_without_end_is_left() {
        let long = format!("fff0{}", "x".repeat(LONGEST - 4));
        for (line, at_least) in [("0004", 1000), (long.as_str(), 10)] {
            let endless = std::io::BufReader::new(Endless { line: line.as_bytes(), at: 0 });
            let mut packets = Packets { left: 1 << 20, ..Packets::new(endless) };
            let mut lines = 0;
            let wrong = loop {
                match packets.text() {
                    Ok(text) => lines += usize::from(text.is_some()),
                    Err(wrong) => break wrong.to_string(),
                }
            };
            assert!(lines > at_least && wrong.contains("more than kiln listens to"), "{wrong}");
        }
        for line in ["0005\x02", "0004", "000a\x02words"] {
            let endless = std::io::BufReader::new(Endless { line: line.as_bytes(), at: 0 });
            let packets = Packets { left: 1 << 20, ..Packets::new(endless) };
            let outcome = Band::new(packets).read(&mut [0]);
            let wrong = outcome.map_err(Wrong::of_stream).expect_err("endless").to_string();
            assert!(wrong.contains("more than kiln listens to"), "{wrong}");
        }
    }

    /// A line, again and again.
    struct Endless<'a> {
        line: &'a [u8],
        at: usize,
    }

    impl Read for Endless<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let length = (&self.line[self.at..]).read(into)?;
            self.at = (self.at + length) % self.line.len();
            Ok(length)
        }
    }

    #[test]
    fn bands_are_told_apart() {
        let read = |bytes: &[u8]| {
            let mut pack = Vec::new();
            let outcome = Band::new(Packets::new(bytes)).read_to_end(&mut pack);
            outcome.map(|_| pack).map_err(Wrong::of_stream)
        };
        let good = read(b"0007\x01ab0009\x02slow00040005\x010006\x01c0000").expect("a pack");
        assert_eq!(good, b"abc");
        assert!(matches!(read(b"0006\x01a"), Err(Wrong::Short)));
        let told = read(b"0006\x01a000a\x03broken").expect_err("told");
        assert!(matches!(&told, Wrong::Refused(said) if said.starts_with("broke")), "{told}");
        assert!(matches!(read(b"0006\x07a0000"), Err(Wrong::Unusable(_))));
    }
}
