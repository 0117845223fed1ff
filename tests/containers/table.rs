//! The table of isolations: what a container allows decides which one kiln takes, and the image is
//! the same in all that can build it.

use std::fs;
use std::path::Path;

use crate::common::Kiln;
use crate::common::containers::{Container, Engine};
use crate::common::unprivileged::{Ids, run_as};
use crate::podman::Podman;
use crate::set::{Digests, Set};

/// Says where a RUN is: its namespace of process numbers and its root directory.
const WHERE: &str =
    "FROM mixed:1\nRUN echo \"run $(readlink /proc/self/ns/pid) $(stat -c %i /)\"\n";

/// How a RUN is kept apart from the job.
#[derive(Debug, PartialEq, Eq)]
enum Isolation {
    Namespaces,
    /// The job's namespaces, another root.
    Chroot,
    /// The job's namespaces and root.
    Inplace,
    /// There is no RUN.
    None,
}

impl Isolation {
    /// What the two lines say, of which the first is the job's and the second the RUN's.
    fn of(job: &str, run: Option<&str>) -> Self {
        let Some(run) = run else { return Self::None };
        let parts = |line: &str| -> Vec<String> {
            line.split_whitespace().skip(1).map(str::to_owned).collect()
        };
        let (job, run) = (parts(job), parts(run));
        assert_eq!((job.len(), run.len()), (2, 2), "{job:?} {run:?}");
        match (job[0] == run[0], job[1] == run[1]) {
            (false, _) => Self::Namespaces,
            (true, false) => Self::Chroot,
            (true, true) => Self::Inplace,
        }
    }
}

/// What a place has made of the set.
struct Row {
    isolation: Isolation,
    digests: Digests,
    /// Each failed build's log.
    failures: String,
}

impl Row {
    /// What the script of [`script`] has left in this directory.
    fn read(set: &Set, out: &Path) -> Self {
        let digests = set.digests(out);
        let failed = digests.iter().filter(|(_, digest)| digest.is_none());
        let failures = failed.map(|(name, _)| format!("== {name}\n{}", set.log(out, name)));
        let failures = failures.collect();
        let log = fs::read_to_string(out.join("where")).unwrap();
        let line = |start: &str| {
            // The build's log has a number before each line of output.
            log.lines().find_map(|line| line.find(start).map(|at| line[at..].to_owned()))
        };
        // The echo itself is in the log, too.
        let run = line("run pid:");
        let isolation = Isolation::of(&line("job pid:").expect("a line"), run.as_deref());
        Self { isolation, digests, failures }
    }

    /// What is wrong with it: another isolation than this, or other digests than these where it can
    /// build. Each is a line.
    fn problems(&self, name: &str, set: &Set, expected: Isolation, digests: &Digests) -> String {
        let mut problems = String::new();
        if self.isolation != expected {
            problems += &format!("{name} has {:?}, not {expected:?}\n", self.isolation);
        }
        let runs = expected != Isolation::None;
        for (file, needs_run) in set.names() {
            let wanted = if needs_run && !runs { &None } else { &digests[&file] };
            let found = &self.digests[&file];
            if found != wanted {
                problems += &format!("{name}: {file} is {found:?}, not {wanted:?}\n");
            }
        }
        if !problems.is_empty() {
            problems += &self.failures;
        }
        problems
    }
}

/// Builds the set in a container of kiln, and says where its RUNs are.
fn script(set: &Set) -> String {
    let flags = set.flags().join(" ");
    format!(
        "echo \"job $(readlink /proc/self/ns/pid) $(stat -c %i /)\" > /out/where\n\
         mkdir /tmp/where\n\
         cat > /tmp/where/Dockerfile <<'END'\n{WHERE}END\n\
         kiln build {flags} --verbose /tmp/where >> /out/where 2>&1 || true\n\
         {}",
        set.script()
    )
}

fn in_container(set: &Set, name: &str, container: Container<'_>) -> Row {
    let out = set.out(name);
    let container = container.mount_read_only(&set.path(""), "/set").mount(&out, "/out");
    container.shell(&script(set)).ok();
    Row::read(set, &out)
}

/// One file of the set.
fn build(set: &Set, name: &str) -> Kiln {
    let file = set.path("files").join(format!("{name}.dockerfile"));
    let file = file.to_str().unwrap();
    Kiln::build().context_dir(&set.path("context")).args(set.flags()).args(["--file", file])
}

/// What root of the machine makes of it.
fn by_root(set: &Set) -> Digests {
    let names = set.names().into_keys();
    let digest = |name: &String| build(set, name).run().ok().stdout.trim().to_owned();
    names.map(|name| (Some(digest(&name)), name)).map(|(digest, name)| (name, digest)).collect()
}

/// And a user of the machine, who has ids of his own.
fn by_user(set: &Set) -> Digests {
    let names = set.names().into_keys();
    let digest =
        |name: &String| run_as(build(set, name), Ids::Ranges, "").ok().stdout.trim().to_owned();
    names.map(|name| (Some(digest(&name)), name)).map(|(digest, name)| (name, digest)).collect()
}

#[test]
fn dockerd_and_podman_have_the_same_images_in_every_isolation() {
    let set = Set::new();
    let expected = by_root(&set);
    assert_eq!(expected.len(), 13);
    assert_eq!(by_user(&set), expected, "rootless on the machine");

    let mut problems = String::new();
    let mut check = |name: &str, row: Row, isolation| {
        problems += &row.problems(name, &set, isolation, &expected);
    };
    let podman = Podman::start();
    let out = set.out("podman");
    podman.run(&set.path(""), &out, &script(&set)).ok();
    check("rootless Podman", Row::read(&set, &out), Isolation::Namespaces);

    let engine = Engine::start();
    let volume = engine
        .container()
        .flags(["--security-opt", "seccomp=unconfined"])
        .flags(["--cap-add", "ALL", "--cap-drop", "SYS_RESOURCE"])
        .flags(["--volume", "/volume"])
        .env("TMPDIR", "/volume");
    let row = in_container(&set, "namespaces", volume);
    check("all capabilities", row, Isolation::Namespaces);

    let user = engine.container().flags(["--user", "1000", "--cap-drop", "ALL"]);
    let user = user.flags(["--security-opt", "no-new-privileges"]);
    check("a user without rights", in_container(&set, "none", user), Isolation::None);

    let row = in_container(&set, "chroot", engine.container());
    check("docker run", row, Isolation::Chroot);

    let row = in_container(&set, "inplace", engine.container().seven_capabilities());
    check("seven capabilities", row, Isolation::Inplace);
    assert!(problems.is_empty(), "{problems}");
}
