//! A small program that does what kiln does around a RUN, in this test's own binary.
//!
//! `enter` wants a process without threads and the children of a RUN are a re-exec of the program, so
//! neither works below the test harness. A function in `.init_array` runs before the harness's `main`
//! and takes over where the process was started as the driver or as one of a RUN's.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use kiln::cancel::Cancel;
use kiln::event::Stream;
use kiln::sandbox::{
    Choice, DirectoryRoot, LayeredRoot, Namespaces, Network, RunMount, RunReport, RunRequest,
    RunStatus, SandboxError, Ulimit, UserSpec,
};
use rustix::mount::{
    MountFlags, MountPropagationFlags, mount, mount_bind, mount_bind_recursive, mount_change,
};
use serde::{Deserialize, Serialize};

/// argv[1] of a driver; argv[2] is a [`Script`].
const DRIVER: &str = "sandbox-driver";
/// argv[1] of a process that makes the world of argv[2] and then becomes a driver.
const PREPARE: &str = "sandbox-driver-prepare";
/// argv[1] of a process in a RUN that tries to leave it.
pub const ESCAPE: &str = "sandbox-escape";
/// An account without privileges.
pub const NOBODY: u32 = 65534;

#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = before_main;

extern "C" fn before_main() {
    if kiln::sandbox::dispatch().is_some() {
        std::process::exit(0);
    }
    let args: Vec<String> = std::env::args().collect();
    match args.get(1).map(String::as_str) {
        Some(DRIVER) => drive(&args[2]),
        Some(PREPARE) => prepare(serde_json::from_str(&args[2]).unwrap(), &args[3]),
        Some(ESCAPE) => escape(),
        _ => return,
    }
    std::process::exit(0);
}

/// Who runs the driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum World {
    /// The machine's root.
    Root,
    /// `nobody` with ranges of ids.
    Ranges,
    /// `nobody` with its own id alone.
    Single,
    /// The same, where a part of /proc is hidden.
    HiddenProc,
    /// The machine's root, in a chroot.
    Chroot,
    /// A root that may not mount.
    NoSysAdmin,
    /// The machine's root, in a chroot that looks like kiln's own image.
    Image,
}

impl World {
    /// Whether it is not the machine's root.
    pub fn is_nobody(self) -> bool {
        matches!(self, Self::Ranges | Self::Single | Self::HiddenProc)
    }
}

/// What the driver does, one after another; [`Step::Together`] from threads at once.
#[derive(Debug, Serialize, Deserialize)]
pub struct Script {
    pub base: PathBuf,
    pub steps: Vec<Step>,
}

#[derive(Debug, Serialize, Deserialize)]
pub enum Step {
    Run(Run),
    /// In a chroot: the first of the lowers, which it changes. In a script of such steps alone.
    InChroot(Run),
    /// In `/`, with the first of the lowers in it. In a script of such steps alone.
    InPlace(Run),
    Together(Vec<Run>),
    /// Lists a view of the lowers, reads `file` in it and tries to write it.
    View {
        lowers: Vec<String>,
        file: String,
    },
    CheckWorkDir(PathBuf),
    /// Puts an overlay on a directory, to be a bad work directory. Only as root.
    Overlay(PathBuf),
    /// Says this line and goes on: for who waits for it.
    Say(String),
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Run {
    pub lowers: Vec<String>,
    pub upper: String,
    pub args: Vec<String>,
    pub env: Vec<(String, String)>,
    pub cwd: String,
    pub uid: u32,
    pub gid: u32,
    pub groups: Vec<u32>,
    pub network: bool,
    pub mounts: Vec<RunMount>,
    pub ulimits: Vec<Ulimit>,
    /// Cancel the build at the first output.
    pub cancel: bool,
    /// Pass the output on to the driver's stderr at once.
    pub live: bool,
}

/// What came of a step.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Outcome {
    pub code: Option<i32>,
    pub signal: Option<i32>,
    pub error: Option<String>,
    pub out: String,
    pub err: String,
    pub placeholders: Vec<PathBuf>,
}

/// What a driver says at its end.
#[derive(Debug, Serialize, Deserialize)]
pub struct Log {
    pub userxattr: bool,
    pub single_id: bool,
    pub reason: Option<String>,
    pub outcomes: Vec<Outcome>,
}

