//! A layer of empty mount points, put below every image.
//!
//! /proc, /etc/hosts and the like have to exist to be mounted on. Making them in the root of a RUN
//! would be a change of the image: the upper directory would get them, and their parents with a new
//! mtime. As the lowest layer of the overlay they are there only where the image has nothing of that
//! name. It lies on the file system of the layers, because an overlay over several shows several
//! device numbers, and `find -xdev` or `tar --one-file-system` would stop between them.

use std::fs::{OpenOptions, Permissions, create_dir, set_permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Its name in the directory of the layers.
pub(super) const NAME: &str = "stub";

const DIRECTORIES: [&str; 5] = ["", "proc", "sys", "dev", "etc"];
const FILES: [&str; 3] = ["etc/hosts", "etc/hostname", "etc/resolv.conf"];

/// Makes it, unless it is there. RUNs that start at the same time may all do so.
pub(super) fn ensure(base: &Path) -> io::Result<()> {
    let stub = base.join(NAME);
    for name in DIRECTORIES {
        let path = stub.join(name);
        match create_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            result => result?,
        }
        // Whatever kiln's umask is: users of the image have to pass.
        set_permissions(&path, Permissions::from_mode(0o755))?;
    }
    for name in FILES {
        // Without truncation: it may be in use.
        OpenOptions::new().append(true).create(true).open(stub.join(name))?;
    }
    Ok(())
}
