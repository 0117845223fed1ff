//! What did not change is not built, not pulled, not pushed.

use testkit::Request;

use crate::common::bases;
use crate::common::built::{Bench, need_root};
use crate::common::{Kiln, Outcome};

/// Like the flask project: a working directory, a list of what is needed, a command, the files.
const DOCKERFILE: &str = "\
FROM BASE/base
WORKDIR /app
COPY requirements.txt .
RUN cat requirements.txt > installed; cat /proc/sys/kernel/random/uuid > /time
COPY . .
ENV PORT=8000
CMD [\"app\"]
";

/// A project whose base has a big layer, and a machine that is new for each build.
pub(super) struct Project {
    pub(super) bench: Bench,
    pub(super) files: Vec<(String, String)>,
    pub(super) dockerfile: String,
}

impl Project {
    pub(super) fn new(dockerfile: &str) -> Self {
        need_root();
        let bench = Bench::new();
        bases::busybox(&bench.registry, "base", "latest");
        let file = |name: &str, text: &str| (name.to_owned(), text.to_owned());
        let files = vec![file("requirements.txt", "one\n"), file("app.py", "print(1)\n")];
        Self { bench, files, dockerfile: dockerfile.to_owned() }
    }

    pub(super) fn write(&mut self, name: &str, text: &str) {
        self.files.retain(|(known, _)| known != name);
        self.files.push((name.to_owned(), text.to_owned()));
    }

    pub(super) fn cache(&self) -> String {
        format!("{}/app/cache", self.bench.registry.host())
    }

    /// Without a cache.
    pub(super) fn plain(&self) -> Kiln {
        let kiln = self.bench.kiln(&self.dockerfile);
        self.files.iter().fold(kiln, |kiln, (name, text)| kiln.file(name, text))
    }

    pub(super) fn kiln(&self) -> Kiln {
        self.plain().args(["--cache-repo", &self.cache()])
    }

    #[track_caller]
    pub(super) fn build(&self) -> Seen {
        Seen::of(self, self.kiln())
    }

    #[track_caller]
    pub(super) fn build_with(&self, args: &[&str]) -> Seen {
        Seen::of(self, self.kiln().args(args))
    }
}

/// What a command has written that writes something else each time.
pub(super) fn uuid(project: &Project, path: &str) -> String {
    project.bench.image().text(path).expect("a file")
}

/// What a build printed, and what it asked of the registry.
pub(super) struct Seen {
    pub(super) outcome: Outcome,
    pub(super) requests: Vec<Request>,
}

impl Seen {
    #[track_caller]
    fn of(project: &Project, kiln: Kiln) -> Self {
        project.bench.registry.clear_requests();
        let outcome = kiln.run().ok();
        Self { outcome, requests: project.bench.registry.requests() }
    }

    pub(super) fn lines(&self) -> String {
        self.requests.iter().map(|request| request.line() + "\n").collect()
    }

    /// Steps that were taken from a cache.
    pub(super) fn cached(&self) -> usize {
        self.outcome.stderr.lines().filter(|line| line.contains(" skipped: cached")).count()
    }

    /// Bytes of blobs that came from the registry.
    pub(super) fn downloaded(&self) -> u64 {
        let blobs =
            self.requests.iter().filter(|it| it.method == "GET" && it.path.contains("/blobs/"));
        blobs.map(|request| request.bytes_out).sum()
    }

    /// Bytes of blobs that went there.
    pub(super) fn uploaded(&self) -> u64 {
        let blobs = self.requests.iter().filter(|it| it.path.contains("/blobs/uploads"));
        blobs.map(|request| request.bytes_in).sum()
    }
}

#[test]
fn nothing_changed_so_nothing_is_done() {
    let project = Project::new(DOCKERFILE);
    let first = project.build();
    assert_eq!(first.cached(), 0, "{}", first.outcome);
    let image = project.bench.image();
    let second = project.build();
    assert_eq!(second.cached(), 4, "{}", second.outcome);
    // May it push, and never mind; the cache; the base and its config; is the image there; its tag.
    assert_eq!(second.requests.len(), 7, "{}", second.lines());
    // The base's config, and no layer.
    assert!(second.downloaded() < 4000, "{}", second.lines());
    assert_eq!(project.bench.image().digest, image.digest);
}

#[test]
fn a_changed_file_is_copied_and_no_command_runs() {
    let mut project = Project::new(DOCKERFILE);
    project.build();
    let time = project.bench.image().text("time").expect("a time");
    project.write("app.py", "print(2)\n");
    let seen = project.build();
    assert_eq!(seen.cached(), 3, "{}", seen.outcome);
    let image = project.bench.image();
    assert_eq!(image.text("time").expect("a time"), time);
    assert_eq!(image.text("app/app.py").expect("the file"), "print(2)\n");
    // Neither the base nor a layer of the cache: what the COPY asks of them is known.
    assert!(seen.downloaded() < 4000, "{}", seen.lines());
    assert!(seen.uploaded() < 8000, "{}", seen.lines());
    // The new layer goes to the image's repository and is mounted to the cache's; both configs go once.
    let count = |method: &str, path: &str| {
        seen.requests.iter().filter(|it| it.method == method && it.path.contains(path)).count()
    };
    let sent = (count("POST", "app/blobs"), count("POST", "app/cache/blobs"));
    assert_eq!(sent, (3, 2), "{}", seen.lines());
    assert_eq!(count("PUT", "/blobs/uploads/"), 3, "{}", seen.lines());
    // Only what is known is looked for; the record is read once, and found to be the same.
    assert_eq!(count("HEAD", "app/cache/"), 1, "{}", seen.lines());
    assert_eq!(count("GET", "app/cache/manifests/"), 1, "{}", seen.lines());
    assert_eq!(count("GET", "/v2/app/blobs/"), 0, "{}", seen.lines());
    // A file that is new in a directory that is known.
    project.write("other.py", "print(3)\n");
    let seen = project.build();
    assert_eq!(seen.cached(), 3, "{}", seen.outcome);
    assert!(seen.downloaded() < 4000, "{}", seen.lines());
    // And the first one's again.
    project.files.retain(|(name, _)| name != "other.py");
    let seen = project.build();
    assert_eq!(seen.cached(), 4, "{}", seen.outcome);
}

#[test]
fn a_miss_in_the_middle_pulls_what_its_command_needs() {
    let mut project = Project::new(DOCKERFILE);
    project.build();
    let time = project.bench.image().text("time").expect("a time");
    project.write("requirements.txt", "two\n");
    let seen = project.build();
    assert_eq!(seen.cached(), 1, "{}", seen.outcome);
    let image = project.bench.image();
    assert_ne!(image.text("time").expect("a time"), time);
    assert_eq!(image.text("app/installed").expect("the file"), "two\n");
}

#[test]
fn a_command_that_ran_anew_takes_nothing_along_that_was_built_on_the_old_one() {
    let dockerfile =
        "FROM BASE/base\nRUN cat /proc/sys/kernel/random/uuid > /one\nRUN cp /one /two\n";
    let project = Project::new(dockerfile);
    project.build();
    let before = uuid(&project, "one");
    project.build_with(&["--no-cache"]);
    let image = project.bench.image();
    assert_ne!(image.text("one").expect("one"), before);
    assert_eq!(image.text("one").expect("one"), image.text("two").expect("two"));
    let seen = project.build();
    assert_eq!(seen.cached(), 2, "{}", seen.outcome);
    assert_eq!(
        project.bench.image().text("one").expect("a file"),
        image.text("one").expect("a file")
    );
    assert_eq!(
        project.bench.image().text("two").expect("a file"),
        image.text("two").expect("a file")
    );
}

#[test]
fn a_failed_build_leaves_what_succeeded() {
    let mut project =
        Project::new("FROM BASE/base\nRUN cat /proc/sys/kernel/random/uuid > /one\nRUN exit 3\n");
    let failed = project.kiln().run();
    assert_eq!(failed.code, Some(3), "{failed}");
    project.dockerfile =
        "FROM BASE/base\nRUN cat /proc/sys/kernel/random/uuid > /one\nRUN exit 0\n".into();
    let seen = project.build();
    assert_eq!(seen.cached(), 1, "{}", seen.outcome);
}

#[test]
fn layers_go_over_the_wire_once() {
    let mut project = Project::new("FROM BASE/base\nCOPY big /\n");
    let noise: String = bases::noise(200_000, 7).iter().map(|byte| format!("{byte:02x}")).collect();
    project.write("big", &noise);
    let seen = project.build();
    // Half of the text compresses away. It is in the image's repository and in the cache's.
    assert!(seen.uploaded() < 320_000, "{}\n{}", seen.uploaded(), seen.lines());
    let mounts = seen.requests.iter().filter(|it| it.query.contains("mount="));
    assert!(mounts.count() >= 1, "{}", seen.lines());
}

#[test]
fn stages_that_nobody_needs_are_not_touched() {
    let mut project = Project::new(
        "FROM BASE/base AS build\nCOPY app.py /src/\nRUN cp /src/app.py /made; cat /proc/sys/kernel/random/uuid >> /made\n\
         FROM scratch\nCOPY --from=build /made /\nCOPY other /\n",
    );
    project.write("other", "1");
    project.build();
    let made = project.bench.image().text("made").expect("made");
    project.write("other", "2");
    let seen = project.build();
    assert_eq!(seen.cached(), 1, "{}", seen.outcome);
    assert!(!seen.outcome.stderr.contains("[build"), "{}", seen.outcome);
    assert_eq!(project.bench.image().text("made").expect("made"), made);
    assert_eq!(project.bench.image().text("other").expect("other"), "2");
}

#[test]
fn files_that_change_while_they_are_built_with_leave_no_result() {
    let mut project = Project::new("FROM BASE/base\nRUN echo now; sleep 1\nCOPY app.py /\n");
    project.bench.registry.clear_requests();
    let (mut command, dir) = project.kiln().into_command();
    let file = dir.path().join("context/app.py");
    let mut child = command.stderr(std::process::Stdio::piped()).spawn().expect("kiln starts");
    let mut lines =
        std::io::BufRead::lines(std::io::BufReader::new(child.stderr.take().expect("a pipe")))
            .map(|line| line.expect("text"));
    assert!(lines.any(|line| line.ends_with(" now")), "the command never began");
    std::fs::write(file, "print('new')\n").expect("written");
    let rest: String = lines.collect();
    assert!(child.wait().expect("it ends").success(), "{rest}");
    assert!(rest.contains("files changed while they were built with"), "{rest}");
    // What the context was then is not what is in that image.
    project.write("app.py", "print(1)\n");
    let seen = project.build();
    assert_eq!(seen.cached(), 1, "{}", seen.outcome);
    assert_eq!(uuid(&project, "app.py"), "print(1)\n");
}

#[test]
fn what_another_build_writes_meanwhile_is_kept() {
    let uuid = "cat /proc/sys/kernel/random/uuid";
    let mut project =
        Project::new(&format!("FROM BASE/base\nRUN echo now; sleep 2; {uuid} > /a\n"));
    let (mut command, _dir) = project.kiln().into_command();
    let mut child = command.stderr(std::process::Stdio::piped()).spawn().expect("kiln starts");
    let mut lines =
        std::io::BufRead::lines(std::io::BufReader::new(child.stderr.take().expect("a pipe")))
            .map(|line| line.expect("text"));
    assert!(lines.any(|line| line.ends_with(" now")), "the command never began");
    let slow =
        std::mem::replace(&mut project.dockerfile, format!("FROM BASE/base\nRUN {uuid} > /b\n"));
    project.build();
    let rest: String = lines.collect();
    assert!(child.wait().expect("it ends").success(), "{rest}");
    for dockerfile in [project.dockerfile.clone(), slow] {
        project.dockerfile = dockerfile;
        let seen = project.build();
        assert_eq!(seen.cached(), 1, "{}", seen.outcome);
    }
}

#[test]
fn whether_there_is_a_secret_is_in_the_key() {
    let project = Project::new(
        "FROM BASE/base\nRUN --mount=type=secret,id=s test -s /run/secrets/s && echo y > /o || echo n > /o\n",
    );
    project.build();
    assert_eq!(uuid(&project, "o"), "n\n");
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("s");
    std::fs::write(&file, "hunter2").expect("written");
    let secret = format!("id=s,src={}", file.display());
    let seen = project.build_with(&["--secret", &secret]);
    assert_eq!((seen.cached(), uuid(&project, "o").as_str()), (0, "y\n"), "{}", seen.outcome);
    std::fs::write(&file, "another").expect("written");
    let seen = project.build_with(&["--secret", &secret]);
    assert_eq!(seen.cached(), 1, "{}", seen.outcome);
}

#[test]
fn of_several_archives_each_and_their_order_are_in_the_key() {
    let mut project = Project::new("FROM BASE/base\nADD one/t.tar two/t.tar /x/\n");
    let archive = |text: &str| testkit::tar::TarBytes::new().file("f", text).finish();
    let build = |project: &Project, one: &str, two: &str| {
        let kiln = project.kiln().file("one/t.tar", archive(one)).file("two/t.tar", archive(two));
        let outcome = kiln.run().ok();
        (outcome.stderr.matches(" skipped: cached").count(), uuid(project, "x/f"))
    };
    assert_eq!(build(&project, "1", "2"), (0, "2".into()));
    assert_eq!(build(&project, "3", "2").0, 0, "the first one changed");
    assert_eq!(build(&project, "3", "2").0, 1);
    project.dockerfile = "FROM BASE/base\nADD two/t.tar one/t.tar /x/\n".into();
    assert_eq!(build(&project, "3", "2"), (0, "3".into()));
}
