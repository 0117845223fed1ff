//! PAX records: `LENGTH KEY=VALUE\n`, again and again.
//!
//! Source: POSIX.1-2017 pax, "pax Extended Header".

use std::collections::BTreeMap;

use super::text;
use crate::layer::entry::Timestamp;
use crate::layer::tar_error::TarError;
use crate::layer::tar_header::{BLOCK, NAME};
use crate::layer::tar_write::XATTR_PREFIX;

/// Linux' limits (XATTR_NAME_MAX, XATTR_SIZE_MAX).
const MAX_XATTR_NAME: usize = 255;
const MAX_XATTR_VALUE: usize = 64 << 10;
/// Global records that are kept, in bytes.
const MAX_GLOBALS: usize = 1 << 20;

/// Records by key; a later one replaces an earlier one.
#[derive(Debug, Default)]
pub(super) struct Records {
    by_key: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The values of GNU's sparse format 0.0, which repeats two keys, in order.
    pub(super) sparse_pairs: Vec<u64>,
}

/// Reads the records of one extended header.
pub(super) fn parse(mut data: &[u8], header: &[u8; BLOCK]) -> Result<Records, TarError> {
    let mut records = Records::default();
    while !data.is_empty() {
        let record = split_record(data);
        let (key, value, rest) = record.ok_or_else(|| {
            TarError::member(&text(header[NAME].to_vec()), "its PAX records are malformed")
        })?;
        records.add(key, value, &header[NAME])?;
        data = rest;
    }
    Ok(records)
}

fn split_record(data: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = data.iter().position(|byte| *byte == b' ')?;
    let len = usize::try_from(decimal(&data[..space])?).ok()?;
    let record = data.get(space + 1..len)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|byte| *byte == b'=')?;
    let (key, value) = (&record[..equals], &record[equals + 1..]);
    (!key.is_empty() && !key.contains(&0)).then_some((key, value, &data[len..]))
}

/// Decimal digits and nothing else.
pub(super) fn decimal(digits: &[u8]) -> Option<u64> {
    let all_digits = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    all_digits.then(|| std::str::from_utf8(digits).ok()?.parse().ok())?
}

impl Records {
    fn add(&mut self, key: &[u8], value: &[u8], member: &[u8]) -> Result<(), TarError> {
        if key.strip_prefix(XATTR_PREFIX.as_bytes()).is_some_and(|name| {
            name.is_empty() || name.len() > MAX_XATTR_NAME || value.len() > MAX_XATTR_VALUE
        }) {
            let reason = "an extended attribute has no name, or is larger than Linux allows";
            return Err(TarError::limit(&text(member.to_vec()), reason));
        }
        if matches!(key, b"GNU.sparse.offset" | b"GNU.sparse.numbytes") {
            return self.add_sparse(key, value, member);
        }
        self.by_key.insert(key.to_vec(), value.to_vec());
        Ok(())
    }

    fn add_sparse(&mut self, key: &[u8], value: &[u8], member: &[u8]) -> Result<(), TarError> {
        let expected: &[u8] = match self.sparse_pairs.len() % 2 {
            0 => b"GNU.sparse.offset",
            _ => b"GNU.sparse.numbytes",
        };
        let value = decimal(value).filter(|_| key == expected);
        let malformed =
            || TarError::member(&text(member.to_vec()), "its list of sparse pieces is malformed");
        self.sparse_pairs.push(value.ok_or_else(malformed)?);
        Ok(())
    }

