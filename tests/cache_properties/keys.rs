//! What changes a result is in the key of a step, and what does not is not.

use super::lab::Lab;
use super::project::{Files, Node, Project};

/// A build before a change, and after it.
struct Job {
    dockerfile: String,
    files: Files,
    named: Files,
    ignore: String,
    flags: Vec<String>,
    base: usize,
}

type Change = fn(&mut Job);

/// Whether the last command of the Dockerfile runs again.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
enum Then {
    Hit,
    Miss,
}
use Then::{Hit, Miss};

/// Stands for a command that gives something else each time.
const RUN: &str = "RUN cat /proc/sys/kernel/random/uuid > /u";
const BIND: &str =
    "RUN --mount=type=bind,source=/d,target=/m cat /proc/sys/kernel/random/uuid > /u";

fn file(content: &str) -> Node {
    Node::File(content.into(), 0o644)
}

fn replace(job: &mut Job, old: &str, new: &str) {
    assert!(job.dockerfile.contains(old), "{old}");
    job.dockerfile = job.dockerfile.replace(old, new);
}

fn flag(job: &mut Job, flag: &str) {
    job.flags.extend(flag.split(' ').map(str::to_owned));
}

/// A name, the Dockerfile behind `FROM BASE:v0`, a change, and whether the last command runs again.
#[rustfmt::skip]
fn cases() -> Vec<(&'static str, String, Change, Then)> {
    let copy = |copy: &str| format!("{copy}\n{RUN}");
    vec![
        // Files.
        ("a file's content", copy("COPY a /f"), |it| drop(it.files.insert("a".into(), file("2"))), Miss),
        ("a file's mode", copy("COPY a /f"), |it| drop(it.files.insert("a".into(), Node::File("1".into(), 0o755))), Miss),
        ("a file's time", copy("COPY . /f"), |_| {}, Hit),
        ("another file", copy("COPY a /f"), |it| drop(it.files.insert("b".into(), file("2"))), Hit),
        ("a file that a pattern does not match", copy("COPY a* /f/"), |it| drop(it.files.insert("b".into(), file("2"))), Hit),
        ("a file that a pattern matches", copy("COPY a* /f/"), |it| drop(it.files.insert("a2".into(), file("2"))), Miss),
        ("an ignored file", copy("COPY . /f"), |it| drop(it.files.insert("x.log".into(), file("2"))), Hit),
        ("a file is ignored", copy("COPY . /f"), |it| it.ignore = "*.log\na".into(), Miss),
        ("an ignore file that hides nothing more", copy("COPY d /f"), |it| it.ignore = "*.log\nd/nothing".into(), Hit),
        ("the name of a file copied into a directory", copy("COPY a /x"), |it| { replace(it, "COPY a", "COPY b"); it.files.insert("b".into(), file("1")); }, Miss),
        ("the name of the only file that a pattern matches", copy("COPY a* /x"), |it| { it.files.remove("a"); it.files.insert("a2".into(), file("1")); }, Miss),
        ("a file, and a directory with such a file", copy("COPY a /x"), |it| { it.files.remove("a"); it.files.insert("a/a".into(), file("1")); }, Miss),
        ("several files into a directory that is there", copy("COPY d/* /x"), |_| {}, Hit),
        ("a directory of the same files", copy("COPY d /f"), |it| { replace(it, "COPY d", "COPY e"); it.files.insert("e/a".into(), file("1")); it.files.insert("e/b".into(), file("1")); }, Hit),
        ("a link for a file", copy("COPY d /f"), |it| drop(it.files.insert("d/a".into(), Node::Link("b".into()))), Miss),
        ("a mounted file", BIND.into(), |it| drop(it.files.insert("d/a".into(), file("2"))), Miss),
        ("a file that is not mounted", BIND.into(), |it| drop(it.files.insert("a".into(), file("2"))), Hit),
        ("the mode of a mounted directory", BIND.into(), |it| drop(it.files.insert("d".into(), Node::Dir(0o700))), Miss),
        ("a file for a mounted directory", BIND.into(), |it| { it.files.retain(|name, _| !name.starts_with("d/")); it.files.insert("d".into(), file("1")); }, Miss),
        ("a file of a named context", copy("COPY --from=nc n /f"), |it| drop(it.named.insert("n".into(), file("2"))), Miss),
        ("another file of a named context", copy("COPY --from=nc n /f"), |it| drop(it.named.insert("m".into(), file("2"))), Hit),
        // Words.
        ("an argument that is declared", copy("ARG B"), |it| flag(it, "--build-arg B=1"), Miss),
        ("an argument that is not", copy("ARG C"), |it| flag(it, "--build-arg B=1"), Hit),
        ("an argument that is declared later", format!("{RUN}\nARG B"), |it| flag(it, "--build-arg B=1"), Hit),
        ("a variable", copy("ENV A=1"), |it| replace(it, "A=1", "A=2"), Miss),
        ("a variable that is set later", format!("{RUN}\nENV A=1"), |it| replace(it, "A=1", "A=2"), Hit),
        ("a label", copy("LABEL a=1"), |it| replace(it, "a=1", "a=2"), Hit),
        ("a comment", copy("# a"), |it| replace(it, "# a", "# b\n\n# c"), Hit),
        ("CMD", copy("CMD a"), |it| replace(it, "CMD a", "CMD [\"b\"]"), Hit),
        ("VOLUME", copy("VOLUME /a"), |it| replace(it, "/a", "/b"), Hit),
        ("the user", copy("USER 0"), |it| replace(it, "USER 0", "USER root"), Miss),
        ("the working directory", copy("WORKDIR /x"), |it| replace(it, "/x", "/w"), Miss),
        ("the owner of a new working directory", copy("USER 5\nWORKDIR /n\nUSER 0"), |it| replace(it, "USER 5", "USER 6"), Miss),
        ("the shell", copy("SHELL [\"/bin/sh\", \"-c\"]"), |it| replace(it, "-c", "-ec"), Miss),
        ("the command", RUN.into(), |it| replace(it, "> /u", ">/u"), Miss),
        ("a heredoc's body", format!("RUN <<E\n{}\nE", &RUN[4..]), |it| replace(it, "\nE", "\ntrue\nE"), Miss),
        ("a heredoc's variable", copy("ARG B\nCOPY <<E /f\n$B\nE\nARG B=3"), |it| flag(it, "--build-arg B=1"), Miss),
        ("--chmod", copy("COPY --chmod=644 a /f"), |it| replace(it, "644", "600"), Miss),
        ("--chown", copy("COPY --chown=1 a /f"), |it| replace(it, "=1", "=2"), Miss),
        ("the destination", copy("COPY a /f"), |it| replace(it, "/f", "/g"), Miss),
        ("the size of a tmpfs", "RUN --mount=type=tmpfs,target=/m,size=1m cat /proc/sys/kernel/random/uuid > /u".into(), |it| replace(it, "1m", "2m"), Miss),
        ("the name of a cache", "RUN --mount=type=cache,target=/m,id=a cat /proc/sys/kernel/random/uuid > /u".into(), |it| replace(it, "id=a", "id=b"), Hit),
        // Names.
        ("the image behind a tag", RUN.into(), |it| it.base = 1, Miss),
        ("another name of the same image", RUN.into(), |it| replace(it, "BASE:latest", "BASE:v0"), Hit),
        ("another name of an image that is copied from", copy("COPY --from=BASE:v0 /w /f"), |it| replace(it, "v0", "latest"), Hit),
        ("another image that is copied from", copy("COPY --from=BASE:v0 /w /f"), |it| replace(it, "v0", "v2"), Miss),
        ("another name of a mounted image", "RUN --mount=type=bind,from=BASE:v0,target=/m cat /proc/sys/kernel/random/uuid > /u".into(), |it| replace(it, "v0", "latest"), Hit),
        ("the name of a stage", format!("RUN true\nFROM BASE:latest AS two\nCOPY --from=one /w /f\n{RUN}"), |it| { replace(it, "AS one", "AS uno"); replace(it, "from=one", "from=uno"); }, Hit),
        ("a stage before the others", format!("RUN true\nFROM BASE:latest AS two\nCOPY --from=one /w /f\n{RUN}"), |it| it.dockerfile.insert_str(0, "FROM BASE:v1 AS zero\nRUN false\n"), Hit),
        ("a stage that others start from", RUN.into(), |it| replace(it, "AS one\n", "AS zero\nFROM zero AS one\n"), Hit),
        ("a step of the stage that is copied from", format!("COPY a /w/\nFROM BASE:latest AS two\nCOPY --from=one /w /f\n{RUN}"), |it| drop(it.files.insert("a".into(), file("2"))), Miss),
        // Flags.
        ("--add-host", RUN.into(), |it| flag(it, "--add-host a:1.2.3.4"), Miss),
        ("--shm-size", RUN.into(), |it| flag(it, "--shm-size 1m"), Miss),
        ("--ulimit", RUN.into(), |it| flag(it, "--ulimit nofile=100"), Miss),
        ("--network", RUN.into(), |it| flag(it, "--network none"), Miss),
        ("--compression", RUN.into(), |it| flag(it, "--compression zstd"), Miss),
        ("--isolation", RUN.into(), |it| flag(it, "--isolation chroot"), Hit),
        ("--label", RUN.into(), |it| flag(it, "--label a=b"), Hit),
        ("a proxy", RUN.into(), |it| flag(it, "--build-arg http_proxy=http://127.0.0.1:1"), Hit),
        ("--no-cache-filter of its stage", RUN.into(), |it| flag(it, "--no-cache-filter one"), Miss),
        ("--no-cache-filter of another stage", format!("RUN true\nFROM BASE:latest AS two\n{RUN}"), |it| flag(it, "--no-cache-filter one"), Hit),
        ("--no-cache-filter of a stage that is copied from", format!("{RUN}\nFROM BASE:latest AS two\nCOPY --from=one /u /u"), |it| flag(it, "--no-cache-filter one"), Miss),
        ("--cache-run-layers=false, of a stage that is copied from", format!("{RUN}\nFROM BASE:latest AS two\nCOPY --from=one /u /u"), |it| flag(it, "--cache-run-layers=false"), Miss),
    ]
}

