//! Reading and hashing on threads of their own, so that producing bytes and using them overlap. No byte is
//! copied on its way from one to the other.

use std::fmt;
use std::io::{self, BufRead, Read};
use std::sync::mpsc::{self, Receiver, SendError, Sender, SyncSender};
use std::thread;

/// Bytes per buffer, and how many buffers there are: what is read ahead at most.
const CHUNK: usize = 256 << 10;
const CHUNKS: usize = 4;

/// What sees all bytes in their order.
pub type Observer = Box<dyn FnMut(&[u8]) + Send>;

/// Reads `reader` ahead, by 2 MiB at most, and shows an observer all of it; each has a thread. The
/// observer has seen what is read, and may have seen more.
///
/// Dropping the result does not wait for the threads, one of which may be in a read that blocks: they end
/// after that read.
pub fn threaded(reader: impl Read + Send + 'static, observer: Observer) -> ReadAhead {
    let (source, observer) = observed(start(Box::new(reader)), observer);
    ReadAhead { source, observer, current: Vec::new(), position: 0 }
}

/// The reader that [`threaded`] makes.
pub struct ReadAhead {
    source: Source,
    /// Where there is no thread for it.
    observer: Option<Observer>,
    current: Vec<u8>,
    position: usize,
}

type Buffers = Receiver<io::Result<Vec<u8>>>;

enum Source {
    /// Buffers come from a thread, an empty one last, and go back to it.
    Thread { full: Buffers, empty: Sender<Vec<u8>> },
    /// No thread could be had, as under a low limit of processes.
    Here(Box<dyn Read + Send>),
    /// The empty buffer came.
    Ended,
    /// An error was passed on.
    Failed,
}

impl fmt::Debug for ReadAhead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadAhead").finish_non_exhaustive()
    }
}

fn start(reader: Box<dyn Read + Send>) -> Source {
    let (to_user, full) = mpsc::sync_channel(CHUNKS);
    let (empty, from_user) = mpsc::channel();
    let work = move |reader| read_ahead(reader, &from_user, &to_user);
    match on_a_thread("read-ahead", reader, work) {
        Ok(()) => Source::Thread { full, empty },
        Err(reader) => Source::Here(reader),
    }
}

/// Puts an observer between a source and its user. Gives it back where it has to be called by the user.
fn observed(source: Source, observer: Observer) -> (Source, Option<Observer>) {
    let Source::Thread { full, empty } = source else { return (source, Some(observer)) };
    let (to_user, seen) = mpsc::sync_channel(CHUNKS);
    let work = move |(full, mut observer): (Buffers, Observer)| {
        for buffer in full {
            if let Ok(bytes) = &buffer {
                observer(bytes);
            }
            if to_user.send(buffer).is_err() {
                return;
            }
        }
    };
    match on_a_thread("observe", (full, observer), work) {
        Ok(()) => (Source::Thread { full: seen, empty }, None),
        Err((full, observer)) => (Source::Thread { full, empty }, Some(observer)),
    }
}

/// Does the work with something that comes back where there can be no thread.
fn on_a_thread<T: Send + 'static>(
    name: &str,
    thing: T,
    work: impl FnOnce(T) + Send + 'static,
) -> Result<(), T> {
    // By a channel: a closure that no thread takes is lost with all in it.
    let (hand_over, handed) = mpsc::sync_channel(1);
    let started = thread::Builder::new().name(name.to_owned()).spawn(move || {
        if let Ok(thing) = handed.recv() {
            work(thing);
        }
    });
    if started.is_err() {
        return Err(thing);
    }
    hand_over.send(thing).map_err(|SendError(thing)| thing)
}

fn read_ahead(
    mut reader: Box<dyn Read + Send>,
    empty: &Receiver<Vec<u8>>,
    full: &SyncSender<io::Result<Vec<u8>>>,
) {
    loop {
        // The bounded channel holds this thread back; a buffer that is not back yet is a new one.
        let mut buffer = empty.try_recv().unwrap_or_default();
        buffer.resize(CHUNK, 0);
        let result = fill(&mut reader, &mut buffer).map(|count| {
            buffer.truncate(count);
            buffer
        });
        let last = result.as_ref().map_or(true, Vec::is_empty);
        if full.send(result).is_err() || last {
            return;
        }
    }
}

