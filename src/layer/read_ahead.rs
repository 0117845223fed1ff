//! Reading on a thread of its own, so that producing bytes and using them overlap.

use std::fmt;
use std::io::{self, Read};
use std::sync::mpsc::{self, Receiver, SendError, Sender, SyncSender};
use std::thread;

/// Bytes per buffer, and how many buffers there are: what is read ahead at most.
const CHUNK: usize = 256 << 10;
const CHUNKS: usize = 4;

/// Reads `reader` ahead, by 1 MiB at most.
///
/// Dropping the result does not wait for the thread, which may be in a read that blocks: it ends
/// after that read.
pub fn threaded(reader: impl Read + Send + 'static) -> ReadAhead {
    ReadAhead { source: start(Box::new(reader)), current: Vec::new(), position: 0 }
}

/// The reader that [`threaded`] makes.
pub struct ReadAhead {
    source: Source,
    current: Vec<u8>,
    position: usize,
}

enum Source {
    /// Buffers come from a thread, an empty one last, and go back to it.
    Thread { full: Receiver<io::Result<Vec<u8>>>, empty: Sender<Vec<u8>> },
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
    // The reader goes in by a channel: a closure that no thread takes is lost with all in it.
    let (hand_over, handed) = mpsc::sync_channel(1);
    let started = thread::Builder::new().name("read-ahead".to_owned()).spawn(move || {
        if let Ok(reader) = handed.recv() {
            read_ahead(reader, &from_user, &to_user);
        }
    });
    if started.is_err() {
        return Source::Here(reader);
    }
    match hand_over.send(reader) {
        Ok(()) => Source::Thread { full, empty },
        Err(SendError(reader)) => Source::Here(reader),
    }
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

impl Read for ReadAhead {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.position == self.current.len() {
            match &mut self.source {
                Source::Here(reader) => return reader.read(buf),
                Source::Ended => return Ok(0),
                Source::Failed => return Err(io::Error::other("an earlier read has failed")),
                Source::Thread { .. } => self.advance()?,
            }
        }
        let count = buf.len().min(self.current.len() - self.position);
        buf[..count].copy_from_slice(&self.current[self.position..self.position + count]);
        self.position += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_everything_on() {
        for len in [0, 1, CHUNK, 3 * CHUNK, 9 * CHUNK + 5] {
            let data: Vec<u8> = (0..len).map(|i| (i / 7) as u8).collect();
            let mut read = Vec::new();
            let mut reader = threaded(io::Cursor::new(data.clone()));
            reader.read_to_end(&mut read).expect("memory");
            assert!(read == data, "{len}");
            assert_eq!(reader.read(&mut [0; 4]).expect("the end stays the end"), 0);
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
            let mut reader = threaded(Bad { left: 2 * CHUNK, panics });
            reader.read_exact(&mut vec![0; 2 * CHUNK]).expect("whole chunks");
            assert_eq!(reader.read(&mut [0]).expect_err("then the error").kind(), kind);
            assert!(reader.read(&mut [0]).is_err());
        }
    }

    #[test]
    fn a_drop_does_not_wait_for_a_read_that_blocks() {
        let (reader, _writer) = io::pipe().expect("a pipe");
        // Nothing is ever written: waiting would hang.
        drop(threaded(reader));
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
        let mut reader = threaded(Endless(alive));
        reader.read_exact(&mut [0; 10]).expect("endless");
        drop(reader);
        assert!(dropped.recv().is_err(), "the thread has let go of the reader");
    }
}
