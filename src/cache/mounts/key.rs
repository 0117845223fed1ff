//! Under which names a cache is kept.

use crate::cache::library::Place;
use crate::digest::Digest;
use crate::plan::CacheMount;

/// Digits of a hash that make a name.
const DIGITS: usize = 32;
/// What stands between a place's own tag and the hash.
pub const MARK: &str = "-mount-";
/// No tag is longer (OCI distribution-spec, "Pulling manifests").
const TAG_MAX: usize = 128;

/// Which cache it is. Two with the same key begin with the same files, and belong to the same user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountKey {
    exact: Digest,
    kin: Digest,
    /// For people who look into the repository.
    about: String,
    shown: String,
}

impl MountKey {
    /// The key of a mount. `about` is all that tells it from others on one machine: id, seed, mode and
    /// owner. `platforms` is whom the commands are for that use it: what they leave there may be
    /// programs.
    pub fn new(mount: &CacheMount, about: &str, platforms: &str) -> Self {
        let CacheMount { id, uid, gid, .. } = mount;
        let owner = |id: &Option<u32>| id.map(|id| id.to_string()).unwrap_or_default();
        let kin =
            format!("id {id}\nuid {}\ngid {}\nplatforms {platforms}\n", owner(uid), owner(gid));
        let exact = format!("{about}platforms {platforms}\n");
        Self {
            exact: Digest::of(format!("exact\n{exact}").as_bytes()),
            kin: Digest::of(format!("kin\n{kin}").as_bytes()),
            about: exact,
            shown: shown(id),
        }
    }

    /// How people name the cache.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    pub(super) fn about(&self) -> &str {
        &self.about
    }

    /// Where the cache itself is.
    pub(super) fn exact_tag(&self, place: &Place) -> String {
        tag(&place.name, &self.exact)
    }

    /// Where the newest one of all is that have the same id, owner and platforms: whoever saves one
    /// writes this tag, too, so that one request finds it.
    pub(super) fn kin_tag(&self, place: &Place) -> String {
        tag(&place.name, &self.kin)
    }
}

/// The id as it was written; a namespace of BUILDKIT_CACHE_MOUNT_NS stands before it.
fn shown(id: &str) -> String {
    id.strip_prefix('/').unwrap_or(id).to_owned()
}

/// A base tag that is too long is cut off; its hash is in the name then.
fn tag(base: &str, hash: &Digest) -> String {
    let most = TAG_MAX - MARK.len() - DIGITS;
    let (base, hash) = match base.get(..most) {
        Some(start) if base.len() > most => {
            (start, Digest::of(format!("{base}\n{hash}").as_bytes()))
        }
        _ => (base, *hash),
    };
    format!("{base}{MARK}{}", &hash.hex()[..DIGITS])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dockerfile::Sharing;

    fn mount(id: &str, uid: Option<u32>) -> CacheMount {
        CacheMount {
            target: "/c".into(),
            id: id.into(),
            sharing: Sharing::Shared,
            seed: None,
            source: "/".into(),
            read_only: false,
            mode: None,
            uid,
            gid: None,
        }
    }

    #[test]
    fn keys_differ_by_what_matters() {
        let key = |id: &str, uid, about: &str, on: &str| MountKey::new(&mount(id, uid), about, on);
        let one = key("/a", None, "id /a\nmode \n", "linux/amd64");
        assert_eq!(one, key("/a", None, "id /a\nmode \n", "linux/amd64"));
        // Kin: another mode, another seed.
        let other = key("/a", None, "id /a\nmode 700\n", "linux/amd64");
        assert!(one.exact != other.exact && one.kin == other.kin);
        for stranger in [
            key("/b", None, "id /b\nmode \n", "linux/amd64"),
            key("/a", Some(0), "id /a\nmode \nuid 0\n", "linux/amd64"),
            key("/a", None, "id /a\nmode \n", "linux/arm64"),
        ] {
            assert!(one.exact != stranger.exact && one.kin != stranger.kin, "{stranger:?}");
        }
        assert_ne!(one.exact, one.kin);
    }

    #[test]
    fn people_see_the_id_that_they_wrote() {
        for (id, expected) in
            [("//root/.cache", "/root/.cache"), ("/pip", "pip"), ("ns/pip", "ns/pip")]
        {
            assert_eq!(shown(id), expected);
        }
    }

    #[test]
    fn tags_are_never_too_long() {
        let hash = Digest::of(b"x");
        let (long, longer) = ("t".repeat(128), format!("{}u", "t".repeat(127)));
        assert_eq!(tag("cache", &hash), format!("cache-mount-{}", &hash.hex()[..32]));
        assert_eq!(tag(&long, &hash).len(), 128);
        assert_ne!(tag(&long, &hash), tag(&longer, &hash));
        assert!(tag(&"t".repeat(89), &hash).ends_with(&hash.hex()[..32]));
    }
}
