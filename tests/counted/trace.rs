//! What kiln asks of the kernel, as strace tells it.
//!
//! kiln's own processes and threads are counted, and the helpers that it executes itself as. What a RUN
//! executes is not: from the first program that is not kiln on, a process is no longer looked at. The
//! commands of these tests are built into the shell, so that no such process has children.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::common::{Kiln, Outcome};

use super::calls::{self, Call, LOOKS};
use super::mode::Mode;

/// Where Debian has the certificate authorities (package ca-certificates).
const CERTIFICATES: &str = "/etc/ssl/certs";

/// Numbers by name.
pub type Counts = BTreeMap<String, u64>;

/// Runs a build that must succeed, and counts its calls.
#[track_caller]
pub fn traced(kiln: Kiln) -> Counts {
    let context = kiln.context();
    let (command, dir) = kiln.into_command();
    let program = command.get_program().to_owned();
    let mut trace = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    if Mode::of_environment() == Mode::Keep {
        trace.disable_cleanup(true);
        println!("traces: {}", trace.path().display());
    }
    let mut strace = Command::new("strace");
    // A file for each process (-ff), so that lines of several are never mixed; descriptors with their
    // paths (-y); no content (-s 0).
    strace.args(["-ff", "-y", "-s", "0", "--quiet=all", "-e", "signal=none"]);
    // The question mark: names that this strace, or this machine, does not know are no error.
    strace.args(["-e", &format!("trace=?{}", calls::NAMES.join(",?"))]);
    strace.arg("-o").arg(trace.path().join("of")).arg("--").arg(&program).args(command.get_args());
    strace.env_clear().current_dir(dir.path()).stdin(std::process::Stdio::null());
    strace.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = match strace.output() {
        Ok(output) => output,
        Err(error) => panic!("cannot run strace: {error}; install it: apt-get install strace"),
    };
    let outcome = Outcome::from(output);
    assert!(
        !outcome.stderr.contains("PTRACE_"),
        "strace may not trace here; in a container, allow it with --cap-add SYS_PTRACE\n{outcome}"
    );
    outcome.ok();
    let places =
        Places { program: &program.to_string_lossy(), context: &context, work: dir.path() };
    let mut counts = Counts::new();
    for entry in fs::read_dir(trace.path()).expect("traces") {
        let bytes = fs::read(entry.expect("an entry").path()).expect("a trace");
        places.count(&String::from_utf8_lossy(&bytes), &mut counts);
    }
    // kiln may not be looked into (prctl(2), PR_SET_DUMPABLE), but by who has this capability.
    assert!(
        counts.get("files opened").is_some_and(|count| *count > 10),
        "strace sees no paths of kiln's, for which it needs CAP_SYS_PTRACE; in a container, give it \
         with --cap-add SYS_PTRACE: {counts:?}"
    );
    counts
}

/// What the paths in a trace are told apart by.
#[derive(Debug)]
pub(super) struct Places<'a> {
    pub program: &'a str,
    pub context: &'a Path,
    pub work: &'a Path,
}

