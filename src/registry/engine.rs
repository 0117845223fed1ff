//! The asynchronous inside: a runtime that belongs to one client and those made of it, and waits that
//! lose to a cancellation.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::error::RegistryError;
use crate::cancel::{Cancel, Cancelled};

/// Requests wait more than they compute; TLS is what these threads do.
const THREADS: usize = 2;
/// How long a registry may take to forget something.
const TIDYING: Duration = Duration::from_secs(3);

/// Runs futures for blocking callers.
pub(super) struct Engine {
    threads: Arc<Threads>,
    stop: Stop,
}

/// What the futures run on.
struct Threads {
    /// Taken when dropped.
    runtime: Option<Runtime>,
    /// What leaves things tidy while others go on.
    tidying: Mutex<Vec<JoinHandle<()>>>,
}

/// Tells when the build was cancelled.
#[derive(Debug, Clone)]
pub(super) struct Stop(watch::Receiver<bool>);

impl Engine {
    pub(super) fn new(cancel: &Cancel) -> Result<Self, RegistryError> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("registry")
            .enable_all()
            .build()
            .map_err(|error| RegistryError::Start(error.to_string()))?;
        let threads = Arc::new(Threads { runtime: Some(runtime), tidying: Mutex::default() });
        Ok(Self { threads, stop: Stop::of(cancel) })
    }

    /// The same threads, with waits that end with another cancellation.
    pub(super) fn stopped_by(&self, cancel: &Cancel) -> Self {
        Self { threads: self.threads.clone(), stop: Stop::of(cancel) }
    }

    /// Runs a future to its end, or to the cancellation, in the caller's thread.
    pub(super) fn block_on<T>(
        &self,
        future: impl Future<Output = Result<T, RegistryError>>,
    ) -> Result<T, RegistryError> {
        match &self.threads.runtime {
            Some(runtime) => runtime.block_on(self.stop.or(future)),
            None => Err(Cancelled.into()),
        }
    }

    /// Runs a future beside the caller. It ends with the cancellation, too.
    pub(super) fn spawn<T: Send + 'static>(
        &self,
        future: impl Future<Output = Result<T, RegistryError>> + Send + 'static,
    ) -> Result<JoinHandle<Result<T, RegistryError>>, RegistryError> {
        let stop = self.stop.clone();
        match &self.threads.runtime {
            Some(runtime) => Ok(runtime.spawn(async move { stop.or(future).await })),
            None => Err(Cancelled.into()),
        }
    }

    /// Runs a future that is not given up at once when the build is cancelled: what it makes at the
    /// registry could not be taken back without its answer.
    pub(super) fn finish<T>(
        &self,
        future: impl Future<Output = Result<T, RegistryError>>,
    ) -> Result<T, RegistryError> {
        let Some(runtime) = &self.threads.runtime else { return Err(Cancelled.into()) };
        let too_late = async {
            let forever = std::future::pending::<Result<(), RegistryError>>();
            let _ = self.stop.or(forever).await;
            tokio::time::sleep(TIDYING).await;
        };
        runtime.block_on(async {
            tokio::select! {
                biased;
                result = future => result,
                () = too_late => Err(Cancelled.into()),
            }
        })
    }

    /// Runs a future that leaves things tidy, even after the cancellation, but not for long: what
    /// it does not achieve is the registry's to clean up.
    pub(super) fn tidy<T>(&self, future: impl Future<Output = Result<T, RegistryError>>) {
        if let Some(runtime) = &self.threads.runtime {
            let _ = runtime.block_on(async { tokio::time::timeout(TIDYING, future).await });
        }
    }

    /// The same, while the caller goes on. [`Self::settle`] waits for it, or the end of the threads.
    pub(super) fn tidy_later<T: Send>(
        &self,
        future: impl Future<Output = Result<T, RegistryError>> + Send + 'static,
    ) {
        let Some(runtime) = &self.threads.runtime else { return };
        let work = runtime.spawn(async { drop(tokio::time::timeout(TIDYING, future).await) });
        self.threads.tidying().push(work);
    }

    /// Waits until all is tidy.
    pub(super) fn settle(&self) {
        self.threads.settle();
    }

    /// For threads that wait inside of a call.
    pub(super) fn handle(&self) -> Result<Handle, RegistryError> {
        self.threads
            .runtime
            .as_ref()
            .map(|runtime| runtime.handle().clone())
            .ok_or(Cancelled.into())
    }

    /// For tasks that do something else when cancelled.
    pub(super) fn stop(&self) -> Stop {
        self.stop.clone()
    }
}

impl Stop {
    fn of(cancel: &Cancel) -> Self {
        let (sender, receiver) = watch::channel(false);
        cancel.on_cancel(move || {
            sender.send_replace(true);
        });
        Self(receiver)
    }

    /// The future's result, or `Cancelled`, whichever comes first.
    pub(super) async fn or<T>(
        &self,
        future: impl Future<Output = Result<T, RegistryError>>,
    ) -> Result<T, RegistryError> {
        let mut receiver = self.0.clone();
        let cancelled = async move {
            if receiver.wait_for(|cancelled| *cancelled).await.is_err() {
                // The flag is gone, so nobody can set it any more.
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            biased;
            () = cancelled => Err(Cancelled.into()),
            result = future => result,
        }
    }
}

impl Threads {
    fn tidying(&self) -> MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.tidying.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn settle(&self) {
        let work = std::mem::take(&mut *self.tidying());
        // Its own threads cannot wait for themselves.
        if let Some(runtime) = self.runtime.as_ref().filter(|_| Handle::try_current().is_err()) {
            runtime.block_on(async {
                for work in work {
                    _ = work.await;
                }
            });
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.settle();
        // Dropping a runtime waits for its blocking threads, which may sit in a read.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
}
