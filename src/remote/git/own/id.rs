//! Names and kinds of objects (gitformat-pack(5), gitglossary(7)).

use std::fmt;

use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};

/// The name of an object: the SHA-1 of its kind, length and content.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Id([u8; Id::LENGTH]);

impl Id {
    /// In bytes.
    pub(super) const LENGTH: usize = 20;
    /// Nobody's.
    pub(super) const NONE: Self = Self([0; Self::LENGTH]);

    /// From its 40 digits.
    pub(super) fn parse(hex: &str) -> Option<Self> {
        let mut bytes = [0; Self::LENGTH];
        let plain = hex.len() == 2 * bytes.len() && hex.bytes().all(|b| b.is_ascii_hexdigit());
        for (at, byte) in bytes.iter_mut().enumerate().filter(|_| plain) {
            *byte = u8::from_str_radix(hex.get(2 * at..2 * at + 2)?, 16).ok()?;
        }
        plain.then_some(Self(bytes))
    }

    /// From the bytes at the beginning of a slice.
    pub(super) fn from_start(bytes: &[u8]) -> Option<Self> {
        bytes.first_chunk().copied().map(Self)
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Commit,
    Tree,
    Blob,
    Tag,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Commit => "commit",
            Self::Tree => "tree",
            Self::Blob => "blob",
            Self::Tag => "tag",
        }
    }
}

/// A SHA-1 in the making. Git's names are these; nothing of kiln's own relies on them.
#[derive(Clone)]
pub(super) struct Sha1(Context);

impl Sha1 {
    pub(super) fn new() -> Self {
        Self(Context::new(&SHA1_FOR_LEGACY_USE_ONLY))
    }

    /// That of an object, whose content follows.
    pub(super) fn of_object(kind: Kind, size: u64) -> Self {
        let mut hash = Self::new();
        hash.update(format!("{} {size}\0", kind.name()).as_bytes());
        hash
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(super) fn finish(self) -> Id {
        Id::from_start(self.0.finish().as_ref()).unwrap_or(Id::NONE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_gits() {
        let mut hash = Sha1::of_object(Kind::Blob, 6);
        hash.update(b"hello\n");
        let id = hash.finish();
        assert_eq!(id.to_string(), "ce013625030ba8dba906f756967f9e9ca394464a");
        assert_eq!(Id::parse(&id.to_string()), Some(id));
        for text in ["", "ce01", &"g".repeat(40), &"a".repeat(64), &"é".repeat(20)] {
            assert_eq!(Id::parse(text), None, "{text}");
        }
    }
}
