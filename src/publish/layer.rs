//! One layer to one repository.

use anyhow::{Context as _, Result};

use super::destination::{Destination, PushFailed};
use crate::event::Task;
use crate::registry::{Body, Chance, Pushed, Repository, Unfinished};
use crate::stage::{ImageLayer, Origin, Workshop};

/// How a layer may come to a destination.
pub(super) struct Way<'a> {
    /// A repository of the same registry that has got it.
    pub(super) sibling: Option<&'a Repository>,
    /// Whether there are other destinations.
    pub(super) several: bool,
    /// Whether it may be there.
    pub(super) chance: Chance,
    /// What is there of it.
    pub(super) begun: Option<Box<Unfinished>>,
    /// If it was shown before.
    pub(super) task: Option<Task>,
}

/// Sends a layer, from wherever its bytes are.
pub(super) fn send_layer(
    shop: &Workshop,
    layer: &ImageLayer,
    destination: &Destination,
    way: Way<'_>,
) -> Result<()> {
    let Way { sibling, several, chance, begun, task: shown } = way;
    shop.cancel.check()?;
    let descriptor = &layer.descriptor;
    let Destination { repository: to, pusher, .. } = destination;
    let task = shown.unwrap_or_else(|| task(shop, layer, to));
    let progress = |done: u64| task.progress(done, Some(descriptor.size));
    let path = shop.blobs.path(&descriptor.digest);
    let fetch = || shop.fetch(layer).map_err(std::io::Error::other);
    let (body, mount_from) = match &layer.origin {
        Origin::Built => (Body::File(&path), sibling),
        Origin::File(_) | Origin::Kept(_) => (Body::Later(&fetch), sibling),
        Origin::Base(from) => {
            let stored = layer.is_needed_here() || several;
            let body = if stored { Body::Later(&fetch) } else { Body::Remote(from) };
            let same_registry = from.registry == to.registry;
            (body, if same_registry { Some(from) } else { sibling })
        }
    };
    let pushed = match begun {
        Some(begun) => pusher.go_on(*begun, descriptor, body, &progress),
        None => pusher.push_blob(descriptor, body, mount_from, chance, &progress),
    };
    let pushed = pushed.inspect_err(|error| {
        if error.is_not_found() && layer.origin != Origin::Built {
            layer.note_lost();
        }
    });
    let pushed = pushed.with_context(|| {
        PushFailed::Broken(format!("layer {} to {to}", descriptor.digest.short()))
    })?;
    close(task, pushed);
    Ok(())
}

/// The task of sending a layer, as it is shown.
pub(super) fn task(shop: &Workshop, layer: &ImageLayer, to: &Repository) -> Task {
    shop.reporter.start(&format!("push layer {} to {to}", layer.descriptor.digest.short()))
}

/// Says what came of it.
pub(super) fn close(task: Task, pushed: Pushed) {
    match pushed {
        Pushed::Exists => task.skipped("already there"),
        Pushed::Mounted => task.skipped("mounted"),
        Pushed::Uploaded => task.done(),
    }
}
