//! Brings layers to this machine: their blobs to the store, their files to directories.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use anyhow::{Context as _, Result, anyhow, bail};

use super::layers::{ImageLayer, Origin};
use super::workshop::Workshop;
use crate::cache::KeptFile;
use crate::digest::SharedHasher;
use crate::image::open_regular;
use crate::layer::{ReadAhead, StoreError, TarReader, decoder, fill, threaded};
use crate::rootfs::{Extract, Ownership, Root, VisiblePart, Whiteouts, extract};

/// Layers that are fetched or unpacked side by side.
pub(super) const AT_ONCE: usize = 4;

/// Buffers between a download and what unpacks it: 16 × 256 KiB.
const BUFFERS: usize = 16;
const BUFFER_SIZE: usize = 256 * 1024;

impl Workshop {
    /// A layer's blob as a file, downloaded if it is not here yet.
    pub fn fetch(&self, layer: &ImageLayer) -> Result<PathBuf> {
        let _whoever_holds_it_fetches = layer.lock();
        self.fetch_locked(layer)
    }

    fn fetch_locked(&self, layer: &ImageLayer) -> Result<PathBuf> {
        if !self.blobs.has(&layer.descriptor.digest) && !self.copy_cached(layer)? {
            self.download(layer, None)?;
        }
        Ok(self.blobs.path(&layer.descriptor.digest))
    }

    /// Takes a blob from the cache of base images, if it is there and what it should be. Nobody
    /// sees a byte before all are checked.
    fn copy_cached(&self, layer: &ImageLayer) -> Result<bool> {
        let digest = &layer.descriptor.digest;
        match &layer.origin {
            Origin::File(path) => {
                let open = || Ok(open_regular(path)?);
                return self.copy_file(path, open, layer).map(|()| true);
            }
            Origin::Kept(file) => return self.copy_kept(file, layer).map(|()| true),
            Origin::Built | Origin::Base(_) => {}
        }
        let Some(path) = self.bases.blob(digest) else { return Ok(false) };
        let copy = || -> Result<()> {
            let mut writer = self.blobs.writer()?;
            io::copy(&mut open_regular(&path)?, &mut writer)?;
            Ok(writer.commit_as(digest, layer.descriptor.size)?)
        };
        self.cancel.check()?;
        if let Err(error) = copy() {
            let path = path.display();
            self.reporter.warning(&format!(
                "the cached layer {path} cannot be used, so it is downloaded (the warmer replaces it \
                 with --force): {error:#}"
            ));
            return Ok(false);
        }
        Ok(true)
    }

    /// Takes a blob from a file that must be what it should be: there is no other.
    fn copy_file<R: Read>(
        &self,
        path: &Path,
        open: impl FnOnce() -> Result<R>,
        layer: &ImageLayer,
    ) -> Result<()> {
        let copy = || -> Result<()> {
            let mut writer = self.blobs.writer()?;
            io::copy(&mut open()?, &mut writer)?;
            Ok(writer.commit_as(&layer.descriptor.digest, layer.descriptor.size)?)
        };
        self.cancel.check()?;
        copy().with_context(|| format!("cannot use the layer {}", path.display()))
    }

    /// The same for a file of a cache. If it is damaged it goes, so that the next build makes it anew:
    /// this one has promised to others what it does not have.
    fn copy_kept(&self, file: &KeptFile, layer: &ImageLayer) -> Result<()> {
        let copied = self.copy_file(file.path(), || Ok(file.bytes()), layer);
        let copied = copied.inspect_err(|_| layer.note_lost());
        let damaged = |error: &anyhow::Error| {
            let store = error.chain().find_map(|cause| cause.downcast_ref::<StoreError>());
            matches!(store, Some(StoreError::Mismatch { .. }))
        };
        match copied {
            Err(error) if damaged(&error) => {
                _ = file.remove();
                Err(error)
            }
            copied => copied,
        }
    }

    /// Downloads a blob into the store and passes its bytes on while they arrive.
    fn download(&self, layer: &ImageLayer, mut pass_on: Option<SyncSender<Vec<u8>>>) -> Result<()> {
        let Origin::Base(repository) = &layer.origin else {
            bail!("the blob {} is gone from the work directory", layer.descriptor.digest);
        };
        let opened = self.client.open_blob(repository, &layer.descriptor);
        let mut reader = opened.inspect_err(|error| {
            if error.is_not_found() {
                layer.note_lost();
            }
        })?;
        let mut writer = self.blobs.writer()?;
        let name = format!("pull {} from {repository}", layer.descriptor.digest.short());
        let task = self.reporter.start(&name);
        let (mut done, total) = (0, layer.descriptor.size);
        loop {
            let mut buffer = vec![0; BUFFER_SIZE];
            let count = fill(&mut reader, &mut buffer)
                .with_context(|| format!("cannot fetch a layer from {repository}"))?;
            if count == 0 {
                break;
            }
            self.cancel.check()?;
            buffer.truncate(count);
            // The error is a sentence of the store already.
            writer.write_all(&buffer)?;
            done += count as u64;
            task.progress(done, Some(total));
            // What unpacks may have failed and gone; the blob is stored all the same.
            pass_on = pass_on.and_then(|sender| sender.send(buffer).ok().map(|()| sender));
        }
        let committed = writer.commit_as(&layer.descriptor.digest, total);
        committed.inspect_err(|_| layer.note_lost())?;
        task.done();
        Ok(())
    }

