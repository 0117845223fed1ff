//! `kiln doctor`, the real program, on machines that allow different things.

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::common::Outcome;

/// A doctor's visit in a directory of its own, with nothing in the environment but what is added.
struct Visit {
    dir: tempfile::TempDir,
    args: Vec<String>,
    variables: Vec<(&'static str, String)>,
    /// Programs that start the doctor, with their arguments.
    around: Vec<String>,
}

impl Visit {
    fn new() -> Self {
        common::built::need_root();
        let dir = tempfile::tempdir().expect("a directory");
        for name in ["home", "tmp", "context", "work"] {
            fs::create_dir(dir.path().join(name)).expect("a directory");
        }
        // For whoever is not root.
        fs::copy(common::program(), dir.path().join("kiln")).expect("a copy of kiln");
        for name in ["", "tmp", "work"] {
            let everybody = fs::Permissions::from_mode(0o777);
            fs::set_permissions(dir.path().join(name), everybody).expect("readable by all");
        }
        Self { dir, args: Vec::new(), variables: Vec::new(), around: Vec::new() }
    }

    fn args(mut self, args: &[&str]) -> Self {
        self.args.extend(args.iter().map(|arg| (*arg).to_owned()));
        self
    }

    fn env(mut self, name: &'static str, value: &str) -> Self {
        self.variables.push((name, value.to_owned()));
        self
    }

    fn around(mut self, command: &[&str]) -> Self {
        self.around.extend(command.iter().map(|arg| (*arg).to_owned()));
        self
    }

    /// In a mount namespace with a file system at `work`, which is the work directory.
    fn work_on(self, file_system: &str, options: &str) -> Self {
        let script = "mount -t \"$1\" -o \"$2\" none work || exit 99; shift 2; exec \"$@\"";
        let shell = ["unshare", "--mount", "sh", "-c", script, "sh", file_system, options];
        self.around(&shell).args(&["--work-dir", "work", "--context", "context"])
    }

    /// In a user namespace that allows no more of them, without the right to mount: what a
    /// container's root has, but for these capabilities, and with one id.
    fn like_a_container(self, but: &str) -> Self {
        let script = format!(
            "echo 0 > /proc/sys/user/max_user_namespaces || exit 99\n\
             exec setpriv --bounding-set=-sys_admin{but} --inh-caps=-all -- \"$@\""
        );
        self.around(&["unshare", "--user", "--map-root-user", "sh", "-c", &script, "sh"])
    }

    fn visit(&self) -> Outcome {
        let mut line = self.around.clone();
        line.extend([self.path("kiln"), "doctor".to_owned()]);
        line.extend(self.args.iter().cloned());
        let mut command = Command::new(&line[0]);
        command
            .args(&line[1..])
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", self.path("home"))
            .env("TMPDIR", self.path("tmp"))
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .current_dir(self.dir.path())
            .stdin(Stdio::null());
        let outcome = Outcome::from(command.output().expect("unshare and setpriv (util-linux)"));
        let left = fs::read_dir(self.path("tmp")).expect("a directory").count();
        assert_eq!(left, 0, "left behind\n{outcome}");
        outcome
    }