/// Reads until the buffer is full or the input ends. Bytes before an error are lost with it: nobody
/// can use half a stream.
pub(crate) fn fill(reader: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

impl ReadAhead {
    /// Puts the thread's next buffer in place, an empty one at the end.
    fn advance(&mut self) -> io::Result<()> {
        let Source::Thread { full, empty } = &self.source else { return Ok(()) };
        let next = full.recv().unwrap_or_else(|_| Err(io::Error::other("a reader has died")));
        match next {
            Ok(next) => {
                let used = std::mem::replace(&mut self.current, next);
                self.position = 0;
                // The thread may be gone, and wants none back then.
                let _ = empty.send(used);
                if self.current.is_empty() {
                    self.source = Source::Ended;
                }
                Ok(())
            }
            Err(error) => {
                self.source = Source::Failed;
                Err(error)
            }
        }
    }
}

impl BufRead for ReadAhead {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.position == self.current.len() {
            match &mut self.source {
                Source::Here(reader) => {
                    self.current.resize(CHUNK, 0);
                    self.position = CHUNK; // nothing, should the read fail
                    let count = match fill(reader, &mut self.current) {
                        Ok(count) => count,
                        Err(error) => {
                            self.source = Source::Failed;
                            return Err(error);
                        }
                    };
                    self.current.truncate(count);
                    self.position = 0;
                }
                Source::Ended => {}
                Source::Failed => return Err(io::Error::other("an earlier read has failed")),
                Source::Thread { .. } => self.advance()?,
            }
            if let Some(observer) = &mut self.observer {
                observer(&self.current[self.position..]);
            }
        }
        Ok(&self.current[self.position..])
    }

    fn consume(&mut self, count: usize) {
        self.position += count;
    }
}

impl Read for ReadAhead {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let ready = self.fill_buf()?;
        let count = buf.len().min(ready.len());
        buf[..count].copy_from_slice(&ready[..count]);
        self.consume(count);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    fn unobserved(reader: impl Read + Send + 'static) -> ReadAhead {
        threaded(reader, Box::new(|_| ()))
    }

    #[test]
    fn passes_everything_on() {
        for len in [0, 1, CHUNK, 3 * CHUNK, 9 * CHUNK + 5] {
            let data: Vec<u8> = (0..len).map(|i| (i / 7) as u8).collect();
            let mut read = Vec::new();
            let mut reader = unobserved(io::Cursor::new(data.clone()));
            reader.read_to_end(&mut read).expect("memory");
            assert!(read == data, "{len}");
            assert_eq!(reader.read(&mut [0; 4]).expect("the end stays the end"), 0);
        }
    }

    #[test]
    fn an_observer_sees_everything_once_and_before() {
        let data: Vec<u8> = (0..CHUNK * 9 + 5).map(|i| (i / 5) as u8).collect();
        let reader = || Box::new(io::Cursor::new(data.clone()));
        let threads = |observer| threaded(reader(), observer);
        let here = |observer| ReadAhead {
            source: Source::Here(reader()),
            observer: Some(observer),
            current: Vec::new(),
            position: 0,
        };
        let half = |observer| ReadAhead {
            source: start(reader()),
            observer: Some(observer),
            current: Vec::new(),
            position: 0,
        };
        let kinds: [&dyn Fn(Observer) -> ReadAhead; 3] = [&threads, &here, &half];
        for kind in kinds {
            let seen = Arc::new(Mutex::new(Vec::new()));
            let to_see = seen.clone();
            let mut reader = kind(Box::new(move |bytes: &[u8]| {
                to_see.lock().expect("no panic").extend_from_slice(bytes);
            }));
            let (mut read, mut buffer) = (0, vec![0; 70_000]);
            loop {
                let count = reader.read(&mut buffer).expect("memory");
                assert!(buffer[..count] == data[read..read + count]);
                read += count;
                let seen = seen.lock().expect("no panic");
                assert!(seen.len() >= read && data.starts_with(&seen));
                if count == 0 {
                    break;
                }
            }
            assert_eq!(read, data.len());
            assert!(*seen.lock().expect("no panic") == data);
        }
    }

    struct Bad {
        left: usize,
        panics: bool,
    }

    impl Read for Bad {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            if self.left == 0 {
                assert!(!self.panics, "a reader dies, as this test wants");
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            let count = buf.len().min(self.left);
            self.left -= count;
            Ok(count)
        }
    }

    #[test]
    fn errors_and_panics_come_through_after_the_data() {
        for (panics, kind) in
            [(false, io::ErrorKind::ConnectionReset), (true, io::ErrorKind::Other)]
        {
            let mut reader = unobserved(Bad { left: 2 * CHUNK, panics });
            reader.read_exact(&mut vec![0; 2 * CHUNK]).expect("whole chunks");
            assert_eq!(reader.read(&mut [0]).expect_err("then the error").kind(), kind);
            assert!(reader.read(&mut [0]).is_err());
        }
    }

    #[test]
    fn a_drop_does_not_wait_for_a_read_that_blocks() {
        let (reader, _writer) = io::pipe().expect("a pipe");
        // Nothing is ever written: waiting would hang.
        drop(unobserved(reader));
    }

    #[test]
    fn a_drop_ends_an_endless_reader() {
        struct Endless(#[allow(dead_code)] Sender<()>);
        impl Read for Endless {
            fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
                Ok(buf.len())
            }
        }
        let (alive, dropped) = mpsc::channel();
        let mut reader = unobserved(Endless(alive));
        reader.read_exact(&mut [0; 10]).expect("endless");
        drop(reader);
        assert!(dropped.recv().is_err(), "the thread has let go of the reader");
    }
}
