//! Layers to run commands in, and what the tests ask of a machine.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::driver::{self, Log, NOBODY, Outcome, Run, Script, Step, World};

pub const PATH: &str = "/usr/bin:/bin";

/// For what has to happen soon; generous, since it is only ever reached in a failure.
const PATIENCE: Duration = Duration::from_secs(60);

/// A directory with a layer `base` that has busybox in it.
pub struct Layers {
    dir: TempDir,
    pub world: World,
}

impl Layers {
    pub fn new(world: World) -> Self {
        let busybox = Path::new("/bin/busybox");
        assert!(busybox.exists(), "these tests need /bin/busybox (package busybox-static)");
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let layers = Self { dir, world };
        layers.own(layers.base());
        layers.directory("base/bin");
        layers.directory("base/tmp");
        fs::copy(busybox, layers.path("base/bin/busybox")).unwrap();
        layers.own(&layers.path("base/bin/busybox"));
        let list = std::process::Command::new(busybox).arg("--list").output().unwrap();
        for applet in String::from_utf8(list.stdout).unwrap().lines() {
            symlink("busybox", layers.path("base/bin").join(applet)).ok();
        }
        layers
    }

    pub fn base(&self) -> &Path {
        self.dir.path()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.base().join(name)
    }

    /// To root as the world sees it.
    pub fn own(&self, path: &Path) {
        if self.world.is_nobody() {
            chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
        }
    }

    pub fn directory(&self, name: &str) {
        let mut path = self.base().to_owned();
        for component in Path::new(name) {
            path.push(component);
            if fs::create_dir(&path).is_ok() {
                self.own(&path);
            }
        }
    }

    pub fn file(&self, name: &str, content: &str) {
        self.directory(Path::new(name).parent().unwrap().to_str().unwrap());
        fs::write(self.path(name), content).unwrap();
        self.own(&self.path(name));
    }

    pub fn script(&self, steps: Vec<Step>) -> Script {
        Script { base: self.base().to_owned(), steps }
    }

    pub fn log(&self, steps: Vec<Step>) -> Log {
        driver::run(self.world, &self.script(steps))
    }

    pub fn run(&self, run: Run) -> Outcome {
        self.log(vec![Step::Run(run)]).outcomes.remove(0)
    }

    /// The words that a shell command prints, which must succeed.
    pub fn words(&self, command: &str) -> Vec<String> {
        let outcome = self.run(sh(command));
        assert_eq!(outcome.code, Some(0), "{command}: {outcome:?}");
        outcome.out.split_whitespace().map(str::to_owned).collect()
    }

    /// Paths below a directory.
    pub fn list(&self, name: &str) -> BTreeSet<String> {
        let root = self.path(name);
        let mut found = BTreeSet::new();
        let mut pending = vec![root.clone()];
        while let Some(dir) = pending.pop() {
            for entry in fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                found.insert(path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned());
                if path.symlink_metadata().unwrap().is_dir() {
                    pending.push(path);
                }
            }
        }
        found
    }
}

pub fn exec(args: &[&str]) -> Run {
    Run {
        lowers: vec!["base".to_owned()],
        upper: format!("upper{}", fastrand::u64(..)),
        args: args.iter().map(|arg| (*arg).to_owned()).collect(),
        env: vec![("PATH".to_owned(), PATH.to_owned())],
        cwd: "/".to_owned(),
        uid: 0,
        gid: 0,
        groups: Vec::new(),
        network: true,
        mounts: Vec::new(),
        ulimits: Vec::new(),
        cancel: false,
        live: false,
    }
}

pub fn sh(command: &str) -> Run {
    exec(&["/bin/sh", "-c", command])
}

/// A number that only processes of one test have in their arguments.
pub fn mark() -> String {
    format!("{}", fastrand::u32(500_000_000..))
}

/// Whether a process of the machine has a mark in its arguments; drivers do not count.
pub fn runs(mark: &str) -> bool {
    fs::read_dir("/proc").unwrap().filter_map(Result::ok).any(|entry| {
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).into_owned();
        line.contains(mark) && !line.contains("sandbox-driver")
    })
}

pub fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "still not: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Starts a driver and waits for it to say a line.
pub fn start(layers: &Layers, steps: Vec<Step>, line: &str) -> Child {
    let mut command = driver::command(layers.world, &layers.script(steps));
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let found = lines.find(|found| found.as_ref().is_ok_and(|found| found == line));
    assert!(found.is_some(), "the driver ended without `{line}`");
    child
}
