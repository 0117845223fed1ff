//! Blocks of data through a [`Codec`] on several threads, in order and in bounded memory.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

/// Turns one block into its compressed form, knowing nothing of the others.
pub trait Codec {
    /// Replaces what is in `output`.
    fn encode(&mut self, input: &[u8], output: &mut Vec<u8>) -> io::Result<()>;
}

type MakeCodec = Arc<dyn Fn() -> io::Result<Box<dyn Codec>> + Send + Sync>;

/// Cuts what is written into blocks of a fixed size, and writes each one's encoding, in order.
pub(super) struct BlockWriter<W> {
    out: W,
    block: Vec<u8>,
    block_size: usize,
    pool: Pool,
    /// Set by the first error: what follows would leave a hole.
    failed: bool,
    empty: bool,
}

impl<W: Write> BlockWriter<W> {
    pub(super) fn new(
        out: W,
        block_size: usize,
        threads: usize,
        codec: impl Fn() -> io::Result<Box<dyn Codec>> + Send + Sync + 'static,
    ) -> Self {
        Self {
            out,
            block: Vec::new(),
            block_size,
            pool: Pool::new(threads, Arc::new(codec)),
            failed: false,
            empty: true,
        }
    }

    /// Encodes what is left. Empty input is one empty block, so that the output is a valid stream.
    pub(super) fn finish(mut self) -> io::Result<W> {
        self.check()?;
        if self.empty || !self.block.is_empty() {
            if self.pool.is_idle() {
                // A small layer: no thread for a single block.
                let encoded = encode_here(&self.pool.codec, Buffers::with_input(self.block))?;
                self.out.write_all(&encoded.output)?;
                return Ok(self.out);
            }
            self.submit()?;
        }
        while self.pool.in_flight() > 0 {
            self.write_oldest()?;
        }
        Ok(self.out)
    }

    fn check(&self) -> io::Result<()> {
        if self.failed { Err(io::Error::other("an earlier write has failed")) } else { Ok(()) }
    }

    fn submit(&mut self) -> io::Result<()> {
        while self.pool.is_full() {
            self.write_oldest()?;
        }
        let mut buffers = self.pool.spare();
        std::mem::swap(&mut buffers.input, &mut self.block);
        self.block.clear();
        self.empty = false;
        self.pool.submit(buffers)
    }

    fn write_oldest(&mut self) -> io::Result<()> {
        let encoded = self.pool.take_oldest()?;
        self.out.write_all(&encoded.output)?;
        self.pool.give_back(encoded);
        Ok(())
    }
}

