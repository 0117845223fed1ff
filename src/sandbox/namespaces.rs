//! What kiln holds once it has mount rights of its own.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::{During, SandboxError};
use super::mount_request::{Access, RunMount};
use super::request::{LayeredRoot, RunReport, RunRequest};
use super::spec::{OverlaySpec, RootSpec, Spec};
use super::view::ViewMount;
use super::{launch, overlay::Stack, program, stub, subid, view, work_dir};
use crate::cancel::Cancel;
use crate::event::Stream;
use crate::rootfs::Root;

/// The inode of the first user namespace (kernel: PROC_USER_INIT_INO).
const INITIAL_USER_NAMESPACE: u64 = 0xEFFF_FFFD;

/// A mount namespace of kiln's own, in which it can mount and run commands. Clones are the same.
#[derive(Debug, Clone)]
pub struct Namespaces(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// kiln's program, to be executed again.
    program: OwnedFd,
    user_namespace: bool,
    single_id: Option<String>,
}

impl Namespaces {
    /// For a process that has entered its mount namespace. `single_id` is why only one id is mapped,
    /// where that is so.
    pub(super) fn new(single_id: Option<String>) -> Result<Self, SandboxError> {
        let namespace = std::fs::metadata("/proc/self/ns/user").during("look at /proc/self/ns")?;
        let single_id = single_id.or_else(only_one_id);
        let program = program::open().during("open kiln's own program")?;
        Ok(Self(Arc::new(Inner {
            program,
            user_namespace: namespace.ino() != INITIAL_USER_NAMESPACE,
            single_id,
        })))
    }

    /// Whether an overlay's own attributes are user.overlay.* and not trusted.overlay.*: what an
    /// unpacked layer has to use for opaque directories.
    pub fn userxattr(&self) -> bool {
        self.0.user_namespace
    }

    /// Whether root is the only user that there is: chown to any other fails.
    pub fn single_id(&self) -> bool {
        self.0.single_id.is_some()
    }

    /// Why root is the only user, if so.
    pub fn single_id_reason(&self) -> Option<&str> {
        self.0.single_id.as_deref()
    }

    /// Checks that layers can be made in a directory.
    pub fn check_work_dir(&self, dir: &Path) -> Result<(), SandboxError> {
        work_dir::check(dir, self.userxattr())
    }

    /// Shows layers, lowest first and relative to `base`, put on one another at `mountpoint`, to this
    /// process alone and read-only.
    pub fn view(
        &self,
        base: &Path,
        lowers: &[PathBuf],
        mountpoint: &Path,
    ) -> Result<ViewMount, SandboxError> {
        view::mount(base, lowers, mountpoint, self.userxattr())
    }

    /// Runs a command and passes its output on as it comes. From several threads at once; each stays
    /// until its command, and all that it has started, has ended.
    pub fn run(
        &self,
        root: &LayeredRoot,
        request: &RunRequest,
        output: &(dyn Fn(Stream, &[u8]) + Sync),
        cancel: &Cancel,
    ) -> Result<RunReport, SandboxError> {
        let discarded = Discarded::make(root, &request.mounts)?;
        let spec = self.spec(root, request, discarded.as_ref())?;
        stub::ensure(&root.base)
            .during(format!("make mount points in `{}`", root.base.join(stub::NAME).display()))?;
        let report = launch::run(&self.0.program, &spec, output, cancel);
        let removed = discarded.map_or(Ok(()), Discarded::remove);
        let report = report?;
        removed?;
        Ok(report)
    }

    fn spec(
        &self,
        root: &LayeredRoot,
        request: &RunRequest,
        discarded: Option<&Discarded>,
    ) -> Result<Spec, SandboxError> {
        if !root.base.is_absolute() {
            let problem = format!("`{}` is not an absolute path", root.base.display());
            return Err(SandboxError::Request(problem));
        }
        let mut lowers = vec![PathBuf::from(stub::NAME)];
        lowers.extend_from_slice(&root.lowers);
        let stack = Stack {
            lowers: &lowers,
            upper: Some((&root.upper, &root.work)),
            userxattr: self.userxattr(),
        };
        let root = RootSpec::Overlay(OverlaySpec {
            base: root.base.clone().into(),
            overlay: stack.options()?,
            user_namespace: self.0.user_namespace,
            mounts: request.mounts.clone(),
            discarded: discarded.map(|made| made.name.clone()),
        });
        Spec::new(request, root, self.single_id())
    }
}

/// The directory for what is written into mounts and vanishes.
struct Discarded {
    name: OsString,
    path: PathBuf,
}

impl Discarded {
    /// Makes it beside the overlay's own directory, if there is a mount that needs it.
    fn make(root: &LayeredRoot, mounts: &[RunMount]) -> Result<Option<Self>, SandboxError> {
        if mounts.iter().all(|mount| mount.access != Access::Discard) {
            return Ok(None);
        }
        let mut name = root.work.clone().into_os_string();
        name.push(".discarded");
        let path = root.base.join(&name);
        std::fs::create_dir(&path).during(format!("make `{}`", path.display()))?;
        Ok(Some(Self { name, path }))
    }

    fn remove(self) -> Result<(), SandboxError> {
        let removed = Root::open(&self.path.join("..")).and_then(|parent| {
            parent.remove_tree(Path::new(self.path.file_name().unwrap_or_default()))
        });
        removed.map_err(io::Error::from).during(format!("remove `{}`", self.path.display()))
    }
}

/// Someone may have made such a user namespace before kiln (`unshare --map-root-user`).
pub(super) fn only_one_id() -> Option<String> {
    let map = subid::identity(Path::new("/proc/self/uid_map")).ok()?;
    let one = map.iter().map(|range| u64::from(range.count)).sum::<u64>() == 1;
    one.then(|| "kiln was started in a user namespace with one id".to_owned())
}
