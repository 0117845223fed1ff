//! One RUN, isolated as well as the machine allows: [`enter()`] finds out, [`Sandbox`] is the answer.
//!
//! | isolation | root file system | files |
//! |---|---|---|
//! | [`Namespaces`] | an overlay of the layers | `assemble`, `init`, `userns`, … |
//! | [`Chroot`] | one directory, without mounts | `chroot`, `broker`, `keeper` |
//! | [`Inplace`] | the container's own `/` | `inplace`, `keeper` |
//!
//! What a request asks to be mounted is mounted in the first one (`run_mounts`), and brought in and
//! taken out again in the others (`brought`).
//!
//! In namespaces: four processes, each in its own file, named after what it does:
//!
//! ```text
//! kiln (launch)          gives the spec, hears the report, passes the output on
//!   └ supervisor         re-exec of kiln's program: no memory of kiln; waits for the next
//!       └ init           pid 1 of the new pid namespace: mounts, root, reaps orphans
//!           └ command    lowers its privileges and becomes the RUN's program
//! ```
//!
//! Each dies when the one above it dies, and a pid namespace dies with its pid 1: whatever a RUN
//! leaves running ends with it, and a kiln that is killed leaves nothing behind.
//!
//! A command gets mount, pid, ipc, uts and cgroup namespaces of its own, the capabilities of a Docker
//! container, and the host's network. Needs Linux 5.9 (close_range), in a user namespace 5.11
//! (overlays with user.* attributes).
//!
//! A program that uses this module calls [`dispatch`] before anything else in `main` and [`enter`]
//! before it starts a thread.

mod assemble;
mod broker;
mod brought;
mod capability;
mod chroot;
mod command;
mod devices;
pub mod emulation;
mod enter;
mod error;
mod files;
mod init;
mod inplace;
mod keeper;
mod launch;
mod mount_request;
mod mount_table;
mod mounts;
mod namespaces;
mod overlay;
mod program;
mod replica;
mod request;
mod root;
mod run_mounts;
mod spec;
mod stub;
mod subid;
mod supervisor;
mod ulimit;
mod userns;
mod view;
mod work_dir;

pub use chroot::Chroot;
pub use enter::{Choice, Entered, Sandbox, Unable, enter};
pub use error::SandboxError;
pub use inplace::{HOME, Inplace, restore_leftover};
pub use mount_request::{Access, MountContent, MountSource, RunMount};
pub use mount_table::{Mount, mount_of};
pub use namespaces::Namespaces;
pub use request::{
    DirectoryRoot, LayeredRoot, Network, RunReport, RunRequest, RunStatus, UserSpec,
};
pub use subid::account;
pub use supervisor::dispatch;
pub use ulimit::{Ulimit, UlimitResource, UnknownUlimit};
pub use view::ViewMount;
