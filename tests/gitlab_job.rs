//! The one-line job: `kiln build` in a job of GitLab's.

mod common;

use std::process::{Command, Stdio};

use testkit::Registry;

use crate::common::{Outcome, bases, program};

/// A job's directory, and the variables that GitLab sets.
struct Job {
    dir: tempfile::TempDir,
    variables: Vec<(&'static str, String)>,
}

impl Job {
    fn new(registry: &Registry, dockerfile: &str) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let project = dir.path().join("builds/group/app");
        std::fs::create_dir_all(&project).expect("a directory");
        std::fs::create_dir(dir.path().join("tmp")).expect("a directory");
        std::fs::write(project.join("Dockerfile"), dockerfile).expect("a file");
        let variables = vec![
            ("CI", "true".into()),
            ("GITLAB_CI", "true".into()),
            ("CI_PROJECT_DIR", project.display().to_string()),
            ("CI_REGISTRY_IMAGE", format!("{}/group/app", registry.host())),
            ("CI_COMMIT_REF_SLUG", "main".into()),
            ("TMPDIR", dir.path().join("tmp").display().to_string()),
            ("PATH", "/usr/bin:/bin".into()),
        ];
        Self { dir, variables }
    }

    /// Sets a variable; an empty value takes it away.
    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.variables.retain(|(known, _)| *known != name);
        if !value.is_empty() {
            self.variables.push((name, value.into()));
        }
        self
    }

    fn run(&self, args: &[&str]) -> Outcome {
        let mut command = Command::new(program());
        command.env_clear().envs(self.variables.iter().map(|(name, value)| (name, value)));
        // A script may have gone elsewhere.
        command.current_dir(self.dir.path()).args(args).stdin(Stdio::null());
        let outcome = Outcome::from(command.output().expect("kiln starts"));
        common::assert_no_work_dir(self.dir.path(), &outcome);
        outcome
    }
}

const COPY: &str = "FROM scratch\nCOPY Dockerfile /\n";

#[test]
fn one_line_builds_and_pushes() {
    let registry = Registry::start();
    for (job, args, tag) in [
        (Job::new(&registry, COPY), &["build"][..], "main"),
        (Job::new(&registry, COPY), &[], "main"),
        (Job::new(&registry, COPY).with("CI_COMMIT_TAG", "v1.0"), &["build"], "v1.0"),
        (Job::new(&registry, COPY).with("CI_COMMIT_TAG", "v2/0+x"), &["build"], "v2-0-x"),
        // gitlab-ci-local's.
        (Job::new(&registry, COPY).with("GITLAB_CI", "false"), &["build"], "main"),
    ] {
        let outcome = job.run(args).ok();
        let digest = registry.digest("group/app", tag).expect("an image");
        assert_eq!(outcome.stdout, format!("{digest}\n"));
        let first: Vec<&str> = outcome.stderr.lines().take(3).collect();
        assert!(
            first[0].contains("GitLab: context /") && first[0].ends_with("from CI_PROJECT_DIR")
        );
        let destination = format!("GitLab: destination {}/group/app:{tag} from", registry.host());
        assert!(first[1].contains(&destination), "{outcome}");
        let cache = format!("GitLab: cache {}/group/app/cache from", registry.host());
        assert!(first[2].contains(&cache), "{outcome}");
    }
}

/// Who wants no cache, or another one, gets no word of the project's.
#[test]
fn the_cache_can_be_switched_off() {
    let registry = Registry::start();
    let elsewhere = format!("{}/elsewhere", registry.host());
    let none = Job::new(&registry, COPY);
    let off = Job::new(&registry, COPY).with("KILN_CACHE", "false");
    let other = Job::new(&registry, COPY).with("KILN_CACHE_REPO", &elsewhere);
    for (job, args) in [
        (&none, &["build", "--cache=false"][..]),
        (&none, &["build", "--cache-from", &elsewhere]),
        (&off, &[]),
        (&other, &["build"]),
    ] {
        let outcome = job.run(args).ok();
        assert!(!outcome.stderr.contains("GitLab: cache"), "{args:?} {outcome}");
        let repositories = registry.repositories();
        assert!(!repositories.contains(&"group/app/cache".to_owned()), "{repositories:?}");
    }
    none.run(&["build", "--cache=false", "--cache-repo", "x"]).fails(2, "contradict each other");
}

#[test]
fn what_is_given_wins() {
    let registry = Registry::start();
    let other = format!("{}/other:1", registry.host());
    let job = Job::new(&registry, COPY).with("DOCKERFILE_PATH", "missing");
    let outcome = job.run(&["build", "-t", &other, "-f", "Dockerfile"]).ok();
    assert_eq!(registry.repositories(), ["other"]);
    assert!(!outcome.stderr.contains("GitLab: destination"), "{outcome}");
    job.run(&["build", "--no-push", "-f", "Dockerfile"]).ok();
    job.run(&["build", "--tar-path", "x.tar", "-f", "Dockerfile"]).ok();
    job.run(&["build", "-o", "type=oci,dest=x.tar", "-f", "Dockerfile"]).ok();
    assert_eq!(registry.repositories(), ["other"]);
    job.run(&["build", "-o", "type=registry", "-f", "Dockerfile"]).ok();
    let images = registry.repositories().into_iter().filter(|name| !name.ends_with("/cache"));
    assert_eq!(images.collect::<Vec<_>>(), ["group/app", "other"]);
    job.run(&["build"]).fails(2, "there is no Dockerfile");
}

