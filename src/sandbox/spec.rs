//! What passes between kiln and the processes of a RUN: a [`Spec`] down, [`Message`]s up.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};

use serde::{Deserialize, Serialize};

use super::error::SandboxError;
use super::files;
use super::mount_request::RunMount;
use super::request::{Network, RunRequest, RunStatus, UserSpec};
use super::ulimit::Ulimit;

/// All that a RUN's processes know. They are a re-exec of kiln, so nothing else of kiln's memory or
/// environment is there to leak.
#[derive(Serialize, Deserialize)]
pub(super) struct Spec {
    pub root: RootSpec,
    pub args: Vec<String>,
    pub env: Vec<(String, String)>,
    pub cwd: String,
    pub user: UserSpec,
    pub hostname: String,
    /// Contents of the generated files in /etc.
    pub etc: Etc,
    pub shm_size: u64,
    pub network: Network,
    /// Whether only one id is mapped, so groups cannot be set.
    pub single_id: bool,
    pub ulimits: Vec<Ulimit>,
}

/// What the command's root is, and so how it is isolated.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum RootSpec {
    /// An overlay, in namespaces.
    Overlay(OverlaySpec),
    /// A directory, in a chroot with a broker.
    Directory(DirectorySpec),
    /// The `/` that there is.
    Here,
}

/// A root that is to be mounted.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct OverlaySpec {
    /// The directory that the names in `overlay` are relative to.
    pub base: OsString,
    /// Ready to mount.
    pub overlay: Overlay,
    /// Whether ids are mapped, so device nodes cannot be made.
    pub user_namespace: bool,
    /// What the request asks to be mounted.
    pub mounts: Vec<RunMount>,
    /// An empty directory, relative to `base`, for what is written into mounts and vanishes. On a disk:
    /// it may be much, and before Linux 6.6 a tmpfs cannot hold it in a user namespace.
    pub discarded: Option<OsString>,
}

/// A root that lies ready.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct DirectorySpec {
    /// Absolute, without symbolic links.
    pub path: OsString,
    /// Whether the devices in its /dev work.
    pub own_devices: bool,
    /// Links that lead into /proc, /sys or /dev, relative to it.
    pub links: Vec<OsString>,
}

/// The options of an overlay mount: those that it needs, and one that old kernels do not know.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Overlay {
    pub options: OsString,
    /// Added if the kernel takes it.
    pub optional: String,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Etc {
    pub hosts: String,
    pub hostname: String,
    pub resolv_conf: Vec<u8>,
}

/// What the processes report, one line of JSON each.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Message {
    /// The root is ready; these were made in it to mount on.
    Placeholders(Vec<OsString>),
    /// The broker was asked about so many system calls.
    Asked(u64),
    /// The command ended.
    Ended(RunStatus),
    /// The command did not start.
    Failed(Failure),
    /// A process ended before its time.
    Lost(String),
}

/// An error on its way through a pipe.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Failure {
    Step { step: String, errno: Option<i32>, text: String },
    Command { program: String, exists: bool, errno: i32 },
    User { uid: u32, gid: u32, errno: i32 },
}

impl From<SandboxError> for Failure {
    fn from(error: SandboxError) -> Self {
        match error {
            SandboxError::Step { step, source } => {
                Self::Step { step, errno: source.raw_os_error(), text: source.to_string() }
            }
            SandboxError::Command { program, exists, reason } => {
                Self::Command { program, exists, errno: reason.raw_os_error().unwrap_or(0) }
            }
            SandboxError::User { uid, gid, source } => {
                Self::User { uid, gid, errno: source.raw_os_error().unwrap_or(0) }
            }
            other => Self::Step {
                step: "prepare the command".to_owned(),
                errno: None,
                text: other.to_string(),
            },
        }
    }
}

impl From<Failure> for SandboxError {
    fn from(failure: Failure) -> Self {
        let source = io::Error::from_raw_os_error;
        match failure {
            Failure::Step { step, errno, text } => {
                Self::Step { step, source: errno.map_or_else(|| io::Error::other(text), source) }
            }
            Failure::Command { program, exists, errno } => {
                Self::Command { program, exists, reason: source(errno) }
            }
            Failure::User { uid, gid, errno } => Self::User { uid, gid, source: source(errno) },
        }
    }
}

impl Spec {
    /// For a request that makes sense.
    pub fn new(
        request: &RunRequest,
        root: RootSpec,
        single_id: bool,
    ) -> Result<Self, SandboxError> {
        check(request)?;
        Ok(Self {
            root,
            args: request.args.clone(),
            env: request.env.clone(),
            cwd: request.cwd.clone(),
            user: request.user.clone(),
            hostname: request.hostname.clone(),
            etc: files::generate(request),
            shm_size: request.shm_size,
            network: request.network,
            single_id,
            ulimits: request.ulimits.clone(),
        })
    }

    /// As it goes through the pipe.
    pub fn to_json(&self) -> io::Result<Vec<u8>> {
        Ok(serde_json::to_vec(self)?)
    }

    /// Reads it from the pipe, whose end is its end.
    pub fn read_from(mut pipe: File) -> io::Result<Self> {
        let mut text = Vec::new();
        pipe.read_to_end(&mut text)?;
        Ok(serde_json::from_slice(&text)?)
    }
}

/// What the kernel would misunderstand or refuse without a word on why.
fn check(request: &RunRequest) -> Result<(), SandboxError> {
    let problem = if request.args.first().is_none_or(String::is_empty) {
        "it has no program".to_owned()
    } else if !request.cwd.starts_with('/') {
        format!("its working directory `{}` is not an absolute path", request.cwd)
    } else if let Some((name, _)) =
        request.env.iter().find(|(name, value)| name.contains(['=', '\0']) || value.contains('\0'))
    {
        format!("the environment variable `{}` has a `=` or a zero byte", name.escape_debug())
    } else if request.args.iter().any(|arg| arg.contains('\0')) {
        "an argument has a zero byte".to_owned()
    } else if let Some(problem) = request.mounts.iter().find_map(RunMount::problem) {
        problem
    } else if let Some(problem) = request.ulimits.iter().find_map(Ulimit::problem) {
        problem
    } else {
        return Ok(());
    };
    Err(SandboxError::Request(problem))
}

/// The upper end of the pipe that messages go through; the processes of a RUN share it.
#[derive(Debug)]
pub(super) struct Reporter(pub File);

impl Reporter {
    /// Sends one message. There is nobody to tell if that fails: kiln has gone, and this process
    /// is about to be killed for it.
    pub fn send(&mut self, message: &Message) {
        if let Ok(mut line) = serde_json::to_vec(message) {
            line.push(b'\n');
            self.0.write_all(&line).ok();
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn errors_keep_their_sentence_on_the_way() {
        let source = || io::Error::from_raw_os_error(libc::EPERM);
        let errors = [
            SandboxError::Step { step: "mount /proc".to_owned(), source: source() },
            SandboxError::Step { step: "fork".to_owned(), source: io::Error::other("2 threads") },
            SandboxError::Command { program: "a".to_owned(), exists: true, reason: source() },
            SandboxError::User { uid: 1, gid: 2, source: source() },
        ];
        for error in errors {
            let sentence = error.to_string();
            let json = serde_json::to_string(&Failure::from(error)).unwrap();
            let failure: Failure = serde_json::from_str(&json).unwrap();
            assert_eq!(SandboxError::from(failure).to_string(), sentence);
        }
    }
}