#[test]
fn what_changes_a_result_is_a_miss_and_nothing_else_is() {
    let lab = Lab::new();
    let mut wrong = Vec::new();
    for (number, (name, steps, change, then)) in cases().into_iter().enumerate() {
        let mut files: Files = ["a", "d/a", "d/b"].map(|name| (name.to_owned(), file("1"))).into();
        files.insert("x.log".into(), file("1"));
        let mut job = Job {
            dockerfile: format!("FROM BASE:latest AS one\n{steps}\n"),
            files,
            named: [("n".to_owned(), file("1"))].into(),
            ignore: "*.log".into(),
            flags: Vec::new(),
            base: 0,
        };
        let cache = format!("c{number}");
        let before = build(&lab, &job, &cache);
        change(&mut job);
        let after = build(&lab, &job, &cache);
        let (Ok(before), Ok((after, log))) = (before, after) else {
            wrong.push(format!("{name}: a build failed"));
            continue;
        };
        let found = if before.0 == after { Hit } else { Miss };
        if found != then {
            wrong.push(format!("{name}: a {found:?}, not a {then:?}\n{log}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What the command gave, and the log.
fn build(lab: &Lab, job: &Job, cache: &str) -> Result<(String, String), String> {
    let project = Project {
        files: job.files.clone(),
        named: job.named.clone(),
        ignore: vec![job.ignore.clone()],
        stages: Vec::new(),
        args: [].into(),
        target: None,
        base: job.base,
        counter: 0,
    };
    lab.write(&project);
    let base = format!("{}/base", lab.registry.host());
    std::fs::write(lab.path("Dockerfile"), job.dockerfile.replace("BASE", &base)).unwrap();
    let flags =
        [vec!["--cache-repo".into(), lab.cache(cache), "--explain".into()], job.flags.clone()];
    let built = lab.build(&project, "a", &flags.concat());
    let log = built.outcome.to_string();
    let image = built.image.ok_or_else(|| {
        eprintln!("{log}");
        log.clone()
    })?;
    let lines = log.lines().filter(|line| line.contains("cache: "));
    Ok((image.text("u").unwrap(), lines.map(|line| format!("{line}\n")).collect()))
}
