//! A RUN in the container's own `/`: for root without CAP_SYS_CHROOT, or where no system call filter
//! can be installed. Only inside kiln's own image, where nothing but kiln is in the way.
//!
//! What is in `/` is moved aside, the image of a stage moves in, and afterwards all comes back. Mount
//! points stay where they are, and so do kiln's own directory, the shell's and the project's. There is
//! one `/`, so stages follow one another, and a second kiln in the same container waits.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{FlockOperation, flock};
use rustix::process::geteuid;
use rustix::thread::CapabilitySet;

use super::brought::{Brought, Notes, Site};
use super::error::{During, SandboxError};
use super::mount_table::mounts;
use super::request::{Network, RunReport, RunRequest};
use super::spec::{RootSpec, Spec};
use super::{capability, launch};
use crate::cancel::Cancel;
use crate::event::Stream;
use crate::rootfs::Root;
use crate::rootfs::vacate::{Kept, Vacated, bring_back, clear, vacate};

/// The directory of kiln's own image that is kiln's own.
pub const HOME: &str = "/kaniko";

/// Its presence says that this is kiln's own image, which nobody else lives in.
const MARK: &str = "/kaniko/image";

/// Where what was in `/` waits. If it is there at the start, an earlier build was killed.
const ASIDE: &str = "/kaniko/aside";

/// What stayed where it was, for the build after one that was killed: a JSON list of paths.
const STAYED: &str = "/kaniko/root.stayed";

/// Locked by whoever has `/`.
const LOCK: &str = "/kaniko/root.lock";

/// Where what a mount of a RUN covers waits.
const COVERED: &str = "/kaniko/covered";

/// What the mounts of a RUN have brought into `/`, for the build after one that was killed.
const BROUGHT: &str = "/kaniko/root.mounts";

/// What stays besides mount points, relative to `/`: kiln itself with its name in PATH, and the shell
/// of the job that waits for it.
const STAYS: [&str; 3] = ["kaniko", "usr/local/bin/kiln", "busybox"];

/// The right to run commands in `/`. Clones are the same.
#[derive(Debug, Clone)]
pub struct Inplace(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    program: File,
    /// Paths that the caller needs where they are, absolute.
    needed: Mutex<Vec<PathBuf>>,
    state: Mutex<Option<Taken>>,
}

/// `/` while it is not the container's.
#[derive(Debug)]
struct Taken {
    root: Root,
    aside: Root,
    kept: Kept,
    vacated: Vacated,
    _lock: File,
}

impl Inplace {
    /// For a process that [`possible`] has found able.
    pub(super) fn new() -> Result<Self, SandboxError> {
        let program = File::open("/proc/self/exe").during("open kiln's own program")?;
        Ok(Self(Arc::new(Inner { program, needed: Mutex::default(), state: Mutex::default() })))
    }

    /// Says that what is at these paths must stay where it is. Before [`Inplace::take`].
    pub fn keep(&self, paths: impl IntoIterator<Item = PathBuf>) {
        self.0.needed.lock().unwrap_or_else(PoisonError::into_inner).extend(paths);
    }

    /// Empties `/` for the next stage, but for what stays. The first time, what is there is moved
    /// aside. Waits for another kiln that has it.
    pub fn take(&self, cancel: &Cancel) -> Result<Kept, SandboxError> {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(taken) = &*state {
            clear(&taken.root, &taken.kept).during("empty `/` for the next stage")?;
            return Ok(taken.kept.clone());
        }
        let needed = self.0.needed.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = Taken::take(&needed, cancel)?;
        let kept = taken.kept.clone();
        *state = Some(taken);
        Ok(kept)
    }

    /// Gives `/` back to the container. Nothing happens where it was not taken.
    pub fn give_back(&self) -> Result<(), SandboxError> {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.take().map_or(Ok(()), |taken| taken.give_back())
    }

    /// Runs a command in `/`, and passes its output on as it comes; stays until it, and all that it
    /// has started, has ended.
    pub fn run(
        &self,
        request: &RunRequest,
        output: &(dyn Fn(Stream, &[u8]) + Sync),
        cancel: &Cancel,
    ) -> Result<RunReport, SandboxError> {
        if request.network == Network::None {
            return Err(SandboxError::Request(
                "`--network=none` takes a network namespace, which isolation `inplace` has not"
                    .into(),
            ));
        }
        let spec = Spec::new(request, RootSpec::Here, false)?;
        std::fs::create_dir_all(COVERED).during(format!("make {COVERED}"))?;
        let kept = self.kept();
        let site = Site {
            root: Path::new("/"),
            aside: Path::new(COVERED),
            allowed: &|path, is_there| may_be_covered(&kept, path, is_there),
            notes: Some(&Notes::at(BROUGHT)),
            single_id: false,
        };
        let brought = Brought::bring(&site, &request.mounts, cancel)?;
        let report = launch::run(&self.0.program, &spec, output, cancel);
        let taken_out = brought.take_out();
        let report = report?;
        taken_out?;
        Ok(report)
    }

