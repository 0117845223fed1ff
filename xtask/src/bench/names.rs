//! Who is measured: what each is called, and with which of kiln's two ways it is compared.

/// One who builds.
pub(super) struct Name {
    /// As it is in results.
    pub(super) id: &'static str,
    /// In tables.
    pub(super) title: &'static str,
    /// In the chart, where there is little room.
    pub(super) short: &'static str,
}

pub(super) const CHROOT: &str = "kiln-chroot";
pub(super) const NAMESPACES: &str = "kiln-namespaces";
/// What no builder can be much faster than; no builder itself.
pub(super) const LIMIT: &str = "limit";

/// All, in the order of tables.
const NAMES: [Name; 9] = [
    Name {
        id: NAMESPACES,
        title: "kiln, `namespaces`, as root of the machine",
        short: "kiln, namespaces",
    },
    Name {
        id: CHROOT,
        title: "kiln, `chroot`, in an unprivileged container",
        short: "kiln, chroot",
    },
    Name { id: "kaniko", title: "kaniko", short: "kaniko" },
    Name {
        id: "dind-classic",
        title: "docker-in-docker, classic builder",
        short: "docker-in-docker",
    },
    Name { id: "dind-buildkit", title: "docker-in-docker, BuildKit", short: "dind, BuildKit" },
    Name { id: "buildah-chroot", title: "buildah, chroot isolation", short: "buildah, chroot" },
    Name { id: "buildah-oci", title: "buildah, OCI isolation", short: "buildah, OCI" },
    Name { id: "buildkit", title: "BuildKit (buildkitd)", short: "BuildKit" },
    Name { id: LIMIT, title: "the limit", short: "the limit" },
];

/// Its title, or the id of one that has none.
pub(super) fn title(id: &str) -> &str {
    named(id).map_or(id, |name| name.title)
}

/// Its short title, or the id of one that has none.
pub(super) fn short(id: &str) -> &str {
    named(id).map_or(id, |name| name.short)
}

/// Peers, in the order of tables: neither kiln nor the limit.
pub(super) fn peers() -> impl Iterator<Item = &'static str> {
    NAMES.iter().map(|name| name.id).filter(|id| !is_kiln(id) && *id != LIMIT)
}

pub(super) fn is_kiln(id: &str) -> bool {
    id.starts_with("kiln-")
}

/// Which of kiln's two ways is compared with this peer. kaniko and docker-in-docker are what people
/// have in jobs of CI systems; there, kiln is in an unprivileged container. BuildKit and buildah, and
/// the limit, are started as root of the machine, as is kiln.
pub(super) fn compared_with(peer: &str) -> &'static str {
    match peer {
        "kaniko" | "dind-classic" | "dind-buildkit" => CHROOT,
        _ => NAMESPACES,
    }
}

/// A case's name in the chart, and a few words about it.
pub(super) fn case(id: &str) -> Option<(&'static str, &'static str)> {
    Some(match id {
        "flask-cold" => ("flask, cold", "pip install and COPY"),
        "flask-unchanged" => ("flask, unchanged", "with a cache"),
        "flask-changed" => ("flask, app.py changed", "with a cache"),
        "large" => ("large", "500 MB in 20,000 files"),
        "stages" => ("stages", "three, independent"),
        "copy-only" => ("copy-only", "a static program on Debian"),
        "deep" => ("deep", "40 RUNs"),
        "monorepo" => ("monorepo", "2 % of 60,000 files"),
        "big-push" => ("big push", "one layer of 2 GB"),
        _ => return None,
    })
}

fn named(id: &str) -> Option<&'static Name> {
    NAMES.iter().find(|name| name.id == id)
}