impl<W: Write> Write for BlockWriter<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.check()?;
        let count = buf.len().min(self.block_size - self.block.len());
        self.block.extend_from_slice(&buf[..count]);
        if self.block.len() == self.block_size {
            self.submit().inspect_err(|_| self.failed = true)?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// One block before and after. Used over and over.
#[derive(Default)]
struct Buffers {
    input: Vec<u8>,
    output: Vec<u8>,
}

impl Buffers {
    fn with_input(input: Vec<u8>) -> Self {
        Self { input, output: Vec::new() }
    }
}

struct Job {
    buffers: Buffers,
    done: SyncSender<io::Result<Buffers>>,
}

/// Worker threads, and the blocks that they have not given back, oldest first.
struct Pool {
    threads: usize,
    codec: MakeCodec,
    jobs: Option<Sender<Job>>,
    waiting: Arc<Mutex<Receiver<Job>>>,
    workers: Vec<JoinHandle<()>>,
    pending: VecDeque<Receiver<io::Result<Buffers>>>,
    spare: Vec<Buffers>,
}

impl Pool {
    fn new(threads: usize, codec: MakeCodec) -> Self {
        let (jobs, waiting) = mpsc::channel();
        Self {
            threads: threads.max(1),
            codec,
            jobs: Some(jobs),
            waiting: Arc::new(Mutex::new(waiting)),
            workers: Vec::new(),
            pending: VecDeque::new(),
            spare: Vec::new(),
        }
    }

    fn is_idle(&self) -> bool {
        self.workers.is_empty() && self.pending.is_empty()
    }

    fn in_flight(&self) -> usize {
        self.pending.len()
    }

    /// Two blocks per thread: one in work, one that waits. This bounds the memory.
    fn is_full(&self) -> bool {
        self.pending.len() >= 2 * self.threads
    }

    fn spare(&mut self) -> Buffers {
        self.spare.pop().unwrap_or_default()
    }

    fn give_back(&mut self, buffers: Buffers) {
        self.spare.push(buffers);
    }

    fn submit(&mut self, buffers: Buffers) -> io::Result<()> {
        if self.workers.len() < self.threads && self.workers.len() <= self.pending.len() {
            self.start_worker();
        }
        let (done, result) = mpsc::sync_channel(1);
        self.pending.push_back(result);
        match &self.jobs {
            // The receiver lives as long as `self`, so sending cannot fail.
            Some(jobs) if !self.workers.is_empty() => {
                let _ = jobs.send(Job { buffers, done });
            }
            // No thread can be had, as under a low limit of processes: encode here.
            _ => {
                let _ = done.send(encode_here(&self.codec, buffers));
            }
        }
        Ok(())
    }

    /// Waits for the oldest block. Blocks are taken from the queue in order, so a worker that died
    /// is noticed at the block it died of, before anyone waits for a later one.
    fn take_oldest(&mut self) -> io::Result<Buffers> {
        let Some(oldest) = self.pending.pop_front() else {
            return Err(io::Error::other("no block is being compressed"));
        };
        oldest.recv().unwrap_or_else(|_| Err(io::Error::other("a compression thread has died")))
    }

    fn start_worker(&mut self) {
        let (waiting, codec) = (self.waiting.clone(), self.codec.clone());
        let started = thread::Builder::new()
            .name("compress".to_owned())
            .spawn(move || work(&waiting, &codec));
        if let Ok(worker) = started {
            self.workers.push(worker);
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // Workers end when the queue is closed; what is left in it is compressed for nobody, but
        // that is two blocks each at most.
        self.jobs = None;
        for worker in self.workers.drain(..) {
            // A panic was reported by `take_oldest`, or nobody waited for its block.
            let _ = worker.join();
        }
    }
}

fn work(waiting: &Mutex<Receiver<Job>>, codec: &MakeCodec) {
    let mut made = None;
    loop {
        // The lock is held while waiting; the others then wait for the lock instead of the queue.
        let job = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { buffers, done }) = job else { return };
        // Whoever dropped the receiver wants no answer.
        let _ = done.send(encode(&mut made, codec, buffers));
    }
}

fn encode_here(codec: &MakeCodec, buffers: Buffers) -> io::Result<Buffers> {
    encode(&mut None, codec, buffers)
}

fn encode(
    made: &mut Option<Box<dyn Codec>>,
    make: &MakeCodec,
    mut buffers: Buffers,
) -> io::Result<Buffers> {
    let codec = match made {
        Some(codec) => codec,
        None => made.insert(make()?),
    };
    codec.encode(&buffers.input, &mut buffers.output)?;
    Ok(buffers)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Passes blocks on, but fails or dies at certain ones.
    struct Fragile;

    impl Codec for Fragile {
        fn encode(&mut self, input: &[u8], output: &mut Vec<u8>) -> io::Result<()> {
            match input.first() {
                Some(b'e') => return Err(io::Error::other("cannot encode")),
                Some(b'p') => panic!("a worker dies, as this test wants"),
                _ => {}
            }
            output.clear();
            output.extend_from_slice(input);
            Ok(())
        }
    }

    fn writer(threads: usize) -> BlockWriter<Vec<u8>> {
        BlockWriter::new(Vec::new(), 4, threads, || Ok(Box::new(Fragile)))
    }

    #[test]
    fn order_is_kept_and_memory_is_bounded() {
        let text: Vec<u8> = (0..10_001_u32).map(|i| b'0' + (i % 10) as u8).collect();
        for threads in [1, 3] {
            let mut writer = writer(threads);
            for piece in text.chunks(7) {
                writer.write_all(piece).expect("memory");
                assert!(writer.pool.in_flight() <= 2 * threads);
                assert!(writer.pool.spare.len() <= 2 * threads);
            }
            assert!(writer.finish().expect("memory") == text);
        }
    }

    #[test]
    fn a_workers_error_or_panic_is_the_writers_error() {
        for (bad, message) in [("e___", "cannot encode"), ("p___", "has died")] {
            for threads in [1, 2, 5] {
                let mut writer = writer(threads);
                writer.write_all(b"good").expect("taken");
                let mut result = writer.write_all(bad.as_bytes());
                for _ in 0..20 {
                    result = result.and_then(|()| writer.write_all(b"more"));
                }
                let error = result.expect_err("the bad block was refused").to_string();
                assert!(error.contains(message), "{error}");
                assert!(writer.write_all(b"x").is_err());
                assert!(writer.finish().is_err());
            }
        }
    }

    #[test]
    fn an_error_in_the_last_block_is_not_lost() {
        for text in ["e", "goode", "good_", "moremoree___"] {
            let mut writer = writer(2);
            writer.write_all(text.as_bytes()).expect("taken");
            assert_eq!(writer.finish().is_err(), text.contains("e__") || text.ends_with('e'));
        }
    }

    #[test]
    fn dropped_with_work_under_way() {
        let mut writer = writer(4);
        for _ in 0..6 {
            writer.write_all(b"abcd").expect("taken");
        }
        drop(writer);
    }

    #[test]
    fn a_full_disk_below_stays_an_error() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut writer = BlockWriter::new(Full, 4, 2, || Ok(Box::new(Fragile)));
        let result = (0..100).try_for_each(|_| writer.write_all(b"abcd"));
        assert_eq!(result.expect_err("full").kind(), io::ErrorKind::StorageFull);
        assert!(writer.finish().is_err());
    }
}
