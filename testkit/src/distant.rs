//! A server that is some way off: what is sent to it arrives later, and how the requests followed one
//! another is known.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// A way on loopback to a server on loopback that takes time. It forwards bytes and knows no HTTP: what
/// the client sends after the server's last answer begins another exchange. For requests over plain
/// HTTP/1 that is one each. Dropped, it takes no more connections.
#[derive(Debug)]
pub struct Distant {
    address: String,
    log: Arc<Log>,
    stop: Arc<AtomicBool>,
}

/// What went over it.
#[derive(Debug, Default)]
struct Log(Mutex<Vec<Exchange>>);

#[derive(Debug, Clone, Copy)]
struct Exchange {
    began: Instant,
    /// When the last byte so far came back.
    answered: Option<Instant>,
    /// A number for the connection.
    connection: usize,
}

impl Distant {
    /// A way to `HOST:PORT`. What a client sends arrives there after `latency`; answers come at once, so
    /// each exchange takes that much longer. Connections are made without delay.
    ///
    /// # Errors
    /// If there is no loopback port.
    pub fn start(server: &str, latency: Duration) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?.to_string();
        let (log, stop) = (Arc::<Log>::default(), Arc::new(AtomicBool::new(false)));
        let distant = Self { address, log: Arc::clone(&log), stop: Arc::clone(&stop) };
        let server = server.to_owned();
        thread::spawn(move || {
            for (connection, client) in listener.incoming().flatten().enumerate() {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let (server, log) = (server.clone(), Arc::clone(&log));
                // Whoever goes away is no failure.
                thread::spawn(move || _ = carry(client, &server, latency, connection, &log));
            }
        });
        Ok(distant)
    }

    /// `127.0.0.1:PORT`.
    pub fn host(&self) -> &str {
        &self.address
    }

    /// How many exchanges there were.
    pub fn exchanges(&self) -> usize {
        self.log.entries().len()
    }

    /// How many connections were used.
    pub fn connections(&self) -> usize {
        let mut used: Vec<_> = self.log.entries().iter().map(|it| it.connection).collect();
        used.sort_unstable();
        used.dedup();
        used.len()
    }

    /// The longest row of exchanges of which each began when the one before it had been answered. At the
    /// latency of a network, that is how often a client had to wait.
    pub fn rounds(ways: &[&Self]) -> usize {
        let exchanges = ways.iter().flat_map(|way| way.log.entries().clone());
        let mut ends: Vec<_> = exchanges.filter_map(|it| Some((it.answered?, it.began))).collect();
        ends.sort_unstable();
        let (mut rounds, mut last) = (0, None);
        for (answered, began) in ends {
            if last.is_none_or(|last| began >= last) {
                (rounds, last) = (rounds + 1, Some(answered));
            }
        }
        rounds
    }
}

impl Drop for Distant {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        drop(TcpStream::connect(&self.address));
    }
}

impl Log {
    fn entries(&self) -> MutexGuard<'_, Vec<Exchange>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The client has sent something.
    fn sent(&self, connection: usize) {
        let mut entries = self.entries();
        let open = entries.iter().rev().find(|it| it.connection == connection);
        if open.is_none_or(|it| it.answered.is_some()) {
            entries.push(Exchange { began: Instant::now(), answered: None, connection });
        }
    }

    /// The server has sent something.
    fn answered(&self, connection: usize) {
        let mut entries = self.entries();
        if let Some(it) = entries.iter_mut().rev().find(|it| it.connection == connection) {
            it.answered = Some(Instant::now());
        }
    }
}

fn carry(
    client: TcpStream,
    server: &str,
    latency: Duration,
    connection: usize,
    log: &Arc<Log>,
) -> io::Result<()> {
    let server = TcpStream::connect(server)?;
    // Nothing may be held back for want of more.
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, to_server) = (client.try_clone()?, server.try_clone()?);
    let noted = Arc::clone(log);
    // Each piece has its own delay: a large body is not slower for its many pieces. A few are on their
    // way at a time, so that memory is bounded.
    let (pieces, arriving) = mpsc::sync_channel::<(Instant, Vec<u8>)>(64);
    thread::spawn(move || {
        _ = read(from_client, |piece| {
            noted.sent(connection);
            pieces.send((Instant::now() + latency, piece.to_vec())).map_err(io::Error::other)
        });
    });
    let arrivals = thread::spawn(move || {
        for (due, piece) in arriving {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if (&to_server).write_all(&piece).is_err() {
                break;
            }
        }
        _ = to_server.shutdown(Shutdown::Write);
    });
    let back = read(server, |piece| {
        log.answered(connection);
        (&client).write_all(piece)
    });
    _ = client.shutdown(Shutdown::Both);
    _ = arrivals.join();
    back
}

/// Hands on what comes until the end.
fn read(mut from: TcpStream, mut to: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        match from.read(&mut buffer)? {
            0 => return Ok(()),
            length => to(&buffer[..length])?,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::{Registry, client};

    const LATENCY: Duration = Duration::from_millis(50);

    fn get(way: &Distant) {
        let url = format!("http://{}/v2/", way.host());
        assert_eq!(client::get(&url).unwrap().status, 200);
    }

    #[test]
    fn requests_take_longer_and_what_waits_is_told_from_what_does_not() {
        let registry = Registry::start();
        let way = Distant::start(registry.host(), LATENCY).unwrap();
        let start = Instant::now();
        get(&way);
        get(&way);
        assert!(start.elapsed() >= 2 * LATENCY);
        assert_eq!((way.exchanges(), way.connections()), (2, 2));
        assert_eq!(Distant::rounds(&[&way]), 2);
        // Nobody waits for an answer here before all have asked.
        let way = Distant::start(registry.host(), LATENCY).unwrap();
        let address = way.host().to_owned();
        let streams = (0..5).map(|_| {
            let mut stream = TcpStream::connect(&address).unwrap();
            write!(stream, "GET /v2/ HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")
                .unwrap();
            stream
        });
        for mut stream in streams.collect::<Vec<_>>() {
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        }
        assert_eq!((way.exchanges(), way.connections()), (5, 5));
        assert_eq!(registry.requests().len(), 7);
    }

    #[test]
    fn rounds_are_counted_over_all_ways() {
        let registry = Registry::start();
        let ways = [0, 1].map(|_| Distant::start(registry.host(), Duration::ZERO).unwrap());
        get(&ways[0]);
        get(&ways[1]);
        get(&ways[0]);
        assert_eq!(Distant::rounds(&[&ways[0], &ways[1]]), 3);
    }
}