/// The command that starts a driver.
pub fn command(world: World, script: &Script) -> Command {
    assert!(
        rustix::process::geteuid().is_root(),
        "these tests make namespaces and become other users: run them as root of a machine"
    );
    let mut command = Command::new("/proc/self/exe");
    command.arg(PREPARE).arg(serde_json::to_string(&world).unwrap());
    command.arg(serde_json::to_string(script).unwrap()).stdin(Stdio::null());
    command.env("KILN_TEST_SECRET", "of the parent").current_dir("/");
    command
}

/// Runs a driver to its end.
pub fn run(world: World, script: &Script) -> Log {
    let output = command(world, script).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the driver failed: {:?}: {errors}", output.status);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {errors}"))
}

/// Makes a world, in a mount namespace of its own, and becomes its driver.
fn prepare(world: World, script: &str) -> ! {
    kiln::sys::namespace::unshare(rustix::thread::UnshareFlags::NEWNS).unwrap();
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).unwrap();
    let mut command = Command::new("/proc/self/exe");
    match world {
        World::Root | World::Single => {}
        World::Ranges => give_ranges(),
        World::HiddenProc => {
            mount("none", "/proc/sys", "tmpfs", MountFlags::empty(), None).unwrap();
        }
        World::Chroot | World::Image => {
            let script: Script = serde_json::from_str(script).unwrap();
            enter_chroot(&script.base);
            if world == World::Image {
                std::fs::create_dir("/kaniko").unwrap();
                std::fs::write("/kaniko/image", "").unwrap();
            }
            command = Command::new("/driver");
        }
        World::NoSysAdmin => {
            // /proc/self/exe would be setpriv itself.
            let program = std::fs::read_link("/proc/self/exe").unwrap();
            command = Command::new("setpriv");
            command.arg("--bounding-set=-sys_admin").arg(program);
        }
    }
    if world.is_nobody() {
        command.uid(NOBODY).gid(NOBODY);
    }
    panic!("{}", command.arg(DRIVER).arg(script).exec());
}

/// /etc/subuid and /etc/subgid with a range for `nobody`.
fn give_ranges() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "{NOBODY}:200000:65536").unwrap();
    std::fs::set_permissions(file.path(), PermissionsExt::from_mode(0o644)).unwrap();
    for table in ["/etc/subuid", "/etc/subgid"] {
        mount_bind(file.path(), table).unwrap();
    }
}

/// Changes to a root that has what a driver needs.
fn enter_chroot(base: &Path) {
    let outer = base.join("chroot");
    std::fs::create_dir_all(&outer).unwrap();
    mount("none", &outer, "tmpfs", MountFlags::empty(), None).unwrap();
    let root = outer.join("root");
    std::fs::create_dir(&root).unwrap();
    mount_bind(&root, &root).unwrap();
    for path in ["/proc", "/sys", "/dev", base.to_str().unwrap()] {
        let inside = root.join(path.strip_prefix('/').unwrap());
        std::fs::create_dir_all(&inside).unwrap();
        if Path::new(path) == base {
            mount_bind(path, inside).unwrap();
        } else {
            mount_bind_recursive(path, inside).unwrap();
        }
    }
    std::fs::create_dir(root.join("etc")).unwrap();
    std::fs::copy("/etc/resolv.conf", root.join("etc/resolv.conf")).ok();
    std::fs::copy("/proc/self/exe", root.join("driver")).unwrap();
    rustix::process::chroot(&root).unwrap();
    rustix::process::chdir("/").unwrap();
}

/// Leaves a chroot, if it is one that can be left, and lists what `/` is then.
fn escape() {
    std::fs::create_dir("inner").unwrap();
    rustix::process::chroot("inner").unwrap();
    for _ in 0..64 {
        rustix::process::chdir("..").unwrap();
    }
    rustix::process::chroot(".").unwrap();
    for entry in std::fs::read_dir("/").unwrap() {
        println!("{}", entry.unwrap().file_name().display());
    }
}

