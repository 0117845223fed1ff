//! A socket in the root whose connections go on to one on another file system, to which no name in the
//! root can lead.

use std::io;
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

/// Forwards as long as this value is there.
#[derive(Debug)]
pub(super) struct Forwarder {
    listener: Arc<UnixListener>,
    thread: Option<JoinHandle<()>>,
}

impl Forwarder {
    /// Listens at one path and forwards to another.
    pub fn start(at: &Path, to: &Path) -> io::Result<Self> {
        let listener = Arc::new(UnixListener::bind(at)?);
        let (serving, to) = (listener.clone(), to.to_owned());
        let thread = Builder::new().name("socket".into()).spawn(move || serve(&serving, &to))?;
        Ok(Self { listener, thread: Some(thread) })
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        // Ends the wait for a connection. Connections end with the command's processes.
        rustix::net::shutdown(&self.listener, rustix::net::Shutdown::Both).ok();
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

fn serve(listener: &UnixListener, to: &Path) {
    while let Ok((stream, _)) = listener.accept() {
        let to: PathBuf = to.to_owned();
        // Where there can be no more threads, the command's connection ends at once.
        Builder::new().name("socket".into()).spawn(move || connect(&stream, &to).ok()).ok();
    }
}

fn connect(stream: &UnixStream, to: &Path) -> io::Result<()> {
    let other = UnixStream::connect(to)?;
    std::thread::scope(|scope| {
        Builder::new().spawn_scoped(scope, || pass_on(stream, &other))?;
        pass_on(&other, stream);
        Ok(())
    })
}

/// Until one side has no more to say; then the other side hears that.
fn pass_on(mut from: &UnixStream, mut to: &UnixStream) {
    io::copy(&mut from, &mut to).ok();
    to.shutdown(Shutdown::Write).ok();
}
