//! The cache as it comes together: places, and what is to be said about them.

use super::Remark;
use super::cache_entry::Entry;
use crate::registry::Reference;
use crate::request::{CacheChoice, CachePlace, CacheReach, CacheTarget, RegistryChoice};

/// What comes of it.
#[derive(Debug, Default)]
pub(super) struct Caching {
    pub(super) choice: CacheChoice,
    pub(super) remarks: Vec<Remark>,
    /// Hosts that plain HTTP is spoken with.
    plain: Vec<String>,
    /// Hosts that the cache is written to.
    written: Vec<String>,
}

impl Caching {
    /// Lets the cache be read as it is written: `--insecure` speaks of pushes, and what was pushed
    /// to the cache comes back.
    pub(super) fn reach(&self, registry: &mut RegistryChoice) {
        let written = self.written.iter().filter(|_| registry.insecure);
        let more: Vec<String> = self.plain.iter().chain(written).cloned().collect();
        for host in more {
            if !registry.insecure_registries.contains(&host) {
                registry.insecure_registries.push(host);
            }
        }
    }

    /// Says what the user should change.
    pub(super) fn warn(&mut self, text: String) {
        self.remarks.push(Remark::Warning(text));
    }

    /// Says what was found.
    pub(super) fn note(&mut self, text: String) {
        self.remarks.push(Remark::Note(text));
    }

    /// One place that is read and, unless that is not wanted, written.
    pub(super) fn use_repository(&mut self, place: CachePlace, read_only: bool) {
        self.written.extend(host(&place));
        self.choice.from.push(place.clone());
        if !read_only {
            let reach = CacheReach::All;
            self.choice.to.push(CacheTarget::Place { place, reach, must_succeed: false });
        }
    }

    /// One more place that is read.
    pub(super) fn read(&mut self, entry: Entry) {
        let Some(place) = entry.place else { return };
        if entry.insecure {
            self.plain.extend(host(&place));
        }
        if !self.choice.from.contains(&place) {
            self.choice.from.push(place);
        }
    }

    /// One more place that is written, or the image.
    pub(super) fn write(&mut self, entry: Entry) {
        let Some(place) = entry.place else { return self.write_inline() };
        if entry.insecure {
            self.plain.extend(host(&place));
        }
        self.written.extend(host(&place));
        for target in &mut self.choice.to {
            if let CacheTarget::Place { place: known, reach, must_succeed } = target
                && *known == place
            {
                // Twice the same place: all that either of them wants.
                *must_succeed |= entry.must_succeed;
                if entry.reach == CacheReach::All {
                    *reach = CacheReach::All;
                }
                return;
            }
        }
        let Entry { reach, must_succeed, .. } = entry;
        self.choice.to.push(CacheTarget::Place { place, reach, must_succeed });
    }

    /// The image is a cache, too.
    pub(super) fn write_inline(&mut self) {
        if !self.choice.to.contains(&CacheTarget::Inline) {
            self.choice.to.push(CacheTarget::Inline);
        }
    }

    /// Whether something is read or written that is not the image itself.
    pub(super) fn has_place(&self) -> bool {
        !self.choice.from.is_empty() || self.is_written()
    }

    /// Whether something that is not the image itself is written.
    pub(super) fn is_written(&self) -> bool {
        self.choice.to.iter().any(|target| matches!(target, CacheTarget::Place { .. }))
    }
}

/// The registry that a place is in.
fn host(place: &CachePlace) -> Option<String> {
    match place {
        CachePlace::Registry(name) => name.parse().ok().map(|name: Reference| name.registry),
        CachePlace::Layout { .. } => None,
    }
}
