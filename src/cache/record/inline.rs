//! The keys of an image's own layers, in its config: the image is then a cache of what is in it.

use serde_json::Value;

use super::noted::Noted;
use super::{About, Entry};
use crate::digest::Digest;
use crate::image::{Descriptor, ImageConfig};

/// The field of the config.
const FIELD: &str = "dev.kiln.cache.v1";

/// Writes the entries that concern these layers into a config.
pub fn write(config: &mut ImageConfig, entries: &[Entry]) -> Result<(), serde_json::Error> {
    let diff_ids = &config.rootfs.diff_ids;
    let concerns = |entry: &&Entry| match &entry.layer {
        Some(layer) => diff_ids.contains(&layer.diff_id),
        None => true,
    };
    // In an order that does not depend on which threads were faster.
    let mut sorted: Vec<&Entry> = entries.iter().filter(concerns).collect();
    sorted.sort_by_key(|entry| (entry.key, entry.below));
    sorted.dedup_by_key(|entry| (entry.key, entry.below));
    let noted: Vec<Noted> = sorted.into_iter().map(Noted::undated).collect();
    config.other.insert(FIELD.to_owned(), serde_json::to_value(noted)?);
    Ok(())
}

/// The entries of an image; nothing where its config carries none.
pub(super) fn entries(
    config: &Value,
    layers: &[Descriptor],
) -> Result<Option<Vec<Entry>>, serde_json::Error> {
    let Some(field) = config.get(FIELD) else { return Ok(None) };
    let noted: Vec<Noted> = serde_json::from_value(field.clone())?;
    let diff_ids = config.pointer("/rootfs/diff_ids").cloned().unwrap_or_default();
    let diff_ids: Vec<Digest> = serde_json::from_value(diff_ids)?;
    let mut entries = Vec::new();
    for noted in noted {
        let at = noted.diff_id.map(|wanted| diff_ids.iter().position(|it| *it == wanted));
        let blob = match at {
            // It left no layer.
            None => None,
            Some(Some(at)) if layers.get(at).is_some() => layers.get(at),
            Some(_) => continue,
        };
        entries.extend(noted.entry(blob, About::default()));
    }
    Ok(Some(entries))
}
