//! `type=ssh`: a socket for one RUN that leads to an agent of the user's. Only the questions of a
//! client pass: which keys there are, and a signature. As in BuildKit, a command can neither add keys,
//! nor remove or lock those of the user.
//!
//! Source: draft-ietf-sshm-ssh-agent, sections 3 and 5.1.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use anyhow::{Context as _, Result, bail};

use crate::plan::SshMount;
use crate::stage::workshop::Workshop;

/// `SSH_AGENTC_REQUEST_IDENTITIES`
const IDENTITIES: u8 = 11;
/// `SSH_AGENTC_SIGN_REQUEST`
const SIGN: u8 = 13;
/// `SSH_AGENT_FAILURE`, as a whole message.
const FAILURE: &[u8] = &[0, 0, 0, 1, 5];
/// OpenSSH's own limit for a message (`AGENT_MAX_LEN`).
const MAX_MESSAGE: u32 = 256 * 1024;

const NAME: &str = "agent.sock";

/// A socket that is served as long as this value lives.
#[derive(Debug)]
pub(super) struct Forwarded {
    path: PathBuf,
    ends: Arc<AtomicBool>,
    /// For the socket's address: a path may be longer than an address holds (108 bytes, unix(7)).
    dir: File,
    thread: Option<JoinHandle<()>>,
}

/// A socket for this mount; nothing where there is no agent and none is needed.
pub(super) fn forward(shop: &Workshop, mount: &SshMount) -> Result<Option<Forwarded>> {
    let agents = &shop.commands.agents;
    let Some(agent) = agents.get(&mount.id) else {
        return match (mount.required, agents.is_empty()) {
            (false, _) => Ok(None),
            (true, true) => bail!(
                "no SSH key {:?} forwarded from the client: start kiln with --ssh {}",
                mount.id,
                mount.id
            ),
            (true, false) => bail!("unset ssh forward key {}: no --ssh has this id", mount.id),
        };
    };
    let dir = shop.new_scratch_dir()?;
    let what = || format!("cannot make a socket in {}", dir.display());
    Forwarded::new(&dir, agent.clone()).with_context(what).map(Some)
}

impl Forwarded {
    fn new(dir: &Path, agent: PathBuf) -> io::Result<Self> {
        let handle = File::open(dir)?;
        let listener = UnixListener::bind(address(&handle))?;
        let ends = Arc::new(AtomicBool::new(false));
        let stop = ends.clone();
        let accept = move || {
            for client in listener.incoming() {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let agent = agent.clone();
                // It ends with its client, or with an agent that does not answer.
                let serve = move |client| drop(serve(client, &agent));
                if let Ok(client) = client {
                    drop(thread::Builder::new().spawn(move || serve(client)));
                }
            }
        };
        let thread = Some(thread::Builder::new().spawn(accept)?);
        Ok(Self { path: dir.join(NAME), ends, dir: handle, thread })
    }

    /// Where it is.
    pub(super) fn socket(&self) -> &Path {
        &self.path
    }
}

impl Drop for Forwarded {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        // Who waits for a client gets one.
        let woken = UnixStream::connect(address(&self.dir));
        if let (Ok(_), Some(thread)) = (woken, self.thread.take()) {
            drop(thread.join());
        }
    }
}

fn address(dir: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}/{NAME}", dir.as_raw_fd()))
}

/// Passes a client's questions on, one after the other, until it goes.
fn serve(mut client: UnixStream, agent: &Path) -> io::Result<()> {
    let mut agent = UnixStream::connect(agent)?;
    while let Some(question) = message(&mut client)? {
        match question.get(4) {
            Some(&(IDENTITIES | SIGN)) => {
                agent.write_all(&question)?;
                let gone = || io::Error::from(io::ErrorKind::UnexpectedEof);
                client.write_all(&message(&mut agent)?.ok_or_else(gone)?)?;
            }
            _ => client.write_all(FAILURE)?,
        }
    }
    Ok(())
}

/// A message with its length before it; nothing at the end.
fn message(from: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 4];
    match from.read_exact(&mut length) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    let size = u32::from_be_bytes(length);
    if size == 0 || size > MAX_MESSAGE {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut message = length.to_vec();
    let read = from.take(size.into()).read_to_end(&mut message)?;
    if read < size as usize {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Some(message))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    /// An agent that answers every message with itself.
    fn echo(path: &Path) {
        let listener = UnixListener::bind(path).unwrap();
        thread::spawn(move || {
            for client in listener.incoming() {
                let mut client = client.unwrap();
                thread::spawn(move || {
                    while let Ok(Some(question)) = message(&mut client) {
                        client.write_all(&question).unwrap();
                    }
                });
            }
        });
    }

    #[test]
    fn questions_pass_and_orders_do_not() {
        let dir = tempfile::tempdir().unwrap();
        let agent = dir.path().join("agent");
        echo(&agent);
        // Longer than an address of a socket can be.
        let own = dir.path().join("x".repeat(120));
        std::fs::create_dir(&own).unwrap();
        let forwarded = Forwarded::new(&own, agent).unwrap();
        assert_eq!(forwarded.socket(), own.join(NAME));
        let mut client = UnixStream::connect(address(&File::open(&own).unwrap())).unwrap();
        let mut answer_to = |question: &[u8]| {
            client.write_all(question).unwrap();
            message(&mut client).unwrap().unwrap()
        };
        let (list, sign) = ([0, 0, 0, 1, IDENTITIES], [0, 0, 0, 3, SIGN, 1, 2]);
        assert_eq!(answer_to(&list), list);
        // Add a key, remove all, lock, an extension.
        for order in [17, 19, 22, 27] {
            assert_eq!(answer_to(&[0, 0, 0, 2, order, 0]), FAILURE);
        }
        assert_eq!(answer_to(&sign), sign);
        drop(forwarded);
        assert!(UnixStream::connect(address(&File::open(&own).unwrap())).is_err());
    }

    #[test]
    fn messages_have_a_length_that_fits() {
        assert!(matches!(message(&mut [].as_slice()), Ok(None)));
        assert!(message(&mut [0, 0, 0, 0].as_slice()).is_err());
        assert!(message(&mut [0, 0, 0, 2, 1].as_slice()).is_err());
        assert!(message(&mut [255, 255, 255, 255, 1].as_slice()).is_err());
    }
}
