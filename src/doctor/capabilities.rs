//! What root is allowed, and what fails without it.

use rustix::thread::CapabilitySet;
use serde::{Serialize, Serializer};

use super::findings::Weight;

/// A set of capabilities; as text, their names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities(pub CapabilitySet);

/// What is lost without a capability.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lack {
    pub weight: Weight,
    /// The rest of a sentence that begins with "without".
    pub effect: &'static str,
}

const fn limits(effect: &'static str) -> Lack {
    Lack { weight: Weight::Limits, effect }
}

const fn note(effect: &'static str) -> Lack {
    Lack { weight: Weight::Note, effect }
}

/// What builds need (all of it is in the default set of Docker and containerd; Podman's lacks MKNOD),
/// and what fails without.
const NEEDED: [(CapabilitySet, Lack); 11] = [
    (
        CapabilitySet::CHOWN,
        limits(
            "chown in a RUN fails, and so does giving the base image's files to their \
      owners",
        ),
    ),
    (
        CapabilitySet::DAC_OVERRIDE,
        limits(
            "root cannot read or write what belongs to other users, as package \
      managers do",
        ),
    ),
    (
        CapabilitySet::FOWNER,
        limits(
            "root cannot change the mode or date of other users' files; tar, cp -p and \
      package managers fail",
        ),
    ),
    (
        CapabilitySet::FSETID,
        note("a set-group-ID bit is lost when root changes a file of another group"),
    ),
    (
        CapabilitySet::SETUID,
        limits(
            "USER, su and sudo fail, and so does apt-get, which downloads as the user \
      _apt",
        ),
    ),
    (
        CapabilitySet::SETGID,
        limits(
            "USER, su and sudo fail, and so does apt-get, which downloads as the user \
      _apt",
        ),
    ),
    (
        CapabilitySet::SETFCAP,
        limits(
            "file capabilities cannot be set: setcap in a RUN fails, and programs of \
      the base image (ping) lose theirs",
        ),
    ),
    (
        CapabilitySet::SETPCAP,
        limits(
            "the capabilities of a RUN cannot be limited, so that isolation `chroot` \
      is not possible",
        ),
    ),
    (CapabilitySet::SYS_CHROOT, limits("isolation `chroot` is not possible")),
    (
        CapabilitySet::KILL,
        limits(
            "root cannot stop processes of other users: what a USER leaves running, \
      services that a package's script restarts",
        ),
    ),
    (
        CapabilitySet::MKNOD,
        note(
            "mknod of a device in a RUN fails, and devices of the base image are left \
      out; /dev of a RUN has the usual ones all the same",
        ),
    ),
];

impl Capabilities {
    /// Those of this process.
    pub(super) fn now() -> Self {
        let sets = rustix::thread::capabilities(None);
        Self(sets.map_or(CapabilitySet::empty(), |sets| sets.effective))
    }

    /// Names as engines take them, without `CAP_`, in the kernel's order. Those that are newer than
    /// this program are left out.
    pub fn names(self) -> Vec<&'static str> {
        let mut all: Vec<_> = CapabilitySet::all()
            .iter_names()
            .filter(|(_, one)| self.0.contains(*one))
            .map(|(name, one)| (one.bits(), name))
            .collect();
        all.sort_unstable();
        all.into_iter().map(|(_, name)| name).collect()
    }

    /// Names of those that are not in it.
    pub fn others(self) -> Vec<&'static str> {
        Self(self.0.complement()).names()
    }

    /// Whether this one is in it.
    pub(super) fn has(self, one: CapabilitySet) -> bool {
        self.0.contains(one)
    }

    /// Names of those that builds need and that are not in it.
    pub fn missing(self) -> Vec<&'static str> {
        self.lacks().into_iter().flat_map(|(missing, _)| missing.names()).collect()
    }

    /// Those that builds need and that are not in it, with what fails; together where it is the same.
    pub(super) fn lacks(self) -> Vec<(Self, Lack)> {
        let mut lacks: Vec<(Self, Lack)> = Vec::new();
        for (one, lack) in NEEDED.into_iter().filter(|(one, _)| !self.has(*one)) {
            match lacks.iter_mut().find(|(_, known)| *known == lack) {
                Some((set, _)) => set.0 |= one,
                None => lacks.push((Self(one), lack)),
            }
        }
        lacks
    }
}

impl Serialize for Capabilities {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.names().serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_engines_take() {
        let all = Capabilities(CapabilitySet::all());
        assert_eq!(&all.names()[..3], ["CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH"]);
        assert_eq!(all.missing(), [""; 0]);
        assert_eq!(Capabilities(CapabilitySet::all() - CapabilitySet::KILL).others(), ["KILL"]);
    }

    #[test]
    fn what_fails_in_the_same_way_is_told_once() {
        let all = CapabilitySet::all();
        let without = Capabilities(all - CapabilitySet::SETUID - CapabilitySet::SETGID);
        let lacks = without.lacks();
        assert_eq!(lacks.len(), 1);
        assert_eq!(without.missing(), ["SETGID", "SETUID"]);
    }
}
