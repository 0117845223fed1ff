//! What passes between kiln and the processes of a RUN: a [`Spec`] down, [`Message`]s up.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};

use serde::{Deserialize, Serialize};

use super::error::SandboxError;
use super::request::{Network, RunStatus, UserSpec};

/// All that a RUN's processes know. They are a re-exec of kiln, so nothing else of kiln's memory or
/// environment is there to leak.
#[derive(Serialize, Deserialize)]
pub(super) struct Spec {
    pub base: OsString,
    /// Ready to mount; names relative to `base`.
    pub overlay: Overlay,
    pub args: Vec<String>,
    pub env: Vec<(String, String)>,
    pub cwd: String,
    pub user: UserSpec,
    pub hostname: String,
    /// Contents of the generated files in /etc.
    pub etc: Etc,
    pub shm_size: u64,
    pub network: Network,
    /// Whether ids are mapped, so device nodes cannot be made.
    pub user_namespace: bool,
    /// Whether only one id is mapped, so groups cannot be set.
    pub single_id: bool,
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
