//! What layers have, by their headers alone: several are downloaded and decompressed side by side, and
//! looked at in their order.

use std::collections::VecDeque;
use std::io::{self, Cursor, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::vec;

use anyhow::{Result, anyhow};

use super::layers::{ImageLayer, Local};
use super::pull::{AT_ONCE, through_tar};
use super::workshop::Workshop;
use crate::layer::{Entry, Kind};
use crate::rootfs::{Entries, Index};

/// Headers that are handed over at once, and how many such batches a layer may be ahead of its turn: an
/// ordinary one altogether.
const BATCH: usize = 2048;
const BATCHES: usize = 16;
/// With so many bytes a batch is full too: attributes and contents can be a megabyte each.
const BATCH_BYTES: usize = 64 << 10;
/// Longer content is not read: nobody keeps it.
const CONTENT_MAX: u64 = 1 << 20;

type Batch = Vec<(Entry, Vec<u8>)>;

/// Nobody wants the rest of a layer.
#[derive(Debug, thiserror::Error)]
#[error("the layers below cannot be used")]
struct Abandoned;

impl Workshop {
    /// The file system that layers make, known from their headers; nothing is unpacked.
    pub fn index(&self, layers: &[Arc<ImageLayer>]) -> Result<Index> {
        let mut index = Index::default();
        self.each_header(layers, |entries| Ok(index.apply(entries)?))?;
        Ok(index)
    }

    /// Shows the entries of each layer, lowest first. Only files whose content an [`Index`] keeps have
    /// one. The first error ends it.
    pub(super) fn each_header(
        &self,
        layers: &[Arc<ImageLayer>],
        mut look: impl FnMut(&mut dyn Entries) -> Result<()>,
    ) -> Result<()> {
        let (senders, receivers): (Vec<_>, Vec<_>) =
            layers.iter().map(|_| sync_channel(BATCHES)).unzip();
        let waiting: VecDeque<_> = layers.iter().map(Arc::as_ref).zip(senders).collect();
        let queue = Queue(Mutex::new(waiting));
        let failure = Mutex::new(None);
        let work = || {
            // In their order, so that the one whose turn it is always has somebody who reads it.
            while let Some(turn) = queue.next() {
                if let Err(error) = self.hand_over(turn) {
                    queue.close();
                    if !error.is::<Abandoned>() {
                        let mut failure = failure.lock().unwrap_or_else(PoisonError::into_inner);
                        failure.get_or_insert(error);
                    }
                    return;
                }
            }
        };
        thread::scope(|scope| {
            let count = layers.len().min(AT_ONCE);
            let readers: Vec<_> = (0..count).map(|_| scope.spawn(work)).collect();
            let looked = receivers.into_iter().try_for_each(|batches| {
                self.cancel.check()?;
                look(&mut Received { batches, current: Vec::new().into_iter() })
            });
            for reader in readers {
                reader.join().map_err(|_| anyhow!("a reader ended abnormally"))?;
            }
            // A layer that broke off looks like one that ends: the reason comes first.
            match failure.lock().unwrap_or_else(PoisonError::into_inner).take() {
                Some(error) => Err(error),
                None => looked,
            }
        })
    }

    fn hand_over(&self, Turn { layer, lock, to }: Turn<'_>) -> Result<()> {
        // Whoever has the lock may be downloading it; once it is here, nobody needs it.
        let here = self.blobs.has(&layer.descriptor.digest);
        let _lock = (!here).then_some(lock);
        self.with_bytes(layer, |bytes| {
            through_tar(layer, bytes, |entries| {
                let (mut batch, mut bytes) = (Batch::new(), 0);
                while let Some((entry, mut content)) = entries.next_entry()? {
                    let content = kept_content(&entry, &mut *content)?;
                    bytes += content.len() + size_of_attributes(&entry);
                    batch.push((entry, content));
                    if batch.len() == BATCH || bytes >= BATCH_BYTES {
                        bytes = 0;
                        to.send(std::mem::take(&mut batch)).map_err(|_| Abandoned)?;
                    }
                }
                Ok(to.send(batch).map_err(|_| Abandoned)?)
            })
        })
    }
}

fn kept_content(entry: &Entry, content: &mut dyn Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if matches!(entry.kind, Kind::File { size } if size <= CONTENT_MAX) && Index::keeps(&entry.path)
    {
        content.take(CONTENT_MAX).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

fn size_of_attributes(entry: &Entry) -> usize {
    entry.meta.xattrs.iter().map(|(name, value)| name.len() + value.len()).sum()
}

/// Layers that nobody reads yet, and where what is in them goes.
struct Queue<'a>(Mutex<VecDeque<(&'a ImageLayer, SyncSender<Batch>)>>);

/// A layer that is read now.
struct Turn<'a> {
    layer: &'a ImageLayer,
    lock: MutexGuard<'a, Local>,
    to: SyncSender<Batch>,
}

impl<'a> Queue<'a> {
    /// Where an image has a layer twice, its first place gets the lock first: the second could wait for
    /// its turn with it. So others wait too while somebody else fetches a layer, which is rare.
    fn next(&self) -> Option<Turn<'a>> {
        let mut waiting = self.lock();
        let (layer, to) = waiting.pop_front()?;
        Some(Turn { layer, lock: layer.lock(), to })
    }

    /// Nothing comes of the others: who waits for them shall not wait for ever.
    fn close(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(&'a ImageLayer, SyncSender<Batch>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Entries that another thread has read.
struct Received {
    batches: Receiver<Batch>,
    current: vec::IntoIter<(Entry, Vec<u8>)>,
}

impl Entries for Received {
    fn next_entry(&mut self) -> io::Result<Option<(Entry, Box<dyn Read + '_>)>> {
        loop {
            if let Some((entry, content)) = self.current.next() {
                return Ok(Some((entry, Box::new(Cursor::new(content)))));
            }
            match self.batches.recv() {
                Ok(batch) => self.current = batch.into_iter(),
                Err(_) => return Ok(None),
            }
        }
    }
}