fn drive(script: &str) {
    let script: Script = serde_json::from_str(script).unwrap();
    if script.steps.iter().any(|step| matches!(step, Step::InChroot(_))) {
        return drive_chroot(&script);
    }
    if script.steps.iter().any(|step| matches!(step, Step::InPlace(_))) {
        return drive_inplace(&script);
    }
    let namespaces = kiln::sandbox::enter(Choice::Namespaces).unwrap().namespaces.unwrap();
    let mut outcomes = Vec::new();
    for step in &script.steps {
        match step {
            Step::Together(runs) => std::thread::scope(|scope| {
                let (namespaces, base) = (&namespaces, &script.base);
                let start = |run| scope.spawn(move || on_layers(namespaces, base, run));
                let threads: Vec<_> = runs.iter().map(start).collect();
                outcomes.extend(threads.into_iter().map(|thread| thread.join().unwrap()));
            }),
            step => outcomes.push(perform(&namespaces, &script.base, step)),
        }
    }
    let log = Log {
        userxattr: namespaces.userxattr(),
        single_id: namespaces.single_id(),
        reason: namespaces.single_id_reason().map(str::to_owned),
        outcomes,
    };
    println!("{}", serde_json::to_string(&log).unwrap());
}

fn drive_chroot(script: &Script) {
    let chroot = kiln::sandbox::enter(Choice::Chroot).unwrap().chroot.unwrap();
    let aside = script.base.join("aside");
    std::fs::create_dir_all(&aside).unwrap();
    let perform = |step: &Step| {
        let Step::InChroot(run) = step else { panic!("not in a chroot: {step:?}") };
        let path = script.base.join(&run.lowers[0]);
        let root = DirectoryRoot { path, aside: aside.clone(), links: Vec::new() };
        execute(run, |request, output, cancel| chroot.run(&root, request, output, cancel))
    };
    let outcomes = script.steps.iter().map(perform).collect();
    let log = Log { userxattr: false, single_id: chroot.single_id(), reason: None, outcomes };
    assert_eq!(std::fs::read_dir(&aside).unwrap().count(), 0);
    println!("{}", serde_json::to_string(&log).unwrap());
}

/// Lets each step have `/`; afterwards it must have what it had before the command, but for what is
/// told in `err`.
fn drive_inplace(script: &Script) {
    let inplace = kiln::sandbox::enter(Choice::Inplace).unwrap().inplace.unwrap();
    let perform = |step: &Step| {
        let Step::InPlace(run) = step else { panic!("not in place: {step:?}") };
        let kept = inplace.take(&Cancel::default()).unwrap();
        let layer = script.base.join(&run.lowers[0]);
        let mut copy = Command::new(layer.join("bin/busybox"));
        copy.args(["cp", "-a"]).arg(layer.join(".")).arg("/");
        assert!(copy.status().unwrap().success());
        let state = || {
            let mut found = std::collections::BTreeMap::new();
            let mut pending = vec![PathBuf::from("/")];
            while let Some(dir) = pending.pop() {
                for entry in std::fs::read_dir(dir).unwrap() {
                    let path = entry.unwrap().path();
                    if kept.has(path.strip_prefix("/").unwrap()) {
                        continue;
                    }
                    let meta = path.symlink_metadata().unwrap();
                    if meta.is_dir() {
                        pending.push(path.clone());
                    }
                    found.insert(path, (meta.modified().unwrap(), meta.len(), meta.permissions()));
                }
            }
            found
        };
        let before = state();
        let outcome = execute(run, |request, output, cancel| inplace.run(request, output, cancel));
        let after = state();
        assert!(before == after, "{outcome:?}: {:?}", after.keys());
        outcome
    };
    let outcomes = script.steps.iter().map(perform).collect();
    inplace.give_back().unwrap();
    let left: Vec<_> = std::fs::read_dir("/kaniko").unwrap().map(|e| e.unwrap().path()).collect();
    let expected = ["image", "root.lock"].map(|name| Path::new("/kaniko").join(name));
    assert!(left.iter().all(|path| expected.contains(path)), "{left:?}");
    assert!(Path::new("/driver").exists());
    let log = Log { userxattr: false, single_id: false, reason: None, outcomes };
    println!("{}", serde_json::to_string(&log).unwrap());
}