    fn kept(&self) -> Kept {
        let state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.as_ref().map_or_else(Kept::default, |taken| taken.kept.clone())
    }
}

/// Whether a mount may cover a path, relative to `/`: not what the container needs, nor what is
/// somebody's, which a kiln that is killed could not bring back.
fn may_be_covered(kept: &Kept, path: &Path, is_there: bool) -> std::io::Result<()> {
    let above = kept.whole().iter().chain(kept.standing()).any(|kept| kept.starts_with(path));
    if above || path.starts_with(STAYS[0]) || (is_there && kept.has(path)) {
        return Err(std::io::Error::other(
            "the container has something there that stays where it is while kiln builds in its \
             `/`: use another target, or another isolation",
        ));
    }
    Ok(())
}

impl Drop for Inner {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        // Only after an error that is told already.
        state.take().map(|taken| taken.give_back().ok());
    }
}

impl Taken {
    fn take(needed: &[PathBuf], cancel: &Cancel) -> Result<Self, SandboxError> {
        let lock = lock(cancel)?;
        let root = open("/")?;
        restore(&root)?;
        let kept = kept(needed)?;
        note_kept(&kept)?;
        std::fs::create_dir(ASIDE).during(format!("make {ASIDE}"))?;
        let aside = open(ASIDE)?;
        let vacated = vacate(&root, &aside, &kept).during("move aside what is in `/`")?;
        Ok(Self { root, aside, kept, vacated, _lock: lock })
    }

    fn give_back(&self) -> Result<(), SandboxError> {
        clear(&self.root, &self.kept).during("empty `/` of the last stage")?;
        bring_back(&self.aside, &self.root, &self.kept, &self.vacated)
            .during("bring back what was in `/`")?;
        remove_aside(&self.root)
    }
}

fn open(path: &str) -> Result<Root, SandboxError> {
    Root::open(Path::new(path)).map_err(std::io::Error::from).during(format!("open {path}"))
}

/// Brings back what a killed build had moved out of `/`, if there was one, before anybody looks for a
/// file there. Waits for a build that has `/` now; `waits` is called before that.
pub fn restore_leftover(waits: impl FnOnce()) -> Result<(), SandboxError> {
    if !Path::new(MARK).exists() || !Path::new(ASIDE).exists() {
        return Ok(());
    }
    let file = File::create(LOCK).during(format!("make {LOCK}"))?;
    if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        waits();
        flock(&file, FlockOperation::LockExclusive).during(format!("lock {LOCK}"))?;
    }
    restore(&open("/")?)
}

fn restore(root: &Root) -> Result<(), SandboxError> {
    if !Path::new(ASIDE).exists() {
        return Ok(());
    }
    let aside = open(ASIDE)?;
    Notes::at(BROUGHT)
        .undo(Path::new("/"))
        .during("take out what a killed build had brought in to mount")?;
    let kept = kept_then()?;
    clear(root, &kept).during("empty `/` of what a killed build left")?;
    bring_back(&aside, root, &kept, &Vacated::default())
        .during("bring back what a killed build had moved out of `/`")?;
    remove_aside(root)
}

fn note_kept(kept: &Kept) -> Result<(), SandboxError> {
    let text = serde_json::to_vec(&(kept.whole(), kept.standing())).during("list what stays")?;
    std::fs::write(STAYED, text).during(format!("write {STAYED}"))
}

/// What stayed for the build that was killed, and what must never go.
fn kept_then() -> Result<Kept, SandboxError> {
    let text = std::fs::read(STAYED).during(format!("read {STAYED}"))?;
    let (whole, standing): (Vec<PathBuf>, Vec<PathBuf>) =
        serde_json::from_slice(&text).during(format!("read {STAYED}"))?;
    let now = kept(&[])?;
    Ok(Kept::new(
        whole.into_iter().chain(now.whole().iter().cloned()),
        standing.into_iter().chain(now.standing().iter().cloned()),
    ))
}

