//! What a layer costs at least: tar(1), and libdeflate on all cores.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use anyhow::{Context as _, ensure};
use libdeflater::{CompressionLvl, Compressor};
use sha2::{Digest as _, Sha256};

/// As kiln does it: gzip members of so many bytes, at this level.
const BLOCK: usize = 1 << 20;
const LEVEL: i32 = 4;

/// Whether both digests of a layer are computed too, that of the tar and that of the blob.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Hashes {
    None,
    Both,
}

/// Seconds that it takes to write a tree as a compressed archive. Returns its size too.
///
/// # Errors
/// If tar fails, or the disk refuses.
pub(super) fn write(tree: &Path, to: &Path, hashes: Hashes) -> anyhow::Result<(f64, u64)> {
    let start = Instant::now();
    let mut tar = Command::new("tar");
    tar.arg("-cf").arg("-").arg("-C").arg(tree).arg(".").stdout(Stdio::piped());
    let mut tar = tar.spawn().context("cannot start tar")?;
    let source = tar.stdout.take().context("tar has no output")?;
    let mut out = File::create(to)?;
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let size = compress(source, &mut out, threads, hashes)?;
    ensure!(tar.wait()?.success(), "tar has failed");
    Ok((start.elapsed().as_secs_f64(), size))
}

/// A block on its way: where its result is awaited.
type Awaited = mpsc::Receiver<Vec<u8>>;

fn compress(
    mut source: impl Read + Send,
    out: &mut impl Write,
    threads: usize,
    hashes: Hashes,
) -> anyhow::Result<u64> {
    thread::scope(|scope| {
        let (order, awaited) = mpsc::sync_channel::<Awaited>(2 * threads);
        let mut workers = Vec::new();
        for _ in 0..threads {
            let (work, blocks) = mpsc::sync_channel::<(Vec<u8>, mpsc::Sender<Vec<u8>>)>(2);
            scope.spawn(move || {
                let level = CompressionLvl::new(LEVEL).unwrap_or_default();
                let mut compressor = Compressor::new(level);
                for (block, done) in blocks {
                    // The other side is gone only after an error of its own.
                    let _ = done.send(member(&mut compressor, &block));
                }
            });
            workers.push(work);
        }
        let reader = scope.spawn(move || -> io::Result<()> {
            let mut hash = Sha256::new();
            for turn in 0.. {
                let mut block = Vec::with_capacity(BLOCK);
                source.by_ref().take(BLOCK as u64).read_to_end(&mut block)?;
                if block.is_empty() {
                    break;
                }
                if hashes == Hashes::Both {
                    hash.update(&block);
                }
                let (done, result) = mpsc::channel();
                let ended = || io::Error::other("a thread has ended");
                workers[turn % threads].send((block, done)).map_err(|_| ended())?;
                order.send(result).map_err(|_| ended())?;
            }
            std::hint::black_box(hash.finalize());
            Ok(())
        });
        let (mut hash, mut size) = (Sha256::new(), 0);
        for result in awaited {
            let member = result.recv().context("a thread has ended")?;
            if hashes == Hashes::Both {
                hash.update(&member);
            }
            out.write_all(&member)?;
            size += member.len() as u64;
        }
        std::hint::black_box(hash.finalize());
        reader.join().map_err(|_| anyhow::anyhow!("the reader panicked"))??;
        Ok(size)
    })
}

fn member(compressor: &mut Compressor, block: &[u8]) -> Vec<u8> {
    let mut member = vec![0; compressor.gzip_compress_bound(block.len())];
    // It fails only where there is less room than the bound.
    let size = compressor.gzip_compress(block, &mut member).unwrap_or_default();
    member.truncate(size);
    member
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn it_is_gzip_of_what_came_in() {
        let input: Vec<u8> = (0..5_000_000_u32).flat_map(|n| (n / 7).to_le_bytes()).collect();
        let mut out = Vec::new();
        let size = compress(input.as_slice(), &mut out, 3, Hashes::Both).unwrap();
        assert_eq!(size, out.len() as u64);
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file.gz");
        std::fs::write(&file, out).unwrap();
        let unpacked = Command::new("gzip").arg("-dc").arg(&file).output().unwrap();
        assert!(unpacked.stdout == input);
    }
}
