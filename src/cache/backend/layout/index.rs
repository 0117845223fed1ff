//! `index.json`: which document has which name.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use super::Layout;
use crate::cache::error::CacheError;
use crate::image::layout::{REF_NAME, VERSION, empty_index};
use crate::image::{Descriptor, Index, read_document};

impl Layout {
    /// What it says; it is empty where there is none.
    pub(super) fn index(&self) -> Result<Index, CacheError> {
        let path = self.dir.join("index.json");
        let bytes = match read_document(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(empty_index()),
            read => read.map_err(CacheError::io("read", &path))?,
        };
        serde_json::from_slice(&bytes).map_err(|error| {
            let path = path.display();
            self.not_a_cache(format!(
                "{path} is no index of an OCI layout ({error}); name another directory, or remove it"
            ))
        })
    }

    /// Puts another in its place. The lock is held.
    pub(super) fn write_index(&self, index: Index) -> Result<(), CacheError> {
        let (version, path) = (self.dir.join("oci-layout"), self.dir.join("index.json"));
        if !version.exists() {
            self.write(&version, VERSION)?;
        }
        let text = serde_json::to_vec(&index);
        let text = text.map_err(|error| CacheError::io("write", &path)(error.into()))?;
        self.write(&path, &text)
    }

    /// The names of all documents, as they stand there.
    pub fn names(&self) -> Result<Vec<String>, CacheError> {
        let index = self.index()?;
        let names = index.manifests.iter().filter_map(|entry| entry.annotations.get(REF_NAME));
        Ok(names.cloned().collect())
    }
}

/// Whether a directory has the form of a layout.
pub(super) fn is_layout(dir: &Path) -> bool {
    let is_file = |name: &str| fs::metadata(dir.join(name)).is_ok_and(|meta| meta.is_file());
    is_file("oci-layout") || is_file("index.json")
}

pub(super) fn find<'a>(index: &'a Index, name: &str) -> Option<&'a Descriptor> {
    let tag_of = |entry: &'a Descriptor| entry.annotations.get(REF_NAME);
    index.manifests.iter().find(|entry| tag_of(entry).is_some_and(|tag| tag == name))
}

/// The index with a document under a name; all others stay as they are.
pub(super) fn with(mut index: Index, name: &str, mut entry: Descriptor) -> Index {
    entry.annotations.insert(REF_NAME.to_owned(), name.to_owned());
    index.manifests.retain(|old| old.annotations.get(REF_NAME).is_none_or(|tag| tag != name));
    index.manifests.push(entry);
    index
}

/// The index without a name.
pub(super) fn without(mut index: Index, name: &str) -> Index {
    index.manifests.retain(|old| old.annotations.get(REF_NAME).is_none_or(|tag| tag != name));
    index
}