fn remove_aside(root: &Root) -> Result<(), SandboxError> {
    let aside = Path::new(ASIDE.trim_start_matches('/'));
    root.remove_tree(aside).during(format!("remove {ASIDE}"))?;
    let covered = Path::new(COVERED.trim_start_matches('/'));
    root.remove_tree(covered).during(format!("remove {COVERED}"))?;
    // Last: without it, what is aside could not be brought back.
    std::fs::remove_file(STAYED).during(format!("remove {STAYED}"))
}

/// Waits until no other kiln in this container has `/`.
fn lock(cancel: &Cancel) -> Result<File, SandboxError> {
    let file = File::create(LOCK).during(format!("make {LOCK}"))?;
    loop {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(file),
            Err(rustix::io::Errno::WOULDBLOCK) => {
                cancel.check()?;
                std::thread::sleep(std::time::Duration::from_millis(100));
            }
            Err(errno) => return Err(errno).during(format!("lock {LOCK}")),
        }
    }
}

/// What stays: mount points, kiln's own and what the caller needs.
fn kept(needed: &[PathBuf]) -> Result<Kept, SandboxError> {
    let table = std::fs::read("/proc/self/mountinfo").during("read /proc/self/mountinfo")?;
    let points = mounts(&table).into_iter().map(|mount| mount.point);
    let points = points.filter(|path| path != Path::new("/"));
    let all = points.chain(needed.iter().cloned());
    // By their real paths: a link on the way is not what has to stay.
    let real = all.map(|path| path.canonicalize().unwrap_or(path));
    let below = |path: PathBuf| path.strip_prefix("/").map(Path::to_owned).ok();
    let mut standing = working_directories().during("look at the container's processes")?;
    standing.push(STANDS.into());
    let whole = real.filter_map(below).chain(STAYS.map(PathBuf::from));
    Ok(Kept::new(whole, standing.into_iter().filter_map(below)))
}

/// Where the processes of the container work, among them the shell that waits for kiln: a directory
/// that is moved and comes back as a copy would be another one to them.
fn working_directories() -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        // Those of other users cannot be looked at.
        found.extend(std::fs::read_link(entry?.path().join("cwd")).ok());
    }
    Ok(found)
}

/// The directory in which processes start in kiln's own image: whoever joins the container while a
/// build runs has to find it.
const STANDS: &str = "/workspace";

/// What root needs for it (kaniko needs the same; GoogleContainerTools/kaniko#778).
const NEEDED: [(CapabilitySet, &str); 5] = [
    (CapabilitySet::CHOWN, "CAP_CHOWN"),
    (CapabilitySet::DAC_OVERRIDE, "CAP_DAC_OVERRIDE"),
    (CapabilitySet::FOWNER, "CAP_FOWNER"),
    (CapabilitySet::SETUID, "CAP_SETUID"),
    (CapabilitySet::SETGID, "CAP_SETGID"),
];

/// Whether commands can be run so, or what is missing, as a sentence.
pub(super) fn possible() -> Result<(), String> {
    if !Path::new(MARK).exists() {
        return Err("this is not kiln's own image, and `/` is only taken over in there".to_owned());
    }
    if !geteuid().is_root() {
        return Err("kiln does not run as root".to_owned());
    }
    let missing = capability::missing(&NEEDED);
    if !missing.is_empty() {
        return Err(format!("kiln does not have {}", missing.join(", ")));
    }
    // Whether files can be made there, without leaving one.
    tempfile::tempfile_in("/")
        .map(drop)
        .map_err(|error| format!("`/` cannot be written to: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_covers_nothing_of_the_containers() {
        let path = |text: &str| PathBuf::from(text);
        let whole = ["kaniko", "builds", "dev", "etc/hosts", "usr/local/bin/kiln"].map(path);
        let kept = Kept::new(whole, [path("workspace")]);
        let allowed =
            |text: &str, is_there| may_be_covered(&kept, Path::new(text), is_there).is_ok();
        for refused in ["builds", "usr/local", "etc", "kaniko/x", "workspace", "builds/project/x"] {
            assert!(!allowed(refused, true), "{refused}");
        }
        assert!(!allowed("kaniko/x", false));
        // What is new there is removed again, also after a build that was killed.
        assert!(allowed("dev/pipes/EOF", false) && allowed("builds/project/new", false));
        assert!(allowed("root/.cache", true) && allowed("etc/conf", true));
    }

    #[test]
    fn a_machine_that_is_somebodys_is_left_alone() {
        assert!(possible().is_err_and(|reason| reason.contains("own image")));
    }
}