    /// Adds the records of a global header, which hold for all members that follow.
    ///
    /// POSIX allows any record there. Docker ignores them all, GNU tar obeys; the only known ones
    /// are `comment` (git archive) and times. What would rename or resize every file is refused: no
    /// two readers would agree on what the archive holds.
    pub(super) fn merge_globals(&mut self, other: Self, member: &[u8]) -> Result<(), TarError> {
        let dangerous = |key: &[u8]| {
            matches!(key, b"path" | b"linkpath" | b"size") || key.starts_with(b"GNU.sparse.")
        };
        if !other.sparse_pairs.is_empty() || other.by_key.keys().any(|key| dangerous(key)) {
            let reason = "it sets a name or a size for all members that follow";
            return Err(TarError::member(&text(member.to_vec()), reason));
        }
        let kept = |key: &[u8]| {
            matches!(key, b"uid" | b"gid" | b"mtime") || key.starts_with(XATTR_PREFIX.as_bytes())
        };
        self.by_key.extend(other.by_key.into_iter().filter(|(key, _)| kept(key)));
        let bytes: usize = self.by_key.iter().map(|(key, value)| key.len() + value.len()).sum();
        if bytes > MAX_GLOBALS {
            let reason = "global attributes have more than 1 MiB";
            return Err(TarError::limit(&text(member.to_vec()), reason));
        }
        Ok(())
    }

    /// A value. An empty one means that the record does not count (POSIX).
    pub(super) fn get(&self, key: &str) -> Option<&[u8]> {
        self.by_key.get(key.as_bytes()).map(Vec::as_slice).filter(|value| !value.is_empty())
    }

    /// Extended attributes: names and values. Here an empty value is one.
    pub(super) fn xattrs(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let named = self.by_key.iter();
        named.filter_map(|(key, value)| {
            Some((key.strip_prefix(XATTR_PREFIX.as_bytes())?, value.as_slice()))
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_key.is_empty() && self.sparse_pairs.is_empty()
    }
}

/// Seconds with an optional fraction, of which nine digits count.
pub(super) fn time(value: &[u8]) -> Option<Timestamp> {
    let (negative, value) = match value.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, value),
    };
    let dot = value.iter().position(|byte| *byte == b'.');
    let (whole, fraction) = match dot {
        Some(dot) => (&value[..dot], &value[dot + 1..]),
        None => (value, &b""[..]),
    };
    let secs = i64::try_from(decimal(whole)?).ok()?;
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let nanos = (0..9).fold(0, |nanos: u32, place| {
        nanos * 10 + u32::from(fraction.get(place).unwrap_or(&b'0') - b'0')
    });
    Some(match (negative, nanos) {
        (false, nanos) => Timestamp { secs, nanos },
        (true, 0) => Timestamp { secs: -secs, nanos },
        (true, nanos) => Timestamp { secs: -secs - 1, nanos: 1_000_000_000 - nanos },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(data: &[u8]) -> Option<Records> {
        parse(data, &[0; BLOCK]).ok()
    }

    #[test]
    fn lengths_rule() {
        let parsed = records(b"11 path=ab\n13 path=a\nb=\n").expect("well formed");
        assert_eq!(parsed.get("path"), Some(&b"a\nb="[..]));
        assert!(records(b"").expect("none").is_empty());
        for bad in [
            &b"11 path=ab"[..],
            b"10 path=ab\n",
            b"12 path=ab\n",
            b"+11 path=ab\n",
            b" 11 path=ab\n",
            b"8 pathab\n",
            b"5 =a\n",
            b"0 \n",
            b"2\n",
            b"99999999999999999999 a=b\n",
            b"11 path=ab\nx",
        ] {
            assert!(records(bad).is_none(), "{:?}", String::from_utf8_lossy(bad));
        }
    }

    #[test]
    fn times() {
        for (text, expected) in [
            ("0", Some((0, 0))),
            ("12.5", Some((12, 500_000_000))),
            ("12.", Some((12, 0))),
            ("1.0000000019", Some((1, 1))),
            ("-1", Some((-1, 0))),
            ("-1.5", Some((-2, 500_000_000))),
            ("-0.1", Some((-1, 900_000_000))),
            ("", None),
            ("-", None),
            (".5", None),
            ("1.x", None),
            ("1e3", None),
            ("9223372036854775808", None),
        ] {
            let expected = expected.map(|(secs, nanos)| Timestamp { secs, nanos });
            assert_eq!(time(text.as_bytes()), expected, "{text}");
        }
    }
}
