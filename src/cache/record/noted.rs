//! An entry as JSON, but for its blob, which stands beside.

use serde::{Deserialize, Serialize};

use super::{About, Entry, KeptLayer};
use crate::cache::facts::Facts;
use crate::cache::key::Key;
use crate::cache::state::Token;
use crate::digest::Digest;
use crate::image::Descriptor;

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
        Self { used: u64::MAX, ..Self::of(entry) }
    }

    /// The entry, with the blob that stands beside it.
    pub(super) fn entry(self, blob: Option<&Descriptor>, about: About) -> Entry {
        let layer = self.diff_id.zip(blob).map(|(diff_id, blob)| {
            let mut descriptor = blob.clone();
            descriptor.annotations.clear();
            KeptLayer { descriptor, diff_id }
        });
        let Self { key, below, sources, facts, created, used, .. } = self;
        Entry { key, below, sources, layer, facts, created, used, about }
    }
}
