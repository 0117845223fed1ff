//! kiln's own program, as the child processes of a RUN execute it: so that it cannot be written to.
//!
//! A hostile image can reach the file that a process of kiln's executes (`#!/proc/self/exe` is
//! enough) and, as root, open it for writing once that process has ended: CVE-2019-5736, found in
//! runc. Executed through a read-only mount, or from a sealed copy in memory, it cannot.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{MemfdFlags, SealFlags};

use super::mounts::Mount;

const SELF: &str = "/proc/self/exe";

/// A descriptor to execute. Needs a mount namespace of its own.
pub(super) fn open() -> io::Result<OwnedFd> {
    read_only_mount().or_else(|_| sealed_copy())
}

/// No copy, but needs Linux 5.12 and that the program still lies where it was started from.
fn read_only_mount() -> io::Result<OwnedFd> {
    let running = std::fs::metadata(SELF)?;
    // The link itself would lead to the mount of the namespace that kiln was started in.
    let mount = Mount::bind_path(&std::fs::read_link(SELF)?)?.read_only()?;
    let found = rustix::fs::fstat(mount.as_fd())?;
    if (found.st_dev, found.st_ino) == (running.dev(), running.ino()) {
        Ok(mount.into_fd())
    } else {
        Err(io::Error::from(io::ErrorKind::NotFound))
    }
}

fn sealed_copy() -> io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // Linux before 6.3 does not know that memory has to be asked for as executable.
    let memory = rustix::fs::memfd_create("kiln", flags | MemfdFlags::EXEC)
        .or_else(|_| rustix::fs::memfd_create("kiln", flags))?;
    let mut memory = File::from(memory);
    io::copy(&mut File::open(SELF)?, &mut memory)?;
    let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
    rustix::fs::fcntl_add_seals(&memory, seals)?;
    // Linux does not execute a file that is open for writing (ETXTBSY), so: the same, reopened.
    let path = super::root::path_of(std::os::fd::AsFd::as_fd(&memory));
    Ok(OpenOptions::new().read(true).open(Path::new(&path))?.into())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::fd::AsFd;
    use std::process::Command;

    fn assert_only_executable(program: &OwnedFd) {
        let path = super::super::root::path_of(program.as_fd());
        let list = Command::new(&path).args(["--list", "only_executable"]).output().unwrap();
        assert!(list.status.success());
        // A sealed file can be opened, to no avail.
        let written = OpenOptions::new().write(true).open(&path).and_then(|mut f| f.write(b"x"));
        assert!(written.is_err());
    }

    #[test]
    fn a_copy_is_only_executable() {
        assert_only_executable(&sealed_copy().unwrap());
    }

    mod as_root {
        use super::*;

        #[test]
        fn a_mount_is_only_executable() {
            let program = read_only_mount();
            assert_only_executable(&program.expect("this test mounts: run it as root"));
        }
    }
}
