//! The file system that a RUN sees, put together in a mount namespace of its own.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, mkdirat, openat};
use rustix::io::Errno;
use rustix::mount::{MountAttrFlags, MountFlags, UnmountFlags, mount_move, unmount};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::devices;
use super::error::{During, SandboxError};
use super::mounts::{Mount, NO_PROGRAMS};
use super::root::{Kind, Root, is_directory, path_of};
use super::run_mounts::{RunMounts, Sources};
use super::spec::{OverlaySpec, Spec};

/// Information about the host that is nobody's business in a RUN (moby: oci/defaults.go).
const MASKED: [&str; 12] = [
    "proc/acpi",
    "proc/asound",
    "proc/interrupts",
    "proc/kcore",
    "proc/keys",
    "proc/latency_stats",
    "proc/sched_debug",
    "proc/scsi",
    "proc/timer_list",
    "proc/timer_stats",
    "sys/devices/virtual/powercap",
    "sys/firmware",
];

/// Settings of the host, which its root could change here (moby: oci/defaults.go).
const READ_ONLY: [&str; 5] = ["proc/bus", "proc/fs", "proc/irq", "proc/sys", "proc/sysrq-trigger"];

/// Mounts everything and returns the root, which is not `/` yet. Needs a mount namespace that nothing
/// propagates out of.
pub(super) fn assemble(spec: &Spec, layers: &OverlaySpec) -> Result<Root, SandboxError> {
    // The names of the layers are relative to here. The working directory stays the real one while
    // the scratch file system covers it.
    rustix::process::chdir(&*layers.base).during("change to the directory of the layers")?;
    let sources = Sources::open(&layers.mounts)?;
    let scratch = scratch().during("mount a tmpfs for the sandbox's own files")?;
    let mut root = mount_root(layers, scratch.as_fd())?;

    // The files of /etc before anything else is mounted: where the image has made them links into
    // /proc or /dev, those lead to nothing of the host's.
    let etc = &spec.etc;
    generated(&mut root, &scratch, "hosts", etc.hosts.as_bytes())?;
    generated(&mut root, &scratch, "hostname", etc.hostname.as_bytes())?;
    generated(&mut root, &scratch, "resolv.conf", &etc.resolv_conf)?;

    proc(&mut root)?;
    sys(&mut root)?;
    devices::mount(&mut root, spec.shm_size, layers.user_namespace)?;

    for path in READ_ONLY {
        if let Some(place) = present(&root, path)? {
            Mount::bind(place.as_fd())
                .and_then(|mount| mount.attach(place.as_fd())?.read_only())
                .during(format!("make /{path} read-only"))?;
        }
    }
    for path in MASKED {
        if let Some(place) = present(&root, path)? {
            mask(place.as_fd()).during(format!("hide /{path}"))?;
        }
    }
    let room = scratch.as_fd();
    RunMounts { layers, single_id: spec.single_id, room }.mount(sources, &mut root)?;
    Ok(root)
}

