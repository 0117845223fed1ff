//! What is at a place.

use serde_json::Value;

use super::{Kept, Thing, Travelling, What};
use crate::cache::backend::Document;
use crate::cache::error::CacheError;
use crate::cache::mounts;
use crate::cache::record::{self, Detail};
use crate::digest::Digest;
use crate::image::Manifest;

/// Records begin with this where nobody named them otherwise.
const PREFIX: &str = "kiln";

/// What a place has, in the order of the names. A tag picks one record, and the caches that travel
/// with it; without one it is all that is called `kiln…`. Images, and what else is there, are left out.
///
/// # Errors
/// What the place says, and a record that is damaged.
pub fn look(place: &Kept, tag: Option<&str>) -> Result<Vec<Thing>, CacheError> {
    let mut names = place.names()?;
    names.retain(|name| wanted_tag(name, tag));
    names.sort();
    names.dedup();
    let mut things = Vec::new();
    for tag in names {
        let Some(document) = place.backend().document(&tag)? else { continue };
        if let Some(what) = what(place, &tag, &document)? {
            things.push(Thing { tag, digest: Digest::of(&document.bytes), what });
        }
    }
    Ok(things)
}

/// Whether a name is meant.
pub fn wanted_tag(name: &str, tag: Option<&str>) -> bool {
    match tag {
        None => name.starts_with(PREFIX),
        Some(tag) => name
            .strip_prefix(tag)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(mounts::MARK)),
    }
}

fn what(place: &Kept, tag: &str, document: &Document) -> Result<Option<What>, CacheError> {
    let value: Value = serde_json::from_slice(&document.bytes).unwrap_or_default();
    let of_document = || record::of_document(place.backend(), tag, document, Detail::About);
    let says = |name: &str| value.get("annotations").is_some_and(|all| all.get(name).is_some());
    match (says(record::VERSION), says(mounts::VERSION)) {
        (true, _) => Ok(Some(What::Results(of_document()?))),
        (_, true) => Ok(mount(document).map(What::Mount)),
        _ => Ok(None),
    }
}

fn mount(document: &Document) -> Option<Travelling> {
    let manifest: Manifest = serde_json::from_slice(&document.bytes).ok()?;
    let parts = manifest.layers.iter().map(|layer| (layer.digest, layer.size)).collect();
    let written = manifest.annotations.get(mounts::SAVED).and_then(|text| text.parse().ok());
    Some(Travelling { parts, written })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_picks_a_record_and_what_travels_with_it() {
        for (name, tag, wanted) in [
            ("kiln", None, true),
            ("kiln-amd64", None, true),
            ("v1", None, false),
            ("main", Some("main"), true),
            ("main-mount-0123", Some("main"), true),
            ("main-2", Some("main"), false),
            ("kiln", Some("main"), false),
        ] {
            assert_eq!(wanted_tag(name, tag), wanted, "{name} {tag:?}");
        }
    }
}
