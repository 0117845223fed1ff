//! What other tools say of the images: skopeo, umoci, buildah, Debian's Docker.

mod common;

#[path = "tools/compressed.rs"]
mod compressed;
#[path = "tools/dockerd.rs"]
mod dockerd;
#[path = "tools/sample.rs"]
mod sample;
#[path = "tools/skopeo.rs"]
mod skopeo;
#[path = "tools/unpack.rs"]
mod unpack;
