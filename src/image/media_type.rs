//! Media types of manifests, configs and layers, in OCI's and in Docker's spelling.
//!
//! Source: OCI image-spec media-types.md; Docker's "Image Manifest Version 2, Schema 2".

use crate::layer::Compression;

/// OCI image index.
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// OCI image manifest.
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// OCI image config.
pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// OCI layer, gzip.
pub const OCI_LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
/// OCI layer, zstd.
pub const OCI_LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
/// OCI layer, plain tar.
pub const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
/// Docker manifest list.
pub const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// Docker manifest.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Docker config.
pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
/// Docker layer, gzip.
pub const DOCKER_LAYER_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
/// Docker layer, plain tar.
pub const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";

/// Which family of media types an image is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ImageFormat {
    /// OCI image-spec 1.
    #[default]
    Oci,
    /// Docker schema 2.
    Docker,
}

impl ImageFormat {
    /// Media type of the manifest.
    pub fn manifest(self) -> &'static str {
        match self {
            Self::Oci => OCI_MANIFEST,
            Self::Docker => DOCKER_MANIFEST,
        }
    }

    /// Media type of what joins the manifests of several platforms.
    pub fn index(self) -> &'static str {
        match self {
            Self::Oci => OCI_INDEX,
            Self::Docker => DOCKER_INDEX,
        }
    }

    /// Media type of the config.
    pub fn config(self) -> &'static str {
        match self {
            Self::Oci => OCI_CONFIG,
            Self::Docker => DOCKER_CONFIG,
        }
    }

    /// This family's spelling of a layer's media type. The bytes do not change with it. A type
    /// that the family has no word for (zstd in Docker's) keeps its own.
    pub fn layer(self, media_type: &str) -> String {
        let translated = match (self, media_type) {
            (Self::Oci, DOCKER_LAYER_GZIP) => OCI_LAYER_GZIP,
            (Self::Oci, DOCKER_LAYER) => OCI_LAYER,
            (Self::Docker, OCI_LAYER_GZIP) => DOCKER_LAYER_GZIP,
            (Self::Docker, OCI_LAYER) => DOCKER_LAYER,
            (_, other) => other,
        };
        translated.to_owned()
    }
}

/// Whether a media type is an index or a manifest list.
pub fn is_index(media_type: &str) -> bool {
    matches!(media_type, OCI_INDEX | DOCKER_INDEX)
}

/// Whether a media type is that of a layer that can be unpacked: a tar, plain or compressed with
/// gzip or zstd. Also of those that may not be distributed, which Windows images have, and of
/// Docker's zstd, which some tools write.
pub fn is_layer(media_type: &str) -> bool {
    const TARS: [&str; 4] = [
        OCI_LAYER,
        "application/vnd.oci.image.layer.nondistributable.v1.tar",
        DOCKER_LAYER,
        "application/vnd.docker.image.rootfs.foreign.diff.tar",
    ];
    let compression = TARS.iter().find_map(|tar| media_type.strip_prefix(tar));
    matches!(compression, Some("" | "+gzip" | "+zstd" | ".gzip" | ".zstd"))
}

/// OCI's media type of a layer that kiln wrote.
pub fn of_layer(compression: Compression) -> &'static str {
    match compression {
        Compression::None => OCI_LAYER,
        Compression::Gzip { .. } => OCI_LAYER_GZIP,
        Compression::Zstd { .. } => OCI_LAYER_ZSTD,
    }
}