    /// Hands the compressed bytes of a layer to `work`, from the store or as they arrive. The
    /// layer's lock is held by the caller.
    pub(super) fn with_bytes<T: Send>(
        &self,
        layer: &ImageLayer,
        work: impl FnOnce(Box<dyn Read + Send>) -> Result<T> + Send,
    ) -> Result<T> {
        if self.blobs.has(&layer.descriptor.digest) || self.copy_cached(layer)? {
            return work(Box::new(self.blobs.open(&layer.descriptor.digest)?));
        }
        thread::scope(|scope| {
            let (sender, receiver) = sync_channel(BUFFERS);
            let download = scope.spawn(move || self.download(layer, Some(sender)));
            let result = work(Box::new(Arriving { receiver, rest: io::Cursor::default() }));
            // A broken download is the reason, whatever the unpacker saw of it.
            download.join().map_err(|_| anyhow!("the download ended abnormally"))??;
            result
        })
    }

    /// Whether owners can be kept.
    pub(super) fn ownership(&self) -> Ownership {
        if self.sandbox.single_id() { Ownership::Ignore } else { Ownership::Keep }
    }

    /// Unpacks the chosen part of each layer into one directory.
    pub fn unpack_parts(
        &self,
        layers: &[Arc<ImageLayer>],
        parts: Vec<VisiblePart>,
    ) -> Result<Root> {
        let root = self.open_root(&self.new_scratch_dir()?)?;
        for (layer, part) in layers.iter().zip(parts) {
            let policy = Extract {
                filter: Some(part.filter),
                relocate: part.relocate,
                ..Extract::new(Whiteouts::Skip, self.ownership())
            };
            let blob = self.blobs.open(&layer.descriptor.digest)?;
            through_tar(layer, Box::new(blob), |entries| {
                Ok(extract(entries, &root, &policy).map(drop)?)
            })?;
        }
        Ok(root)
    }
}

/// A layer's tar, as it is decompressed and hashed, each on a thread of its own: unpacking is work enough
/// for this one.
type Tar = TarReader<ReadAhead>;

/// Reads a layer's tar to its end, checks its diffID, and gives `work`'s answer.
pub(super) fn through_tar<T>(
    layer: &ImageLayer,
    bytes: Box<dyn Read + Send>,
    work: impl FnOnce(&mut Tar) -> Result<T>,
) -> Result<T> {
    let broken = || format!("layer {} is broken", layer.descriptor.digest);
    let hashing = SharedHasher::default();
    let hasher = hashing.clone();
    let observer = Box::new(move |bytes: &[u8]| hasher.update(bytes));
    let tar = threaded(decoder(bytes).with_context(broken)?, observer);
    let mut reader = TarReader::new(tar);
    let answer = work(&mut reader).with_context(broken)?;
    reader.drain().with_context(broken)?;
    let found = hashing.digest();
    if found != layer.diff_id {
        bail!(
            "layer {} unpacks to {found}, but the image's config says {}: the image is damaged",
            layer.descriptor.digest,
            layer.diff_id
        );
    }
    Ok(answer)
}

/// Runs `work` for all items on a few threads; the first error wins.
pub(super) fn side_by_side<T: Sync>(
    items: &[T],
    work: impl Fn(&T) -> Result<()> + Sync,
) -> Result<()> {
    let next = AtomicUsize::new(0);
    let worker = || {
        while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Err(error) = work(item) {
                next.store(items.len(), Ordering::Relaxed);
                return Err(error);
            }
        }
        Ok(())
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..items.len().min(AT_ONCE)).map(|_| scope.spawn(worker)).collect();
        threads.into_iter().try_for_each(|thread| {
            thread.join().map_err(|_| anyhow!("a worker ended abnormally"))?
        })
    })
}

/// Bytes that another thread is downloading.
struct Arriving {
    receiver: Receiver<Vec<u8>>,
    rest: io::Cursor<Vec<u8>>,
}

impl Read for Arriving {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.rest.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            match self.receiver.recv() {
                Ok(bytes) => self.rest = io::Cursor::new(bytes),
                Err(_) => return Ok(0),
            }
        }
    }
}
