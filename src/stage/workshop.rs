//! What all stages of a build share: the registry client, the blobs, the sandbox, directories.

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::downloads::Downloads;
use super::mounts::{Caches, Shelf};
use super::named::NamedContexts;
use crate::base_cache::BaseCache;
use crate::cache::mounts::Travel;
use crate::cancel::Cancel;
use crate::context::Context;
use crate::event::Reporter;
use crate::layer::{BlobStore, LayerOptions, Timestamp};
use crate::registry::Client;
use crate::remote::Fetcher;
use crate::request::{NamedSource, Secret};
use crate::rootfs::Root;
use crate::sandbox::{Network, Sandbox, Ulimit};

/// Mode of `/` in an image that does not say.
const ROOT_MODE: u32 = 0o755;

/// The Dockerfile, for errors that point into it.
#[derive(Debug, Clone)]
pub struct Place {
    /// As the user named it.
    pub path: String,
    /// Its text.
    pub text: Arc<str>,
}

/// What all stages share: the caller's [`Tools`], and the directories of one build.
#[derive(Debug)]
pub struct Workshop {
    tools: Tools,
    /// Blobs that are on this machine.
    pub blobs: BlobStore,
    /// Unpacked layers and overlay directories, with short names: the lower directories of an
    /// overlay mount have to fit in one page together.
    pub layers_dir: PathBuf,
    /// Mount points, partial extracts, spooled archives.
    pub scratch_dir: PathBuf,
    /// What is fetched from elsewhere.
    pub downloads: Arc<Downloads>,
    pub(super) named: NamedContexts,
    /// Directories for the mounts of commands.
    pub(super) shelf: Shelf,
    /// `RUN --mount=type=cache`.
    pub(super) caches: Caches,
    counter: AtomicUsize,
    times: Mutex<Vec<(String, Duration)>>,
}

impl std::ops::Deref for Workshop {
    type Target = Tools;

    fn deref(&self) -> &Tools {
        &self.tools
    }
}

/// The parts of a [`Workshop`] that a caller chooses.
#[derive(Debug)]
pub struct Tools {
    /// Fetches blobs.
    pub client: Client,
    /// Has some of them already.
    pub bases: BaseCache,
    /// How layers are written.
    pub layer_options: LayerOptions,
    /// What runs a RUN.
    pub sandbox: Sandbox,
    /// Fetches files and repositories.
    pub fetcher: Fetcher,
    /// `--build-context`: those that are no images.
    pub named_sources: BTreeMap<String, NamedSource>,
    /// Files of the build.
    pub context: Context,
    /// Hears of progress.
    pub reporter: Reporter,
    /// Stops everything.
    pub cancel: Cancel,
    /// Where errors point to.
    pub place: Place,
    /// Time of objects that the build makes.
    pub now: Timestamp,
    /// The same, RFC 3339.
    pub created: String,
    /// `--add-host`.
    pub hosts: Vec<(String, String)>,
    /// Size of /dev/shm in bytes.
    pub shm_size: u64,
    /// What else commands get.
    pub commands: Commands,
    /// Lets the caches of commands travel.
    pub travel: Option<Arc<Travel>>,
    /// What a RUN changes at or below these absolute paths of the image is not in its layer.
    pub ignore_paths: Vec<PathBuf>,
}

/// What the commands of a build get beside what the Dockerfile says.
#[derive(Debug)]
pub struct Commands {
    /// Secrets, by id.
    pub secrets: BTreeMap<String, Secret>,
    /// Sockets of SSH agents, by id.
    pub agents: BTreeMap<String, PathBuf>,
    /// Limits of their resources.
    pub ulimits: Vec<Ulimit>,
    /// The network of those that do not say.
    pub network: Network,
    /// Where caches are that outlive the build.
    pub cache_dir: Option<PathBuf>,
}

impl Workshop {
    /// Furnishes an empty directory.
    pub fn open(dir: &Path, tools: Tools) -> Result<Self> {
        let make = |name: &str| -> Result<PathBuf> {
            let path = dir.join(name);
            std::fs::create_dir(&path)
                .with_context(|| format!("cannot make the directory {}", path.display()))?;
            Ok(path)
        };
        let caches = tools.commands.cache_dir.clone().unwrap_or_else(|| dir.join("caches"));
        let scratch_dir = make("scratch")?;
        let downloads = Downloads::new(
            tools.fetcher.clone(),
            &scratch_dir,
            tools.reporter.clone(),
            tools.cancel.clone(),
        );
        Ok(Self {
            tools,
            downloads,
            named: NamedContexts::default(),
            shelf: Shelf::default(),
            caches: Caches::at(caches),
            blobs: BlobStore::create(&dir.join("blobs"))?,
            layers_dir: make("l")?,
            scratch_dir,
            counter: AtomicUsize::new(0),
            times: Mutex::default(),
        })
    }

    /// Notes how long a step took.
    pub fn record_time(&self, step: &str, time: Duration) {
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        times.push((step.to_owned(), time));
    }

    /// The steps and how long each took, in the order in which they ended.
    pub fn take_times(&self) -> Vec<(String, Duration)> {
        std::mem::take(&mut *self.times.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes a new directory for an unpacked or upper layer; the answer is its name. It is what a
    /// RUN sees as `/` unless the layer says otherwise, so its mode is not left to kiln's umask.
    pub fn new_layer_dir(&self) -> Result<String> {
        let name = self.counter.fetch_add(1, Ordering::Relaxed).to_string();
        let path = self.layers_dir.join(&name);
        let made = std::fs::create_dir(&path)
            .and_then(|()| std::fs::set_permissions(&path, Permissions::from_mode(ROOT_MODE)));
        super::doing(made, || format!("cannot make {}", path.display()))?;
        Ok(name)
    }

    /// Opens a directory that holds files of an image, with the owners that the image gives them.
    pub(super) fn open_root(&self, path: &Path) -> Result<Root> {
        Ok(Root::open(path)?.with_owners(self.ownership()))
    }

    /// Removes what was unpacked, once no stage needs it: while layers are still on their way, nobody
    /// waits for it. What cannot be removed stays for whoever removes the work directory.
    pub fn remove_unpacked(&self) {
        if let (Some(parent), Some(name)) = (self.layers_dir.parent(), self.layers_dir.file_name())
        {
            _ = Root::open(parent).and_then(|root| root.remove_tree(Path::new(name)));
        }
    }

    /// Makes a new directory for something short-lived.
    pub fn new_scratch_dir(&self) -> Result<PathBuf> {
        let name = self.counter.fetch_add(1, Ordering::Relaxed).to_string();
        let path = self.scratch_dir.join(name);
        super::doing(std::fs::create_dir(&path), || format!("cannot make {}", path.display()))?;
        Ok(path)
    }

    /// The same, for what a command may see: its mode is not left to kiln's umask.
    pub(super) fn new_readable_dir(&self) -> Result<PathBuf> {
        let path = self.new_scratch_dir()?;
        let set = std::fs::set_permissions(&path, Permissions::from_mode(ROOT_MODE));
        super::doing(set, || format!("cannot make {}", path.display()))?;
        Ok(path)
    }
}
