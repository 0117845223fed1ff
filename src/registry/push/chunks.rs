//! In how many requests a blob is sent.

/// First length of a chunk that kiln chooses.
const CHUNK: u64 = 64 << 20;
/// Least length that kiln chooses: what nginx lets through unless it is told otherwise
/// (`client_max_body_size`). Amazon ECR wants 5 MiB of every part but the last; it has no such limit.
const CHUNK_MIN: u64 = 1 << 20;

/// How a blob is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// In one request; only what a registry has kept of a broken one is not sent again.
    Whole,
    /// In several of so many bytes.
    Chunks(u64),
}

impl Way {
    /// The way to begin: chunks where the user or the registry speaks of some, and the blob is
    /// longer than one.
    pub(super) fn first(size: u64, asked: Option<u64>, registry_min: Option<u64>) -> Self {
        let chunk = match (asked, registry_min) {
            (None, None) => return Self::Whole,
            (None, Some(min)) => CHUNK.max(min),
            (Some(asked), min) => asked.max(min.unwrap_or(0)).max(1),
        };
        if size <= chunk { Self::Whole } else { Self::Chunks(chunk) }
    }

    /// Chunks, where there were none.
    pub(super) fn in_chunks(self, registry_min: Option<u64>) -> Self {
        match self {
            Self::Whole => Self::Chunks(CHUNK.max(registry_min.unwrap_or(0))),
            chunks @ Self::Chunks(_) => chunks,
        }
    }

    /// Whether a blob of this length needs several requests.
    pub(super) fn is_shorter_than(self, size: u64) -> bool {
        matches!(self, Self::Chunks(chunk) if chunk < size)
    }

    /// The next smaller way after a request with `length` bytes was too large or took too long;
    /// `None` where there is none.
    pub(super) fn smaller(length: u64, registry_min: Option<u64>) -> Option<Self> {
        let least = CHUNK_MIN.max(registry_min.unwrap_or(0));
        let mut chunk = CHUNK.max(least);
        while chunk >= length && chunk > least {
            chunk = (chunk / 2).max(least);
        }
        (chunk < length).then_some(Self::Chunks(chunk))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn chunks_are_for_who_asks_and_for_what_is_longer_than_one() {
        for (size, asked, min, way) in [
            (1 << 40, None, None, Way::Whole),
            (100 * MIB, Some(10 * MIB), None, Way::Chunks(10 * MIB)),
            (10 * MIB, Some(10 * MIB), None, Way::Whole),
            (100 * MIB, Some(MIB), Some(8 * MIB), Way::Chunks(8 * MIB)),
            (100 * MIB, None, Some(5 * MIB), Way::Chunks(64 * MIB)),
            (200 * MIB, None, Some(99 * MIB), Way::Chunks(99 * MIB)),
            (64 * MIB, None, Some(5 * MIB), Way::Whole),
        ] {
            assert_eq!(Way::first(size, asked, min), way, "{size} {asked:?} {min:?}");
        }
    }

    #[test]
    fn chunks_shrink_to_what_any_proxy_lets_through() {
        let mut lengths = Vec::new();
        let mut length = 1000 * MIB;
        while let Some(Way::Chunks(chunk)) = Way::smaller(length, None) {
            lengths.push(chunk / MIB);
            length = chunk;
        }
        assert_eq!(lengths, [64, 32, 16, 8, 4, 2, 1]);
        assert_eq!(Way::smaller(30 * MIB, None), Some(Way::Chunks(16 * MIB)));
        assert_eq!(Way::smaller(30 * MIB, Some(20 * MIB)), Some(Way::Chunks(20 * MIB)));
        assert_eq!(Way::smaller(20 * MIB, Some(20 * MIB)), None);
        assert_eq!(Way::smaller(MIB, None), None);
    }
}
