//! Whether two answers are about the same file (RFC 9110, 8.8 and 13.1.5).

use std::time::SystemTime;

use reqwest::Response;
use reqwest::header::{CONTENT_RANGE, ETAG, HeaderMap, HeaderName, LAST_MODIFIED};

/// What an answer says of the file that it holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Known {
    /// In bytes, of the whole file.
    pub(super) size: Option<u64>,
    etag: Option<String>,
    modified: Option<String>,
}

impl Known {
    /// Of a first answer, which holds the whole file.
    pub(super) fn of(response: &Response) -> Self {
        Self::new(response.content_length(), response.headers())
    }

    fn new(size: Option<u64>, headers: &HeaderMap) -> Self {
        Self { size, etag: text(headers, ETAG), modified: text(headers, LAST_MODIFIED) }
    }

    /// Of an answer with a part of the file: where it begins, and what it says of the whole.
    pub(super) fn of_part(response: &Response) -> Option<(u64, Self)> {
        let range = text(response.headers(), CONTENT_RANGE)?;
        let (start, size) = part(&range)?;
        Some((start, Self::new(size, response.headers())))
    }

    /// The value of If-Range: only what says that every byte is the same.
    pub(super) fn condition(&self) -> Option<&str> {
        let strong = self.etag.as_deref().filter(|etag| !etag.starts_with("W/"));
        strong.or(self.modified.as_deref())
    }

    /// Whether there is anything to know the file by.
    pub(super) fn is_recognisable(&self) -> bool {
        *self != Self::default()
    }

    /// Whether another answer may be about the same file: nothing that both say differs, and what
    /// this one said the other says too.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let sizes = [self.size, other.size];
        if let [Some(own), Some(other)] = sizes
            && own != other
        {
            return false;
        }
        match (&self.etag, &other.etag, &self.modified, &other.modified) {
            (Some(own), Some(other), ..) | (None, None, Some(own), Some(other)) => own == other,
            (None, None, None, None) => sizes[0].is_some() && sizes[0] == sizes[1],
            _ => false,
        }
    }

    /// When the file was changed last.
    pub(super) fn last_modified(&self) -> Option<SystemTime> {
        httpdate::parse_http_date(self.modified.as_ref()?).ok()
    }
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// First byte and whole size of `bytes 5-9/10`.
fn part(range: &str) -> Option<(u64, Option<u64>)> {
    let (span, size) = range.strip_prefix("bytes ")?.split_once('/')?;
    let (start, _) = span.split_once('-')?;
    Some((start.trim().parse().ok()?, size.trim().parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(size: u64, etag: &str, modified: &str) -> Known {
        let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        Known {
            size: Some(size).filter(|size| *size > 0),
            etag: some(etag),
            modified: some(modified),
        }
    }

    #[test]
    fn a_file_is_known_by_what_its_server_says() {
        for (one, other, same) in [
            (known(1, "\"a\"", ""), known(1, "\"a\"", ""), true),
            (known(1, "\"a\"", "x"), known(1, "\"b\"", "x"), false),
            (known(1, "\"a\"", ""), known(2, "\"a\"", ""), false),
            (known(1, "W/\"a\"", ""), known(1, "W/\"a\"", ""), true),
            (known(1, "", "x"), known(1, "", "x"), true),
            (known(1, "", "x"), known(1, "", "y"), false),
            (known(1, "\"a\"", "x"), known(1, "", "x"), false),
            (known(1, "", ""), known(1, "", ""), true),
            (known(1, "", ""), known(0, "", ""), false),
            (known(0, "", ""), known(0, "", ""), false),
        ] {
            assert_eq!(one.is_same(&other), same, "{one:?} {other:?}");
        }
        assert_eq!(known(1, "\"a\"", "x").condition(), Some("\"a\""));
        assert_eq!(known(1, "W/\"a\"", "x").condition(), Some("x"));
        assert_eq!(known(1, "W/\"a\"", "").condition(), None);
        assert!(!known(0, "", "").is_recognisable() && known(0, "", "x").is_recognisable());
    }

    #[test]
    fn parts_are_read() {
        assert_eq!(part("bytes 5-9/10"), Some((5, Some(10))));
        assert_eq!(part("bytes 5-9/*"), Some((5, None)));
        assert_eq!(part("bytes */10"), None);
        assert_eq!(part("lines 5-9/10"), None);
    }
}
