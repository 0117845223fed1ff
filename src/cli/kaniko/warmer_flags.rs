//! kaniko's `warmer`: the same flags in all forks.

use super::shared_flags::{COMMON, LOG_FORMATS};
use super::table::{Flag, duration, list, switch, text};

const OWN: &[Flag] = &[
    list("image", "Image to fetch").short('i'),
    text(
        "dockerfile",
        "",
        "Fetch the base images of this Dockerfile. An `http://` or `https://` \
        address is an error",
    )
    .short('d'),
    list("build-arg", "Value of an ARG that FROM uses; `NAME` alone takes the environment's"),
    text("cache-dir", "/cache", "Directory for the images").short('c'),
    switch("force", "Fetch what is there already").short('f'),
    duration("cache-ttl", "336h", "Fetch again what is older"),
    // Not an old spelling here: warmer has no other.
    text("customPlatform", "", "Platform of the images, `os/arch[/variant]`"),
];

/// All flags of the warmer.
pub(super) const FLAGS: &[&[Flag]] = &[OWN, COMMON, LOG_FORMATS];
