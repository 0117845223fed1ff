//! A control group for all that a peer starts: what these need together, however they are forked.
//!
//! Both versions are known: the first has a hierarchy for each controller, the second has one for
//! all. See <https://docs.kernel.org/admin-guide/cgroup-v2.html> and its `cgroup-v1` directory.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

/// Every group that is made here is named so, with the number of this process behind it.
const PREFIX: &str = "kiln-bench-";
/// How often memory is looked at.
const SAMPLE: Duration = Duration::from_millis(10);

/// Where the kernel shows its groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Hierarchy {
    /// Version 1: mount points of these two controllers.
    One { cpuacct: PathBuf, memory: PathBuf },
    /// Version 2.
    Two(PathBuf),
}

impl Hierarchy {
    /// What this machine has.
    ///
    /// # Errors
    /// If no version has both controllers.
    pub(crate) fn find() -> anyhow::Result<Self> {
        let mounts = fs::read_to_string("/proc/self/mounts")?;
        let found = Self::of(&mounts);
        let found = found.context("no control groups are mounted that count CPU and memory")?;
        if let Self::Two(root) = &found {
            let controllers = fs::read_to_string(root.join("cgroup.controllers"))?;
            let has = |name| controllers.split_whitespace().any(|other| other == name);
            anyhow::ensure!(has("memory"), "the control groups do not count memory");
        }
        Ok(found)
    }

    /// From the lines of /proc/self/mounts. Where both versions are mounted, the controllers are in
    /// the first.
    fn of(mounts: &str) -> Option<Self> {
        let fields = || mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
        let controller = |name: &str| {
            let mut lines = fields().filter(|line| line.get(2) == Some(&"cgroup"));
            let line = lines.find(|line| {
                line.get(3).is_some_and(|options| options.split(',').any(|option| option == name))
            });
            line.map(|line| PathBuf::from(line[1]))
        };
        if let (Some(cpuacct), Some(memory)) = (controller("cpuacct"), controller("memory")) {
            return Some(Self::One { cpuacct, memory });
        }
        let two = fields().find(|line| line.get(2) == Some(&"cgroup2"));
        two.map(|line| Self::Two(PathBuf::from(line[1])))
    }

    /// Directories in which groups of that name may lie.
    fn roots(&self) -> Vec<PathBuf> {
        match self {
            // A container runtime makes one for each controller.
            Self::One { cpuacct, .. } => {
                let all = cpuacct.parent().map(fs::read_dir);
                let all = all.into_iter().flatten().flatten().flatten();
                all.map(|entry| entry.path()).collect()
            }
            Self::Two(root) => vec![root.clone()],
        }
    }
}

/// One run's group. Dropped, all that is in it has been killed, and it is gone.
#[derive(Debug)]
pub(crate) struct Cgroup {
    name: String,
    hierarchy: Hierarchy,
}

impl Cgroup {
    /// # Errors
    /// If the kernel refuses it.
    pub(crate) fn new(hierarchy: &Hierarchy, number: usize) -> anyhow::Result<Self> {
        let name = format!("{PREFIX}{}-{number}", std::process::id());
        let group = Self { name, hierarchy: hierarchy.clone() };
        if let Hierarchy::Two(root) = hierarchy {
            // Those that are on already may be written again.
            fs::write(root.join("cgroup.subtree_control"), "+cpu +memory")
                .context("the controllers cpu and memory cannot be handed down")?;
        }
        for dir in group.entered() {
            fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        }
        Ok(group)
    }

    /// As runtimes take it: `/NAME`, below which containers have groups of their own.
    pub(crate) fn parent(&self) -> String {
        format!("/{}", self.name)
    }

    /// Whether runtimes have to be told not to ask systemd for groups.
    pub(crate) fn is_two(&self) -> bool {
        matches!(self.hierarchy, Hierarchy::Two(_))
    }

    /// Files that a process writes its number to, to be in the group with all that it starts.
    pub(crate) fn doors(&self) -> Vec<PathBuf> {
        self.entered().into_iter().map(|dir| dir.join("cgroup.procs")).collect()
    }

    /// The directories of those that are not in containers. In version 2 a group that has groups
    /// has no processes.
    fn entered(&self) -> Vec<PathBuf> {
        match &self.hierarchy {
            Hierarchy::One { cpuacct, memory } => {
                vec![cpuacct.join(&self.name), memory.join(&self.name)]
            }
            Hierarchy::Two(root) => vec![root.join(&self.name).join("self")],
        }
    }

    /// Seconds of all processors so far.
    ///
    /// # Errors
    /// If the kernel does not say.
    pub(crate) fn cpu(&self) -> anyhow::Result<f64> {
        match &self.hierarchy {
            Hierarchy::One { cpuacct, .. } => {
                let text = fs::read_to_string(cpuacct.join(&self.name).join("cpuacct.usage"))?;
                Ok(text.trim().parse::<f64>()? / 1e9)
            }
            Hierarchy::Two(root) => {
                let text = fs::read_to_string(root.join(&self.name).join("cpu.stat"))?;
                Ok(value(&text, "usage_usec").context("cpu.stat has no usage_usec")? as f64 / 1e6)
            }
        }
    }

    /// Begins to look at the memory.
    pub(crate) fn watch(&self) -> Watch {
        let (file, key) = match &self.hierarchy {
            Hierarchy::One { memory, .. } => (memory.join(&self.name), "total_rss"),
            Hierarchy::Two(root) => (root.join(&self.name), "anon"),
        };
        Watch::start(file.join("memory.stat"), key)
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        for root in self.hierarchy.roots() {
            remove(&root.join(&self.name));
        }
    }
}

