//! Annotations: free text on the documents of an image.
//!
//! Source: docs.docker.com/build/metadata/annotations.

use std::collections::BTreeMap;

use crate::image::Platform;

/// What an annotation stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Annotated {
    /// The manifest of an image.
    #[default]
    Manifest,
    /// What leads to the manifest, in an index or an OCI layout.
    ManifestDescriptor,
    /// The index of several platforms.
    Index,
    /// What leads to the index, in an OCI layout.
    IndexDescriptor,
}

impl Annotated {
    /// Whether there is such a document only where several platforms are built.
    pub fn needs_index(self) -> bool {
        matches!(self, Self::Index | Self::IndexDescriptor)
    }
}

/// One annotation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Annotation {
    /// On what.
    pub on: Annotated,
    /// Of which platform's image; of all if none.
    pub platform: Option<Platform>,
    /// Its name.
    pub name: String,
    /// Its text.
    pub value: String,
}

/// All annotations of a build, in the order given.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Annotations(pub Vec<Annotation>);

impl Annotations {
    /// Those of a document. What is said of one platform wins over what is said of all, else a later
    /// one of the same name wins.
    pub fn on(&self, what: Annotated, platform: Option<&Platform>) -> BTreeMap<String, String> {
        let here = self.0.iter().filter(|it| it.on == what);
        let general = here.clone().filter(|it| it.platform.is_none());
        let own = here.filter(|it| it.platform.is_some() && it.platform.as_ref() == platform);
        general.chain(own).map(|it| (it.name.clone(), it.value.clone())).collect()
    }
}