fn perform(namespaces: &Namespaces, base: &Path, step: &Step) -> Outcome {
    match step {
        Step::Run(run) => on_layers(namespaces, base, run),
        Step::InChroot(_) | Step::InPlace(_) | Step::Together(_) => {
            unreachable!("taken apart by the caller")
        }
        Step::View { lowers, file } => {
            let mountpoint = base.join("view");
            std::fs::create_dir_all(&mountpoint).unwrap();
            let lowers: Vec<PathBuf> = lowers.iter().map(PathBuf::from).collect();
            let view = match namespaces.view(base, &lowers, &mountpoint) {
                Ok(view) => view,
                Err(error) => return failed(&error),
            };
            let read = |path: &Path| std::fs::read_to_string(path).map_err(|e| e.to_string());
            let out = read(&view.path().join(file)).unwrap_or_default();
            let written = std::fs::write(view.path().join("new"), "").map_err(|e| e.to_string());
            drop(view);
            let left = std::fs::read_dir(&mountpoint).unwrap().count();
            Outcome { out, err: format!("{:?} {left}", written.err()), ..Outcome::default() }
        }
        Step::CheckWorkDir(dir) => match namespaces.check_work_dir(dir) {
            Ok(()) => Outcome::default(),
            Err(error) => failed(&error),
        },
        Step::Overlay(dir) => {
            for name in ["l", "u", "w", "m"] {
                std::fs::create_dir_all(dir.join(name)).unwrap();
            }
            let path = |name: &str| dir.join(name).to_str().unwrap().to_owned();
            let options =
                format!("lowerdir={},upperdir={},workdir={}", path("l"), path("u"), path("w"));
            let options = std::ffi::CString::new(options).unwrap();
            mount("o", dir.join("m"), "overlay", MountFlags::empty(), &*options).unwrap();
            Outcome::default()
        }
        Step::Say(line) => {
            eprintln!("{line}");
            Outcome::default()
        }
    }
}

fn on_layers(namespaces: &Namespaces, base: &Path, run: &Run) -> Outcome {
    let work = format!("{}.work", run.upper);
    for name in [&run.upper, &work] {
        std::fs::create_dir_all(base.join(name)).unwrap();
    }
    let root = LayeredRoot {
        base: base.to_owned(),
        lowers: run.lowers.iter().map(PathBuf::from).collect(),
        upper: PathBuf::from(&run.upper),
        work: work.into(),
    };
    execute(run, |request, output, cancel| namespaces.run(&root, request, output, cancel))
}

fn execute(
    run: &Run,
    start: impl Fn(
        &RunRequest,
        &(dyn Fn(Stream, &[u8]) + Sync),
        &Cancel,
    ) -> Result<RunReport, SandboxError>,
) -> Outcome {
    let request = RunRequest {
        args: run.args.clone(),
        env: run.env.clone(),
        cwd: run.cwd.clone(),
        user: UserSpec { uid: run.uid, gid: run.gid, groups: run.groups.clone() },
        hostname: "buildkitsandbox".to_owned(),
        hosts: vec![("db.test".to_owned(), "10.9.8.7".to_owned())],
        shm_size: 64 << 20,
        network: if run.network { Network::Host } else { Network::None },
        mounts: run.mounts.clone(),
        ulimits: run.ulimits.clone(),
    };
    let cancel = Cancel::default();
    let texts = Mutex::new((Vec::new(), Vec::new()));
    let output = |stream: Stream, bytes: &[u8]| {
        if run.cancel {
            cancel.cancel();
        }
        if run.live {
            std::io::stderr().write_all(bytes).unwrap();
        }
        let mut texts = texts.lock().unwrap();
        match stream {
            Stream::Out => texts.0.extend_from_slice(bytes),
            Stream::Err => texts.1.extend_from_slice(bytes),
        }
    };
    let result = start(&request, &output, &cancel);
    let texts = texts.into_inner().unwrap();
    let mut outcome = match result {
        Ok(RunReport { status, placeholders, .. }) => match status {
            RunStatus::Exited(code) => {
                Outcome { code: Some(code), placeholders, ..Outcome::default() }
            }
            RunStatus::Signaled(signal) => {
                Outcome { signal: Some(signal), placeholders, ..Outcome::default() }
            }
        },
        Err(error) => failed(&error),
    };
    outcome.out = String::from_utf8_lossy(&texts.0).into_owned();
    outcome.err = String::from_utf8_lossy(&texts.1).into_owned();
    outcome
}

fn failed(error: &SandboxError) -> Outcome {
    Outcome { error: Some(error.to_string()), ..Outcome::default() }
}