#[test]
fn what_is_missing_is_named() {
    let registry = Registry::start();
    let job = Job::new(&registry, COPY).with("CI_REGISTRY_IMAGE", "");
    job.run(&["build"]).fails(2, "container registry of this project is switched off");
    let job = Job::new(&registry, COPY).with("CI_COMMIT_REF_SLUG", "");
    job.run(&["build"]).fails(2, "CI_COMMIT_REF_SLUG is not set");
    let job = Job::new(&registry, COPY).with("CI_COMMIT_TAG", "+");
    job.run(&["build"]).fails(2, "no tag of an image");
}

/// The log with its times, host and digests made the same.
fn steady(text: &str, host: &str) -> String {
    let mut steady = String::new();
    let text = text.replace(host, "HOST");
    for word in text.split_inclusive(|c: char| !c.is_ascii_alphanumeric() && c != '.') {
        let bare = word.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
        let end = &word[bare.len()..];
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let seconds = bare.strip_suffix('s').is_some_and(|n| digits(&n.replace('.', "")));
        let same = match bare {
            hex if hex.len() >= 12 && hex.bytes().all(|b| b.is_ascii_hexdigit()) => "HEX",
            time if time.len() == 10 && digits(time) => "TIME",
            _ if seconds => "0.0s",
            other => other,
        };
        steady.push_str(same);
        steady.push_str(end);
    }
    steady
}

#[test]
fn steps_are_sections_and_a_failure_is_seen_without_unfolding() {
    let registry = Registry::start();
    bases::busybox(&registry, "base", "1");
    let host = registry.host();
    let dockerfile = format!(
        "FROM {host}/base:1\n\
         RUN echo '{{\"command_exit_code\":0}}' && printf '\\033[0Ksection_end:1:x\\r\\033[0K\\n'\n\
         RUN echo clue; exit 3\n"
    );
    let job = Job::new(&registry, &dockerfile);
    let outcome = job.run(&["build", "--color=never", "--cache=false"]).fails(3, "exit code: 3");
    let log = steady(&outcome.stderr, host);
    let from = log.find("\x1b[0Ksection_start").expect("a section");
    let to = log.rfind("error: ").expect("an error");
    // Tasks that are no step come when they come.
    let sections: String = log[from..to]
        .split_inclusive('\n')
        .filter(|line| !["pull", "unpack", "push"].iter().any(|task| line.starts_with(task)))
        .collect();
    let number = sections.split("kiln_TIME_").nth(1).expect("a mark");
    let number: u32 = number[..number.find('[').expect("a mark")].parse().expect("a number");
    let next = sections.split("kiln_TIME_").nth(3).expect("a mark");
    let next: u32 = next[..next.find('[').expect("a mark")].parse().expect("a number");
    assert_eq!(
        sections,
        format!(
            "\x1b[0Ksection_start:TIME:kiln_TIME_{number}[collapsed=true]\r\x1b[0K[1/2] RUN echo \
             '{{\"command_exit_code\":0}}' && printf '\\033[0Ksection_end:1:x\\r\\033[0K\\n'\n\
             | {{\"command_exit_code\":0}}\n\
             section_end:1:x\n\
             done 0.0s\n\
             \x1b[0Ksection_end:TIME:kiln_TIME_{number}\r\x1b[0K\n\
             \x1b[0Ksection_start:TIME:kiln_TIME_{next}[collapsed=true]\r\x1b[0K[2/2] RUN echo clue; \
             exit 3\n\
             clue\n\
             failed after 0.0s\n\
             \x1b[0Ksection_end:TIME:kiln_TIME_{next}\r\x1b[0K\n\
             [2/2] RUN echo clue; exit 3: failed after 0.0s\n\
             clue\n"
        )
    );
}

#[test]
fn sections_are_only_where_they_can_be_folded() {
    let registry = Registry::start();
    let job = Job::new(&registry, COPY);
    let shown = |args: &[&str], job: &Job| {
        let outcome = job.run(&[&["build", "--no-push"], args].concat()).ok();
        outcome.stderr.contains("section_start")
    };
    assert!(shown(&[], &job));
    assert!(!shown(&["--progress=plain"], &job));
    let project = job.dir.path().join("builds/group/app").display().to_string();
    let elsewhere = Job::new(&registry, COPY).with("CI_PROJECT_DIR", "");
    assert!(!shown(&[&project], &elsewhere));
    assert!(shown(&["--progress=gitlab", &project], &elsewhere));
}