/// The number behind a word of a file such as memory.stat.
fn value(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
    line.and_then(|number| number.trim().parse().ok())
}

/// Kills what is in a group and in those below it, and removes them.
fn remove(group: &Path) {
    for _ in 0..200 {
        if !group.exists() || remove_once(group) {
            return;
        }
        thread::sleep(SAMPLE);
    }
    eprintln!("the control group {} does not go away", group.display());
}

fn remove_once(group: &Path) -> bool {
    let below = fs::read_dir(group).into_iter().flatten().flatten();
    for entry in below.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        remove_once(&entry.path());
    }
    let inside = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    for pid in inside.lines().filter_map(|line| Pid::from_raw(line.parse().ok()?)) {
        let _ = kill_process(pid, Signal::KILL);
    }
    fs::remove_dir(group).is_ok()
}

/// Removes groups of a process that was ended before it could.
pub(crate) fn clear(hierarchy: &Hierarchy) {
    for root in hierarchy.roots() {
        for entry in fs::read_dir(root).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if left_behind(&name) {
                remove(&entry.path());
            }
        }
    }
}

/// Whether this is the name of something whose maker, a process of that number, is gone.
pub(crate) fn left_behind(name: &str) -> bool {
    let pid = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
    let pid = pid.and_then(|pid| Pid::from_raw(pid.parse().ok()?));
    pid.is_some_and(|pid| test_kill_process(pid).is_err())
}

/// Looks at a group's memory until it is asked.
#[derive(Debug)]
pub(crate) struct Watch {
    end: Arc<AtomicBool>,
    peak: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    fn start(file: PathBuf, key: &'static str) -> Self {
        let (end, peak) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (ended, most) = (Arc::clone(&end), Arc::clone(&peak));
        let thread = thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                let text = fs::read_to_string(&file).unwrap_or_default();
                most.fetch_max(value(&text, key).unwrap_or(0), Ordering::Relaxed);
                thread::sleep(SAMPLE);
            }
        });
        Self { end, peak, thread: Some(thread) }
    }

    /// The most bytes of anonymous memory that were seen.
    pub(crate) fn peak(&self) -> u64 {
        self.peak.load(Ordering::Relaxed)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
        // It only reads a file.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_are_found_and_the_first_is_preferred() {
        let one = "cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,relatime,cpu,cpuacct 0 0\n\
                   cgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0\n";
        let two = "cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0\n";
        let first = Hierarchy::One {
            cpuacct: "/sys/fs/cgroup/cpu,cpuacct".into(),
            memory: "/sys/fs/cgroup/memory".into(),
        };
        assert_eq!(Hierarchy::of(&format!("{two}{one}")), Some(first));
        assert_eq!(Hierarchy::of(two), Some(Hierarchy::Two("/sys/fs/cgroup".into())));
        assert_eq!(Hierarchy::of("proc /proc proc rw 0 0\n"), None);
    }

    /// Files where the kernel would have them.
    #[test]
    fn each_version_has_its_doors_and_its_figures() -> anyhow::Result<()> {
        let dir = tempfile::tempdir()?;
        let at = |path: &str| dir.path().join(path);
        for controller in ["cpuacct", "memory", "two"] {
            fs::create_dir(at(controller))?;
        }
        let one = Hierarchy::One { cpuacct: at("cpuacct"), memory: at("memory") };
        let group = Cgroup::new(&one, 1)?;
        let name = group.parent();
        let own = |root: &str, file: &str| at(&format!("{root}{name}{file}"));
        let doors = ["cpuacct", "memory"].map(|root| own(root, "/cgroup.procs"));
        assert_eq!((group.doors(), group.is_two()), (doors.into(), false));
        fs::write(own("cpuacct", "/cpuacct.usage"), "1500000000\n")?;
        assert!((group.cpu()? - 1.5).abs() < 1e-9);
        fs::write(own("memory", "/memory.stat"), "rss 1\ntotal_rss 4096\n")?;
        let watch = group.watch();
        while watch.peak() != 4096 {
            thread::sleep(SAMPLE);
        }
        // In the kernel's own file system files do not keep a directory from being removed.
        for file in [own("cpuacct", "/cpuacct.usage"), own("memory", "/memory.stat")] {
            fs::remove_file(file)?;
        }
        drop(group);
        assert!(!own("cpuacct", "").exists() && !own("memory", "").exists());

        let group = Cgroup::new(&Hierarchy::Two(at("two")), 1)?;
        assert_eq!((group.doors(), group.is_two()), (vec![own("two", "/self/cgroup.procs")], true));
        fs::write(own("two", "/cpu.stat"), "usage_usec 2500000\nuser_usec 1\n")?;
        assert!((group.cpu()? - 2.5).abs() < 1e-9);
        assert_eq!(fs::read_to_string(at("two/cgroup.subtree_control"))?, "+cpu +memory");
        Ok(fs::remove_file(own("two", "/cpu.stat"))?)
    }

    #[test]
    fn values_are_found_by_their_whole_name() {
        let text = "rss 5\ntotal_rss_huge 3\ntotal_rss 70\n";
        assert_eq!(value(text, "total_rss"), Some(70));
        assert_eq!(value(text, "anon"), None);
    }

    #[test]
    fn only_what_a_dead_process_made_is_left_behind() {
        assert!(!left_behind(&format!("{PREFIX}{}-1", std::process::id())));
        // The kernel gives no such number: /proc/sys/kernel/pid_max is at most 2^22.
        assert!(left_behind(&format!("{PREFIX}2000000000")));
        assert!(!left_behind("docker"));
    }
}
