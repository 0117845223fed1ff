//! A layer's way to a registry before it is complete.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use super::destination::Destination;
use super::layer;
use super::slots::Slots;
use crate::event::Task;
use crate::layer::Growing;
use crate::registry::{Pusher, Sent, Unfinished};
use crate::stage::{ImageLayer, Workshop};

/// A layer that grows, and its way to each registry.
#[derive(Debug)]
pub(super) struct Ahead {
    pub(super) growing: Growing,
    pub(super) groups: Vec<Headstart>,
}

/// Its way to one. Dropped, it waits for the end, which comes soon where the layer comes to nothing.
#[derive(Debug)]
pub(super) struct Headstart {
    upload: Option<JoinHandle<Sent>>,
    shown: Arc<Shown>,
}

/// What has come of it.
#[derive(Debug)]
pub(super) enum End {
    /// The layer is there.
    Arrived,
    /// It is to be sent as any other, or to be completed; the task is still open.
    Broken(Option<Box<Unfinished>>, Option<Task>),
}

/// What others see of it, and it of them. In the log nothing before the layer has a name.
#[derive(Debug, Default)]
struct Shown {
    task: Mutex<Option<(Task, u64)>>,
    sent: AtomicU64,
    is_unwanted: AtomicBool,
}

impl Headstart {
    /// Begins; nothing is sent before there is a place.
    pub(super) fn begin(pusher: &Pusher, growing: &Growing, places: &Arc<Slots>) -> Self {
        let shown = Arc::<Shown>::default();
        let (pusher, growing, places) = (pusher.clone(), growing.clone(), places.clone());
        let own = shown.clone();
        let upload = thread::Builder::new().name("upload".to_owned()).spawn(move || {
            let _place = places.take();
            let is_wanted = || !own.is_unwanted.load(Ordering::Relaxed);
            pusher.push_growing(&growing, &is_wanted, &|sent| own.progress(sent))
        });
        // Without a thread it is sent when it is complete.
        Self { upload: upload.ok(), shown }
    }

    /// Ends it soon: the registry gets the same layer in another way.
    pub(super) fn stop(self) {
        self.shown.is_unwanted.store(true, Ordering::Relaxed);
    }

    /// Waits until it has arrived, or has not.
    pub(super) fn finish(mut self, shop: &Workshop, layer: &ImageLayer, to: &Destination) -> End {
        let Some(upload) = self.upload.take() else { return End::Broken(None, None) };
        self.shown.name(layer::task(shop, layer, &to.repository), layer.descriptor.size);
        let sent = upload.join();
        let task = self.shown.take();
        match (sent, task) {
            (Ok(Sent::There(digest, pushed)), Some(task)) if digest == layer.descriptor.digest => {
                layer::close(task, pushed);
                End::Arrived
            }
            (Ok(Sent::Part(unfinished)), task) => End::Broken(Some(unfinished), task),
            (_, task) => End::Broken(None, task),
        }
    }
}

impl Drop for Headstart {
    fn drop(&mut self) {
        if let Some(upload) = self.upload.take() {
            _ = upload.join();
        }
    }
}

impl Shown {
    fn progress(&self, sent: u64) {
        self.sent.store(sent, Ordering::Relaxed);
        if let Some((task, total)) = &*self.task.lock().unwrap_or_else(PoisonError::into_inner) {
            task.progress(sent, Some(*total));
        }
    }

    fn name(&self, task: Task, total: u64) {
        task.progress(self.sent.load(Ordering::Relaxed), Some(total));
        *self.task.lock().unwrap_or_else(PoisonError::into_inner) = Some((task, total));
    }

    fn take(&self) -> Option<Task> {
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        task.map(|(task, _)| task)
    }
}
