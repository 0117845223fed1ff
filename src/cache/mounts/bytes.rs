//! Numbers and texts as bytes: LEB128, lengths before what has one.

use super::error::MountError;
use crate::digest::Digest;

/// Puts bytes together.
#[derive(Debug, Default)]
pub(super) struct Writer(pub(super) Vec<u8>);

impl Writer {
    pub(super) fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push((number & 0x7f) as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    /// One that may be negative: small ones stay short on either side.
    pub(super) fn signed(&mut self, number: i64) {
        self.number(((number << 1) ^ (number >> 63)).cast_unsigned());
    }

    pub(super) fn text(&mut self, text: &[u8]) {
        self.number(text.len() as u64);
        self.0.extend_from_slice(text);
    }

    pub(super) fn digest(&mut self, digest: &Digest) {
        self.0.extend_from_slice(digest.as_bytes());
    }
}

/// Takes them apart; whoever made them is not believed.
#[derive(Debug)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn number(&mut self) -> Result<u64, MountError> {
        let mut number: u64 = 0;
        for shift in (0..64).step_by(7) {
            let [byte] = *self.take(1)? else { break };
            let part = u64::from(byte & 0x7f);
            if shift == 63 && part > 1 {
                break;
            }
            number |= part << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(MountError::damaged("it has a number that is too large"))
    }

    pub(super) fn small(&mut self) -> Result<u32, MountError> {
        let number = self.number()?;
        u32::try_from(number).map_err(|_| MountError::damaged(format!("{number} is too large")))
    }

    pub(super) fn signed(&mut self) -> Result<i64, MountError> {
        let number = self.number()?;
        Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }

    pub(super) fn text(&mut self, most: usize) -> Result<&'a [u8], MountError> {
        let length = self.number()?;
        match usize::try_from(length) {
            Ok(length) if length <= most => self.take(length),
            _ => Err(MountError::damaged(format!("it has a text of {length} bytes"))),
        }
    }

    pub(super) fn digest(&mut self) -> Result<Digest, MountError> {
        let bytes = self.take(32)?.try_into();
        bytes.map(Digest::from_bytes).map_err(|_| MountError::damaged("it ends early"))
    }

    /// Whether all was read.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], MountError> {
        let (taken, rest) =
            self.0.split_at_checked(count).ok_or_else(|| MountError::damaged("it ends early"))?;
        self.0 = rest;
        Ok(taken)
    }
}

/// Decompresses what may have so many bytes.
pub(super) fn unzip(bytes: &[u8], most: usize) -> Result<Vec<u8>, MountError> {
    use std::io::Read as _;
    let bad = |error: std::io::Error| MountError::damaged(error.to_string());
    let mut plain = Vec::new();
    let decoder = zstd::Decoder::new(bytes).map_err(bad)?;
    decoder.take(most as u64 + 1).read_to_end(&mut plain).map_err(bad)?;
    if plain.len() > most {
        return Err(MountError::TooLarge(format!("a part has more than {most} bytes")));
    }
    Ok(plain)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back() {
        let numbers = [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX];
        let signed = [0, -1, 1, i64::MIN, i64::MAX, -1_700_000_000];
        let mut writer = Writer::default();
        numbers.iter().for_each(|number| writer.number(*number));
        signed.iter().for_each(|number| writer.signed(*number));
        writer.text(b"text");
        let mut reader = Reader(&writer.0);
        assert!(numbers.iter().all(|number| reader.number().unwrap() == *number));
        assert!(signed.iter().all(|number| reader.signed().unwrap() == *number));
        assert_eq!(reader.text(4).unwrap(), b"text");
        assert!(reader.is_empty());
    }

    #[test]
    fn what_is_cut_off_or_too_long_is_refused() {
        let endless = [0xff; 12];
        let too_large = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02];
        for bytes in [&[][..], &[0x80], &endless, &too_large] {
            assert!(Reader(bytes).number().is_err(), "{bytes:?}");
        }
        assert!(Reader(&[5, b'a']).text(9).is_err());
        assert!(Reader(&[2, b'a', b'b']).text(1).is_err());
        assert!(Reader(&[0; 31]).digest().is_err());
        assert!(Reader(&[0x80, 0x80, 0x80, 0x80, 0x10]).small().is_err());
    }
}
