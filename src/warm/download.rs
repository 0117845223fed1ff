//! Downloads the blobs of one image.

use std::fs::File;
use std::io::{Read, Write as _};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Context as _, Result, anyhow};

use crate::base_cache::Draft;
use crate::cancel::Cancel;
use crate::event::Reporter;
use crate::image::Descriptor;
use crate::registry::{Client, Resolved};

/// Layers on their way at the same time.
const AT_ONCE: usize = 4;
const BUFFER: usize = 256 * 1024;

/// Brings an image's config and layers into a draft, checked.
pub(super) fn download(
    client: &Client,
    image: &Resolved,
    draft: &Draft<'_>,
    reporter: &Reporter,
    cancel: &Cancel,
) -> Result<()> {
    let config = draft.blob(&image.manifest.config.digest);
    std::fs::write(&config, &image.config_bytes)
        .with_context(|| format!("cannot write {}", config.display()))?;
    let layers = &image.manifest.layers;
    let next = AtomicUsize::new(0);
    let one = |layer: &Descriptor| -> Result<()> {
        let name = format!("pull {} from {}", layer.digest.short(), image.repository);
        let task = reporter.start(&name);
        let reader = client.open_blob(&image.repository, layer)?;
        let path = draft.blob(&layer.digest);
        let file = File::create(&path);
        let file = file.with_context(|| format!("cannot make {}", path.display()))?;
        copy(reader, file, cancel, |done| task.progress(done, Some(layer.size)))
            .with_context(|| format!("cannot store a layer of {}", image.repository))?;
        task.done();
        Ok(())
    };
    let worker = || -> Result<()> {
        while let Some(layer) = layers.get(next.fetch_add(1, Ordering::Relaxed)) {
            one(layer).inspect_err(|_| next.store(layers.len(), Ordering::Relaxed))?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..layers.len().min(AT_ONCE)).map(|_| scope.spawn(worker)).collect();
        threads.into_iter().try_for_each(|thread| {
            thread.join().map_err(|_| anyhow!("a download ended abnormally"))?
        })
    })
}

/// The reader checks length and digest before it ends.
fn copy(
    mut reader: impl Read,
    mut file: File,
    cancel: &Cancel,
    progress: impl Fn(u64),
) -> Result<()> {
    let mut buffer = vec![0; BUFFER];
    let mut done = 0;
    loop {
        cancel.check()?;
        let count = reader.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        file.write_all(&buffer[..count])?;
        done += count as u64;
        progress(done);
    }
}