/// A small file system for what is generated, over the directory of the layers: a mount point that
/// is sure to exist, and in this namespace nobody needs to reach the layers by name any more.
fn scratch() -> io::Result<OwnedFd> {
    let here = openat(CWD, ".", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let options = [("mode", "0755"), ("size", "8m")];
    Ok(Mount::new("tmpfs", &options, NO_PROGRAMS)?.attach(here.as_fd())?.into_fd())
}

fn mount_root(layers: &OverlaySpec, scratch: BorrowedFd<'_>) -> Result<Root, SandboxError> {
    let open = || openat(scratch, "root", OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
    mkdirat(scratch, "root", Mode::from_raw_mode(0o755)).during("make the root's mount point")?;
    let place = open().during("open the root's mount point")?;
    layers
        .overlay
        .mount(&path_of(place.as_fd()), MountFlags::empty())
        .during("mount the layers as an overlay")?;
    // Once more: the first descriptor is of the directory below the mount.
    Ok(Root::keeping_times(open().during("open the root")?))
}

/// A file of /etc that can be written to, but whose changes are for this RUN only.
fn generated(
    root: &mut Root,
    scratch: &OwnedFd,
    name: &str,
    content: &[u8],
) -> Result<(), SandboxError> {
    let path = Path::new("etc").join(name);
    let mut mount = || -> io::Result<()> {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
        let file = openat(scratch, name, flags, Mode::from_raw_mode(0o644))?;
        File::from(file).write_all(content)?;
        let file = openat(scratch, name, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        let place = root.ensure(&path, Kind::File)?;
        Mount::bind(file.as_fd())?.attach(place.as_fd())?;
        Ok(())
    };
    mount().during(format!("mount /{}", path.display()))
}

/// Processes of this pid namespace. Where the kernel refuses a new instance, because parts of the
/// present one are hidden (as in every container; "mount_too_revealing"), the present one.
fn proc(root: &mut Root) -> Result<(), SandboxError> {
    let mut mount = || -> io::Result<()> {
        let place = root.ensure(Path::new("proc"), Kind::Directory)?;
        Mount::new("proc", &[], NO_PROGRAMS)
            .or_else(|_| Mount::bind_path(Path::new("/proc")))?
            .attach(place.as_fd())?;
        Ok(())
    };
    mount().during("mount /proc")
}

/// Read-only. A new instance belongs to a network namespace, and with the host's network only the
/// host's root may have one: otherwise it is the present one.
fn sys(root: &mut Root) -> Result<(), SandboxError> {
    let read_only = NO_PROGRAMS | MountAttrFlags::MOUNT_ATTR_RDONLY;
    let mut mount = || -> io::Result<()> {
        let place = root.ensure(Path::new("sys"), Kind::Directory)?;
        Mount::new("sysfs", &[], read_only)
            .or_else(|_| Mount::bind_path(Path::new("/sys")))?
            .attach(place.as_fd())?
            .read_only()?;
        Ok(())
    };
    mount().during("mount /sys")?;
    cgroups(root);
    Ok(())
}

/// Language runtimes read their memory and processor limits here. They do without where it is missing,
/// so a failure is none of the RUN's.
fn cgroups(root: &mut Root) {
    const PLACE: &str = "sys/fs/cgroup";
    let read_only = NO_PROGRAMS | MountAttrFlags::MOUNT_ATTR_RDONLY;
    let mount = || -> io::Result<()> {
        let place = root.open(Path::new(PLACE))?;
        let host = Path::new("/").join(PLACE);
        let unified = host.join("cgroup.controllers").exists();
        let fresh = if unified {
            Mount::new("cgroup2", &[], read_only)
        } else {
            Err(io::Error::from(io::ErrorKind::Unsupported))
        };
        fresh.or_else(|_| Mount::bind_path(&host))?.attach(place.as_fd())?.read_only()?;
        Ok(())
    };
    mount().ok();
}

fn mask(place: BorrowedFd<'_>) -> io::Result<()> {
    let nothing = if is_directory(place)? {
        Mount::new("tmpfs", &[], NO_PROGRAMS | MountAttrFlags::MOUNT_ATTR_RDONLY)?
    } else {
        Mount::bind_path(Path::new("/dev/null"))?
    };
    nothing.attach(place)?;
    Ok(())
}

fn present(root: &Root, path: &str) -> Result<Option<OwnedFd>, SandboxError> {
    match root.open(Path::new(path)) {
        Ok(place) => Ok(Some(place)),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(error) => Err(error).during(format!("open /{path}")),
    }
}

/// Makes the root `/` and the working directory. `pivot_root(".", ".")` puts the old root on the new
/// one, from where it is unmounted (pivot_root(2), notes). Docker's seccomp profile refuses it even to
/// those who may mount, and it does not work on an initial ramfs: then the new root is moved over the
/// old one.
pub(super) fn change_root(root: BorrowedFd<'_>) -> Result<(), SandboxError> {
    leave_chroot().during("go to the root of the mount namespace")?;
    rustix::process::fchdir(root).during("change to the new root")?;
    match rustix::process::pivot_root(".", ".") {
        Ok(()) => unmount(".", UnmountFlags::DETACH).during("unmount the old root")?,
        Err(Errno::PERM | Errno::INVAL | Errno::NOSYS) => {
            mount_move(".", "/").during("move the new root to /")?;
            rustix::process::chroot(".").during("change the root directory")?;
        }
        Err(error) => return Err(error).during("change the root directory"),
    }
    rustix::process::chdir("/").during("change to /")
}

/// kiln may have been started in a chroot. A new root that takes the place of such a `/` could be
/// left by the command: it makes a chroot of its own below its working directory, and then `..` leads
/// past the place where the new root is mounted. To enter the mount namespace once more is to go to
/// its top (setns(2)), above which there is nothing.
fn leave_chroot() -> io::Result<()> {
    let namespace = File::open("/proc/self/ns/mnt")?;
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Mount))?;
    Ok(())
}
