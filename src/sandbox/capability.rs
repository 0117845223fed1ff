//! What root may do in a RUN: what it may do in a Docker container.

use std::io;

use rustix::io::Errno;
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities,
};

/// Docker's default set (moby: oci/caps/defaults.go).
pub(super) const KEPT: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::MKNOD)
    .union(CapabilitySet::NET_RAW)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::SETFCAP)
    .union(CapabilitySet::SETPCAP)
    .union(CapabilitySet::NET_BIND_SERVICE)
    .union(CapabilitySet::SYS_CHROOT)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::AUDIT_WRITE);

/// What a command in a chroot must not have: it could leave the chroot with another one (chroot(2)).
pub(super) const KEPT_IN_CHROOT: CapabilitySet = KEPT.difference(CapabilitySet::SYS_CHROOT);

/// Whether this process may give its files to others.
pub(super) fn can_give_away() -> bool {
    has(CapabilitySet::CHOWN)
}

/// Whether this process may mount.
pub(super) fn has_sys_admin() -> bool {
    has(CapabilitySet::SYS_ADMIN)
}

/// The names of those that this process does not have.
pub(super) fn missing(needed: &[(CapabilitySet, &'static str)]) -> Vec<&'static str> {
    needed.iter().filter(|(capability, _)| !has(*capability)).map(|(_, name)| *name).collect()
}

/// Whether this process has all of these.
fn has(wanted: CapabilitySet) -> bool {
    capabilities(None).is_ok_and(|sets| sets.effective.contains(wanted))
}

/// Takes the others out of the bounding set, so that no exec, of a set-uid program neither, gets them
/// back. Needs CAP_SETPCAP, thus comes before [`lower`] and before the change of user.
pub(super) fn bound(kept: CapabilitySet) -> io::Result<()> {
    for number in 0..u64::BITS {
        let capability = CapabilitySet::from_bits_retain(1 << number);
        if kept.contains(capability) {
            continue;
        }
        match remove_capability_from_bounding_set(capability) {
            // The first number that this kernel does not know.
            Err(Errno::INVAL) => break,
            // A container without CAP_SETPCAP has what it was given, and so have its commands.
            Err(Errno::PERM) => {}
            result => result?,
        }
    }
    Ok(())
}

/// Lowers the process's own sets, after the change of user: that has emptied them for any but root.
/// Nothing is inheritable or ambient, as in Docker since CVE-2022-24769.
pub(super) fn lower(kept: CapabilitySet) -> io::Result<()> {
    let present = capabilities(None)?;
    set_capabilities(
        None,
        CapabilitySets {
            effective: present.effective & kept,
            permitted: present.permitted & kept,
            inheritable: CapabilitySet::empty(),
        },
    )?;
    match clear_ambient_capability_set() {
        // Before Linux 4.3.
        Ok(()) | Err(Errno::INVAL) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
