//! The listener, a thread per connection, and the way from a request to its answer on the wire.

use std::collections::HashMap;
use std::io::{self, BufReader, Read};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::api::Api;
use super::deliver::deliver;
use super::fault::Script;
use super::http::{BodyReader, read_head};
use super::log::Log;
use super::store::lock;
use super::strike::{Outcome, prepare};

/// Rest of an unread body that is skipped so that the connection can go on. Behind more than
/// that, the connection is closed.
const MAX_SKIPPED: u64 = 1024 * 1024;
/// How long a client that still sends may take to notice that it was answered.
const LINGER: Duration = Duration::from_secs(5);

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub api: Api,
    pub script: Mutex<Script>,
    pub log: Log,
    stop: AtomicBool,
    connections: Mutex<HashMap<u64, TcpStream>>,
    next: AtomicU64,
}

impl Shared {
    pub fn new(api: Api, script: Script) -> Self {
        Self {
            api,
            script: Mutex::new(script),
            log: Log::default(),
            stop: AtomicBool::new(false),
            connections: Mutex::default(),
            next: AtomicU64::new(0),
        }
    }

    pub fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Sleeps, but not beyond the server's end.
    pub fn sleep(&self, time: Duration) {
        let end = Instant::now() + time;
        while !self.is_stopping() {
            match end.checked_duration_since(Instant::now()) {
                Some(left) if !left.is_zero() => thread::sleep(left.min(Duration::from_millis(20))),
                _ => return,
            }
        }
    }
}

/// A listener with its thread. Dropped, it ends all connections and waits for their threads.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub fn start(listener: TcpListener, shared: Arc<Shared>) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let for_thread = Arc::clone(&shared);
        let thread = thread::Builder::new().name("registry".to_owned());
        let thread = thread.spawn(move || accept(&listener, &for_thread))?;
        Ok(Self { address, shared, thread: Some(thread) })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        // The listener's thread sits in accept; a connection wakes it up.
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            // A panic there has already failed the test that saw no answer.
            let _ = thread.join();
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut threads: Vec<JoinHandle<()>> = Vec::new();
    while let Ok((stream, _)) = listener.accept() {
        if shared.is_stopping() {
            break;
        }
        threads.retain(|thread| !thread.is_finished());
        let Ok(handle) = stream.try_clone() else { continue };
        let number = shared.next.fetch_add(1, Ordering::Relaxed);
        lock(&shared.connections).insert(number, handle);
        let for_thread = Arc::clone(shared);
        let serve = move || {
            // An error here is the client's going away.
            let _ = serve(&for_thread, stream);
            if let Some(stream) = lock(&for_thread.connections).remove(&number) {
                let _ = stream.shutdown(Shutdown::Both);
            }
        };
        let thread = thread::Builder::new().name(format!("registry-{number}")).spawn(serve);
        threads.extend(thread);
    }
    for stream in lock(&shared.connections).values() {
        let _ = stream.shutdown(Shutdown::Both);
    }
    for thread in threads {
        let _ = thread.join();
    }
}

/// Serves one connection until either side closes it.
fn serve(shared: &Shared, stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::with_capacity(64 * 1024, stream);
    while let Some(head) = read_head(&mut reader)? {
        let mut body = BodyReader::new(&head, &mut reader)?;
        let number = shared.log.begin(&head);
        let action = lock(&shared.script).strike(&head);
        let (response, delivery) = match prepare(shared, &head, &mut body, action) {
            Ok(Outcome::Answer(response, delivery)) => (response, delivery),
            Ok(Outcome::Silence) => {
                let _ = skip(&mut body);
                return wait_until_closed(shared, &mut reader);
            }
            Ok(Outcome::Break) | Err(_) => {
                shared.log.update(number, 0, body.read, 0);
                return Ok(());
            }
        };
        let skip = !body.is_unasked() && skip(&mut body)?;
        let close = head.close || !skip;
        let status = response.status;
        let planned = if head.method == "HEAD" { 0 } else { response.length() };
        // Before the client can see the answer, so that it never looks into the log too early.
        shared.log.update(number, status, body.read, planned);
        let (sent, result) = deliver(shared, &mut writer, &head, response, &delivery, close);
        if sent != planned {
            shared.log.update(number, status, body.read, sent);
        }
        result?;
        if close {
            return linger(&writer, &mut reader);
        }
    }
    Ok(())
}

/// Skips the rest of a body that nobody asked for. False if that is too much.
fn skip(body: &mut BodyReader<'_>) -> io::Result<bool> {
    io::copy(&mut body.by_ref().take(MAX_SKIPPED), &mut io::sink())?;
    Ok(body.is_done())
}

/// Says nothing until the client goes away or the server stops.
fn wait_until_closed(shared: &Shared, reader: &mut BufReader<TcpStream>) -> io::Result<()> {
    let pause = Duration::from_millis(20);
    reader.get_ref().set_read_timeout(Some(pause))?;
    let mut buffer = [0; 16 * 1024];
    while !shared.is_stopping() {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Ends a connection on which the client may still be sending. Closed at once, the kernel would
/// reset the connection and the client would lose the answer (RFC 9112, 9.6).
fn linger(writer: &TcpStream, reader: &mut BufReader<TcpStream>) -> io::Result<()> {
    writer.shutdown(Shutdown::Write)?;
    writer.set_read_timeout(Some(Duration::from_millis(500)))?;
    let end = Instant::now() + LINGER;
    let mut buffer = [0; 16 * 1024];
    while Instant::now() < end && reader.read(&mut buffer)? > 0 {}
    Ok(())
}
