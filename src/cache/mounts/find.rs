//! Looking for a snapshot.

use super::error::MountError;
use super::key::MountKey;
use super::manifest::Snapshot;
use crate::cache::library::Place;
use crate::cancel::Cancel;

/// A snapshot that is somewhere.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) place: Place,
    pub(super) snapshot: Snapshot,
    /// Whether it is of this very cache, not of one with the same id.
    pub(super) is_exact: bool,
}

/// Looks at the places in their order for the cache itself, and only then for the newest one of its kin:
/// one request more for each place. What was saved before `oldest` (seconds since 1970) is as good as
/// none. What cannot be read is told to `failed`, and passed over, as are the places that `is_out` knows.
/// `build` stops it.
pub(super) fn find(
    places: &[Place],
    key: &MountKey,
    oldest: u64,
    build: &Cancel,
    is_out: &dyn Fn(&Place) -> bool,
    failed: &dyn Fn(&Place, MountError),
) -> Option<Found> {
    let look = |place: &Place, tag: &str, is_exact: bool| {
        if build.is_cancelled() || is_out(place) {
            return None;
        }
        match read(place, tag) {
            Ok(snapshot) => snapshot
                .filter(|snapshot| snapshot.saved >= oldest)
                .map(|snapshot| Found { place: place.clone(), snapshot, is_exact }),
            Err(error) => {
                failed(place, error);
                None
            }
        }
    };
    let exact = places.iter().find_map(|place| look(place, &key.exact_tag(place), true));
    exact.or_else(|| {
        let kin = places.iter().filter_map(|place| look(place, &key.kin_tag(place), false));
        // Of two of the same age, that of the place that was named first.
        kin.reduce(|a, b| if b.snapshot.saved > a.snapshot.saved { b } else { a })
    })
}

/// What a place has under a tag.
pub(super) fn read(place: &Place, tag: &str) -> Result<Option<Snapshot>, MountError> {
    let document = place.backend.document(tag)?;
    let name = || format!("{}:{tag}", place.backend.name());
    document.map(|document| Snapshot::parse(&document, &name())).transpose()
}