impl Places<'_> {
    /// Adds the calls of one process or thread.
    pub(super) fn count(&self, trace: &str, counts: &mut Counts) {
        let mut foreign = false;
        for call in trace.lines().filter_map(Call::parse) {
            if foreign {
                let forks = ["clone", "clone3", "fork", "vfork"].contains(&call.name);
                assert!(
                    !forks,
                    "a command of a RUN has children, which would be counted: {call:?}"
                );
                continue;
            }
            if call.name == "execve" && call.result == Some(0) {
                foreign = !self.is_kiln(call.args);
            }
            if let Some(what) = self.kind(&call) {
                *counts.entry(what.to_owned()).or_default() += 1;
            }
            self.count_bytes(&call, counts);
        }
    }

    fn kind(&self, call: &Call<'_>) -> Option<&'static str> {
        let kind = calls::kind(call)?;
        if !LOOKS.contains(&kind) || call.path().starts_with(self.work) {
            Some(kind)
        } else {
            // How many files are in it is the machine's doing; that it is read is not.
            (kind == "files opened" && call.path() == Path::new(CERTIFICATES))
                .then_some("directories of certificates read")
        }
    }

    /// kiln executes itself by its path, or through /proc (`src/sandbox/program.rs`).
    fn is_kiln(&self, args: &str) -> bool {
        let path = args.strip_prefix('"').and_then(|rest| rest.split('"').next());
        path.is_some_and(|path| path == self.program || path.starts_with("/proc/"))
    }

    fn count_bytes(&self, call: &Call<'_>, counts: &mut Counts) {
        let Some((bytes, (from, to))) = call.bytes().zip(calls::ends(call)) else { return };
        let mut add = |direction: &str, path: Option<&str>| {
            if let Some(place) = path.and_then(|path| self.place(path)) {
                *counts.entry(format!("bytes {direction} {place}")).or_default() += bytes;
            }
        };
        add("read from", from);
        add("written to", to);
    }

    /// Sockets, pipes and the kernel's own files are none of these places: how much goes through them
    /// at a time, and what /proc says, differs from run to run.
    fn place(&self, path: &str) -> Option<&'static str> {
        let path = Path::new(path);
        if path.starts_with(self.context) {
            return Some("the context");
        }
        // The first name below is the work directory's, which differs.
        let mut below = path.strip_prefix(self.work.join("tmp")).ok()?.components().skip(1);
        Some(if below.next()?.as_os_str() == "blobs" { "blobs" } else { "trees" })
    }
}

#[test]
fn calls_of_a_command_are_not_kilns() {
    let places = Places { program: "/k", context: Path::new("/d/c"), work: Path::new("/d") };
    let mut counts = Counts::new();
    let lines = [
        r#"execve("/k", [""...], 0x7ffe /* 5 vars */) = 0"#,
        r#"openat(AT_FDCWD</d>, "a", O_RDONLY|O_CLOEXEC) = 5</d/c/a>"#,
        r#"openat(AT_FDCWD</d>, "b", O_RDONLY|O_CLOEXEC) = -1 ENOENT (No such file or directory)"#,
        r#"read(5</d/c/a>, ""..., 100) = 70"#,
        r#"copy_file_range(5</d/c/a>, NULL, 6</d/tmp/k/l/t>, NULL, 100, 0) = 30"#,
        r#"sendfile(8</d/tmp/k/blobs/b>, 5</d/c/a>, NULL, 11) = 11"#,
        r#"pread64(8</d/tmp/k/blobs/b>, ""..., 3, 0) = 3"#,
        r#"read(7<socket:[1]>, ""..., 100) = 9"#,
        r#"execve("/proc/self/fd/9", [""...], 0x1 /* 0 vars */) = 0"#,
        r#"write(6</d/tmp/k/l/t>, ""..., 5) = 5"#,
        r#"openat(AT_FDCWD</d>, "/proc/7/stat", O_RDONLY|O_CLOEXEC) = 8</proc/7/stat>"#,
        r#"fstat(8</proc/7/stat>, {st_mode=S_IFREG|0444, st_size=0, ...}) = 0"#,
        r#"openat(AT_FDCWD</d>, "/etc/ssl/certs", O_RDONLY|O_DIRECTORY) = 8</etc/ssl/certs>"#,
        r#"openat2(9</d/root>, "/etc", {flags=O_PATH, resolve=RESOLVE_IN_ROOT}, 24) = 8</d/root/etc>"#,
        r#"execve("/bin/sh", [""...], 0x1 /* 1 var */) = 0"#,
        r#"write(6</d/tmp/k/l/t>, ""..., 5) = 5"#,
    ];
    places.count(&lines.join("\n"), &mut counts);
    let expected = [
        ("bytes read from blobs", 3),
        ("bytes read from the context", 111),
        ("bytes written to blobs", 11),
        ("bytes written to trees", 35),
        ("directories of certificates read", 1),
        ("files opened", 3),
        ("programs executed", 3),
    ];
    assert_eq!(counts, expected.into_iter().map(|(k, n)| (k.to_owned(), n)).collect());
}
