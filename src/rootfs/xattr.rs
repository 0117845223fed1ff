//! Extended attributes: those that images carry, and those by which overlayfs marks directories.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use rustix::fs::{XattrFlags, fgetxattr, flistxattr, fremovexattr, fsetxattr};
use rustix::io::Errno;

/// The kernel's limit for one value (`XATTR_SIZE_MAX`).
const MAX_VALUE: usize = 64 * 1024;

/// How overlayfs writes its marks: `userxattr` is the mount option of the same name, which a mount
/// in a user namespace needs because `trusted.*` is only for the real root
/// (Documentation/filesystems/overlayfs.rst, "User xattr").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overlay {
    /// `user.overlay.*` instead of `trusted.overlay.*`.
    pub userxattr: bool,
}

impl Overlay {
    /// The full name of one of overlayfs's attributes, such as `opaque`.
    pub(super) fn name(self, mark: &str) -> OsString {
        let space = if self.userxattr { "user" } else { "trusted" };
        OsString::from(format!("{space}.overlay.{mark}"))
    }

    /// Whether a directory with these attributes hides everything below it.
    pub(super) fn is_opaque(self, dir: impl AsFd, names: &[OsString]) -> io::Result<bool> {
        let opaque = self.name("opaque");
        if !names.contains(&opaque) {
            return Ok(false);
        }
        Ok(value(&dir, &opaque)?.as_deref() == Some(b"y".as_slice()))
    }

    /// An attribute by which an object's content or place is that of another one below.
    pub(super) fn redirection(self, names: &[OsString]) -> Option<OsString> {
        ["redirect", "metacopy"].map(|mark| self.name(mark)).into_iter().find(|n| names.contains(n))
    }

    /// Makes a directory hide everything below it.
    pub(super) fn set_opaque(self, dir: impl AsFd) -> io::Result<()> {
        Ok(fsetxattr(dir, self.name("opaque"), b"y", XattrFlags::empty())?)
    }
}

/// Whether a layer carries this attribute: file capabilities and the user's own, as BuildKit and
/// containers/storage have it. ACLs, labels and `trusted.*` belong to the machine, and overlayfs's
/// marks in the user's space would let a layer hide or redirect what lies below it.
pub(crate) fn carried(name: &OsStr) -> bool {
    let name = name.as_bytes();
    name == b"security.capability"
        || (name.starts_with(b"user.") && !name.starts_with(b"user.overlay."))
}

/// The attributes of an open file that a layer carries.
pub(super) fn read(file: impl AsFd) -> io::Result<BTreeMap<OsString, Vec<u8>>> {
    read_named(&file, &names(&file)?)
}

/// Those of these attributes that a layer carries.
pub(super) fn read_named(
    file: impl AsFd,
    names: &[OsString],
) -> io::Result<BTreeMap<OsString, Vec<u8>>> {
    let mut found = BTreeMap::new();
    for name in names.iter().filter(|name| carried(name)) {
        if let Some(value) = value(&file, name)? {
            found.insert(name.clone(), value);
        }
    }
    Ok(found)
}

/// The names of all attributes of an open file; none where the file system has no such thing.
pub(super) fn names(file: impl AsFd) -> io::Result<Vec<OsString>> {
    let mut small = [0_u8; 512];
    let list = match flistxattr(&file, &mut small[..]) {
        Ok(length) => small[..length].to_vec(),
        Err(Errno::RANGE) => {
            let mut large = vec![0_u8; MAX_VALUE];
            let length = flistxattr(&file, &mut large[..])?;
            large.truncate(length);
            large
        }
        Err(Errno::OPNOTSUPP) => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    let names = list.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    Ok(names.map(|name| OsString::from_vec(name.to_vec())).collect())
}

/// Removes the attributes that a layer carries, but for those that will be written anew.
pub(super) fn clear(file: impl AsFd, wanted: &BTreeMap<OsString, Vec<u8>>) -> io::Result<()> {
    for name in names(&file)? {
        if carried(&name) && !wanted.contains_key(&name) {
            fremovexattr(&file, &name)?;
        }
    }
    Ok(())
}

/// Writes what a layer carries; returns how many attributes the system did not take.
pub(super) fn write(file: impl AsFd, wanted: &BTreeMap<OsString, Vec<u8>>) -> io::Result<u64> {
    let mut refused = 0;
    for (name, value) in wanted.iter().filter(|(name, _)| carried(name)) {
        match fsetxattr(&file, name, value, XattrFlags::empty()) {
            Ok(()) => {}
            // A capability needs CAP_SETFCAP (user_namespaces(7)); tmpfs before Linux 6.6 and most
            // network file systems have no `user.*`.
            Err(Errno::PERM | Errno::OPNOTSUPP) => refused += 1,
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(refused)
}

fn value(file: impl AsFd, name: &OsStr) -> io::Result<Option<Vec<u8>>> {
    let mut small = [0_u8; 256];
    match fgetxattr(&file, name, &mut small[..]) {
        Ok(length) => return Ok(Some(small[..length].to_vec())),
        Err(Errno::NODATA | Errno::OPNOTSUPP) => return Ok(None),
        Err(Errno::RANGE) => {}
        Err(error) => return Err(error.into()),
    }
    let mut large = vec![0_u8; MAX_VALUE];
    let length = fgetxattr(&file, name, &mut large[..])?;
    large.truncate(length);
    Ok(Some(large))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_capabilities_and_the_users_own_attributes_travel() {
        for name in ["security.capability", "user.x", "user.overlayed"] {
            assert!(carried(OsStr::new(name)), "{name}");
        }
        for name in [
            "security.selinux",
            "security.ima",
            "system.posix_acl_access",
            "trusted.x",
            "trusted.overlay.opaque",
            "user.overlay.opaque",
            "user",
        ] {
            assert!(!carried(OsStr::new(name)), "{name}");
        }
    }
}
