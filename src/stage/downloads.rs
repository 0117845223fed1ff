//! What a build fetches from elsewhere: each thing once, while other steps run.

use std::collections::{BTreeMap, VecDeque};
use std::error::Error;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use anyhow::{Context as _, Result, anyhow};

use crate::cancel::{Cancel, Cancelled};
use crate::event::Reporter;
use crate::remote::{Fetched, Fetcher, Source};

/// Things that are fetched at the same time.
const AT_ONCE: usize = 4;

/// Fetches in the background, into directories of its own.
#[derive(Debug)]
pub struct Downloads {
    fetcher: Fetcher,
    dir: PathBuf,
    reporter: Reporter,
    cancel: Cancel,
    state: Mutex<State>,
    changed: Condvar,
    running: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Debug, Default)]
struct State {
    things: BTreeMap<Source, Thing>,
    waiting: VecDeque<Source>,
    /// Directories that were made.
    count: usize,
}

#[derive(Debug)]
enum Thing {
    /// Somebody fetches it.
    OnItsWay,
    There(Arc<Fetched>),
    /// Why not; everybody who waits for it hears of it.
    Failed(Arc<anyhow::Error>),
}

/// The failure of a download that several wait for.
#[derive(Debug)]
struct Unfetched(Arc<anyhow::Error>);

impl fmt::Display for Unfetched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for Unfetched {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

impl Downloads {
    /// Fetches into new directories of this one.
    pub fn new(fetcher: Fetcher, dir: &Path, reporter: Reporter, cancel: Cancel) -> Arc<Self> {
        Arc::new(Self {
            fetcher,
            dir: dir.to_owned(),
            reporter,
            cancel,
            state: Mutex::default(),
            changed: Condvar::new(),
            running: Mutex::default(),
        })
    }

    /// Begins to fetch these. What goes wrong is told to who asks for it.
    pub fn begin(self: &Arc<Self>, sources: &[&Source]) {
        self.lock().waiting.extend(sources.iter().map(|&source| source.clone()));
        for _ in 0..sources.len().min(AT_ONCE) {
            let own = self.clone();
            let work = move || {
                while let Some(source) = own.next() {
                    own.fetch(&source);
                }
            };
            let thread = thread::spawn(work);
            self.running.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
        }
    }

    /// What was fetched; waits for it, or fetches it.
    pub fn get(&self, source: &Source) -> Result<Arc<Fetched>> {
        let mut state = self.lock();
        if !state.things.contains_key(source) {
            state.things.insert(source.clone(), Thing::OnItsWay);
            drop(state);
            self.fetch(source);
            state = self.lock();
        }
        let on_its_way =
            |state: &mut State| matches!(state.things.get(source), Some(Thing::OnItsWay));
        let state =
            self.changed.wait_while(state, on_its_way).unwrap_or_else(PoisonError::into_inner);
        match state.things.get(source) {
            Some(Thing::There(fetched)) => Ok(fetched.clone()),
            Some(Thing::Failed(error)) if Cancelled::caused(error.as_ref().as_ref()) => {
                Err(Cancelled.into())
            }
            Some(Thing::Failed(error)) => Err(Unfetched(error.clone()).into()),
            Some(Thing::OnItsWay) | None => Err(anyhow!("a download ended abnormally")),
        }
    }

    /// Waits until nothing is fetched any more.
    pub fn wait(&self) {
        let running =
            std::mem::take(&mut *self.running.lock().unwrap_or_else(PoisonError::into_inner));
        running.into_iter().for_each(|thread| _ = thread.join());
    }

    /// The next thing that nobody fetches yet.
    fn next(&self) -> Option<Source> {
        let mut state = self.lock();
        if self.cancel.is_cancelled() {
            return None;
        }
        loop {
            let source = state.waiting.pop_front()?;
            if !state.things.contains_key(&source) {
                state.things.insert(source.clone(), Thing::OnItsWay);
                return Some(source);
            }
        }
    }

    fn fetch(&self, source: &Source) {
        let thing = match self.fetch_now(source) {
            Ok(fetched) => Thing::There(Arc::new(fetched)),
            Err(error) => Thing::Failed(Arc::new(error)),
        };
        self.lock().things.insert(source.clone(), thing);
        self.changed.notify_all();
    }

    fn fetch_now(&self, source: &Source) -> Result<Fetched> {
        self.cancel.check()?;
        let number = {
            let mut state = self.lock();
            state.count += 1;
            state.count
        };
        let dir = self.dir.join(format!("remote-{number}"));
        std::fs::create_dir(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        let task = self.reporter.start(&format!("fetch {source}"));
        let fetched =
            self.fetcher.fetch(source, &dir, &|done, total| task.progress(done, total))?;
        fetched.notes.iter().for_each(|note| self.reporter.warning(note));
        task.done();
        Ok(fetched)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
