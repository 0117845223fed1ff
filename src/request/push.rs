//! Images that are there already and go to registries.

use std::path::PathBuf;

use super::{Annotations, CompressionChoice, RegistryChoice};
use crate::image::{ImageFormat, Platform};

/// Where something goes, and what is written about it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Destinations {
    /// Image names as typed, at least one.
    pub names: Vec<String>,
    /// Gets `sha256:…`.
    pub digest_file: Option<PathBuf>,
    /// Gets a line `repository@sha256:…` for each name.
    pub image_name_with_digest_file: Option<PathBuf>,
    /// Gets a line `repository:tag@sha256:…` for each name.
    pub image_name_tag_with_digest_file: Option<PathBuf>,
    /// Whether the registries are not asked first for the permission to push.
    pub skip_push_check: bool,
    /// How registries are reached.
    pub registry: RegistryChoice,
}

/// One call of `kiln push`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushRequest {
    /// A file or directory, absolute; standard input if none.
    pub source: Option<PathBuf>,
    /// Which image in it: `:tag`, `@digest`, `:name`; may be empty.
    pub image: String,
    /// Of an index, the one image that is pushed; all if none.
    pub platform: Option<Platform>,
    /// How layers that are not compressed become so; the default if none.
    pub compression: Option<CompressionChoice>,
    /// The level of that; its default if none.
    pub compression_level: Option<i32>,
    /// Compression threads, at least 1.
    pub jobs: usize,
    /// Where archives are unpacked; a new directory in `temp_dir` if none.
    pub work_dir: Option<PathBuf>,
    /// The directory for temporary files.
    pub temp_dir: PathBuf,
    /// Where it goes.
    pub to: Destinations,
}

/// One source of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexSource {
    /// The name of an image, or `oci-layout://DIR[:tag][@digest]` with an absolute directory.
    pub name: String,
    /// Whom its image is for, where the config does not say.
    pub platform: Option<Platform>,
}

/// One call of `kiln index`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexRequest {
    /// What is joined, in order.
    pub sources: Vec<IndexSource>,
    /// Annotations of the index, and of what leads to its images.
    pub annotations: Annotations,
    /// The family of media types; as the sources have it if none.
    pub format: Option<ImageFormat>,
    /// Where it goes.
    pub to: Destinations,
}