    fn json(self) -> (Value, Option<i32>) {
        let outcome = self.args(&["--json"]).visit();
        let json = serde_json::from_str(&outcome.stdout);
        (json.unwrap_or_else(|error| panic!("{error}\n{outcome}")), outcome.code)
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }
}

/// Findings of this weight, a line each.
fn findings(answer: &Value, weight: &str) -> String {
    let all = answer["findings"].as_array().expect("a list");
    let texts = all.iter().filter(|f| f["weight"] == weight).map(|f| f["what"].to_string() + "\n");
    texts.collect()
}

#[test]
fn root_of_a_machine_gets_namespaces() {
    let visit = Visit::new();
    let dir = visit.path("");
    let outcome = visit.visit();
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert_eq!(outcome.stderr, "");
    // What is the same wherever it runs.
    let stable = ["* ", "  chroot", "  inplace", "  none", "  docker.io", "A RUN"];
    let lines = outcome.stdout.lines().filter(|line| {
        stable.iter().any(|start| line.starts_with(start))
            || line.len() > 1 && !line.starts_with(' ')
    });
    let text: String = lines.map(|line| line.replace(&*dir, "$DIR/") + "\n").collect();
    insta::assert_snapshot!(text);
}

#[test]
fn another_user_without_ranges_hears_what_is_missing() {
    let user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    let (answer, code) = Visit::new().around(&user).json();
    assert_eq!((code, &answer["chosen"]["kind"]), (Some(0), &"namespaces".into()), "{answer:#}");
    // The process as it was started, not as it is in the user namespace.
    assert_eq!(answer["machine"]["uid"], 65534);
    assert_eq!(answer["machine"]["capabilities"], Value::Array(vec![]));
    assert!(findings(&answer, "limits").contains("root is the only user"), "{answer:#}");
}

#[test]
fn no_new_privs_is_explained() {
    let (answer, code) = Visit::new().around(&["setpriv", "--no-new-privs"]).json();
    assert_eq!((code, &answer["machine"]["no_new_privs"]), (Some(0), &true.into()));
    assert!(findings(&answer, "limits").contains("sudo"), "{answer:#}");
}

#[test]
fn what_a_container_lacks_is_named() {
    let (answer, code) = Visit::new().like_a_container(",-setfcap").json();
    assert_eq!((code, &answer["chosen"]["kind"]), (Some(0), &"chroot".into()), "{answer:#}");
    assert_eq!(answer["steps"][0]["kind"], "namespaces");
    assert!(answer["steps"][0]["advice"].to_string().contains("max_user_namespaces"), "{answer:#}");
    assert!(findings(&answer, "limits").contains("without SETFCAP"), "{answer:#}");
    assert!(findings(&answer, "note").contains("sudo"), "{answer:#}");
}

#[test]
fn a_noexec_work_directory_stops_a_chroot_and_no_namespaces() {
    let (answer, code) = Visit::new().work_on("tmpfs", "noexec,nosuid").json();
    assert_eq!((code, &answer["chosen"]["kind"]), (Some(0), &"namespaces".into()), "{answer:#}");
    assert_eq!(answer["directories"][0]["options"], serde_json::json!(["noexec", "nosuid"]));

    let (answer, code) = Visit::new().work_on("tmpfs", "noexec").like_a_container("").json();
    assert_eq!((code, &answer["chosen"]["kind"]), (Some(1), &"chroot".into()), "{answer:#}");
    assert!(findings(&answer, "blocks").contains("noexec"), "{answer:#}");
    assert_eq!(answer["run_possible"], false);
}

#[test]
fn a_read_only_work_directory_and_one_without_inodes() {
    let (answer, code) = Visit::new().work_on("tmpfs", "ro").json();
    assert_eq!(code, Some(1), "{answer:#}");
    let problem = findings(&answer, "blocks");
    assert!(problem.contains("no place") && problem.contains("Read-only"), "{answer:#}");

    let (answer, code) = Visit::new().work_on("tmpfs", "nr_inodes=20").json();
    assert_eq!(code, Some(0), "{answer:#}");
    assert!(findings(&answer, "limits").contains("few free inodes"), "{answer:#}");
}

#[test]
fn credentials_are_told_by_source_and_user_and_never_shown() {
    let text = r#"{"auths":{"r.example":{"username":"me","password":"secret"}}}"#;
    let visit = Visit::new()
        .env("DOCKER_AUTH_CONFIG", text)
        .env("CI_REGISTRY", "gitlab.example:5050")
        .env("CI_REGISTRY_USER", "job")
        .env("CI_REGISTRY_PASSWORD", "secret")
        .args(&["r.example/app"]);
    let outcome = visit.visit();
    assert_eq!(outcome.code, Some(0), "{outcome}");
    for line in [
        "  r.example/app: user `me`, from DOCKER_AUTH_CONFIG (`r.example`)",
        "  gitlab.example:5050: user `job`, from CI_REGISTRY, CI_REGISTRY_PASSWORD",
        "  docker.io: none: it is asked without",
    ] {
        let found = outcome.stdout.lines().any(|own| own.starts_with(line));
        assert!(found, "no line `{line}`\n{outcome}");
    }
    assert!(!outcome.to_string().contains("secret"), "{outcome}");
}

#[test]
fn a_broken_config_json_is_named_with_its_line() {
    let visit = Visit::new();
    fs::create_dir(visit.path("home/.docker")).expect("a directory");
    fs::write(visit.path("home/.docker/config.json"), "{\n\"auths\": {,}}").expect("a file");
    let (answer, code) = visit.json();
    // It is no matter of a RUN.
    assert_eq!(code, Some(0), "{answer:#}");
    let found = findings(&answer, "limits");
    assert!(found.contains("config.json") && found.contains("line 2"), "{found}");
}
