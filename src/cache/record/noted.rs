//! An entry as JSON, but for its blob, which stands beside.

use serde::{Deserialize, Serialize};

use super::{About, Entry, KeptLayer};
use crate::cache::facts::Facts;
use crate::cache::key::Key;
use crate::cache::state::Token;
use crate::digest::Digest;
use crate::image::{Descriptor, media_type};

/// Short names: every build reads them.
#[derive(Serialize, Deserialize)]
pub(super) struct Noted {
    #[serde(rename = "k")]
    key: Key,
    #[serde(rename = "b")]
    below: Digest,
    #[serde(rename = "s", default, skip_serializing_if = "Vec::is_empty")]
    sources: Vec<Token>,
    #[serde(rename = "d", default, skip_serializing_if = "Option::is_none")]
    pub(super) diff_id: Option<Digest>,
    #[serde(rename = "f", default, skip_serializing_if = "Facts::is_empty")]
    facts: Facts,
    #[serde(rename = "c")]
    created: String,
    #[serde(rename = "u")]
    used: u64,
}

impl Noted {
    pub(super) fn of(entry: &Entry) -> Self {
        Self {
            key: entry.key,
            below: entry.below,
            sources: entry.sources.clone(),
            diff_id: entry.layer.as_ref().map(|layer| layer.diff_id),
            facts: entry.facts.clone(),
            created: entry.created.clone(),
            used: entry.used,
        }
    }

    /// The same that does not say when it was used: that it is in an image is what keeps it.
    pub(super) fn undated(entry: &Entry) -> Self {
        Self { used: UNDATED, ..Self::of(entry) }
    }

    /// The entry, with the blob that stands beside it; nothing where it says what no kiln would. What
    /// is taken from here goes into images.
    pub(super) fn entry(self, blob: Option<&Descriptor>, about: About) -> Option<Entry> {
        let layer = match (self.diff_id, blob) {
            (None, _) => None,
            (Some(diff_id), Some(blob)) => Some(KeptLayer { descriptor: layer_of(blob)?, diff_id }),
            (Some(_), None) => return None,
        };
        let Self { key, below, sources, facts, created, used, .. } = self;
        created.parse::<jiff::Timestamp>().ok()?;
        // A clock that is ahead keeps nothing for longer.
        let now = jiff::Timestamp::now().as_second().try_into().unwrap_or(0);
        let used = if used == UNDATED { used } else { used.min(now) };
        Some(Entry { key, below, sources, layer, facts, created, used, about })
    }
}

/// Of an image that carries its own keys.
const UNDATED: u64 = u64::MAX;

/// The blob of a layer, and nothing else that is said of it.
fn layer_of(blob: &Descriptor) -> Option<Descriptor> {
    use media_type::{DOCKER_LAYER, DOCKER_LAYER_GZIP, OCI_LAYER, OCI_LAYER_GZIP, OCI_LAYER_ZSTD};
    let kind = match blob.media_type.as_str() {
        OCI_LAYER | DOCKER_LAYER => OCI_LAYER,
        OCI_LAYER_GZIP | DOCKER_LAYER_GZIP => OCI_LAYER_GZIP,
        OCI_LAYER_ZSTD => OCI_LAYER_ZSTD,
        _ => return None,
    };
    Some(Descriptor::new(kind, blob.digest, blob.size))
}
