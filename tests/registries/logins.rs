//! `kiln login` and `kiln logout`, beside docker's and podman's.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use testkit::process::docker_registry;
use testkit::{Registry, client};

use crate::common::{Kiln, Outcome, tools};

const USER: &str = "builder";
const PASSWORD: &str = "pass word:with=all\"\\$";

/// A home directory that several calls share.
struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    fn config(&self) -> PathBuf {
        self.0.path().join(".docker/config.json")
    }

    fn read(&self) -> Value {
        serde_json::from_slice(&fs::read(self.config()).expect("a config.json")).expect("JSON")
    }

    fn write(&self, config: &Value) {
        fs::create_dir_all(self.0.path().join(".docker")).expect("a directory");
        fs::write(self.config(), config.to_string()).expect("a file");
    }

    /// Puts a program beside the others.
    fn program(&self, name: &str, script: &str) {
        let path = self.0.path().join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}")).expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("permissions");
    }

    /// Runs kiln with a password on standard input. No secret may be printed.
    fn kiln(&self, name: &str, args: &[&str], input: &str) -> Outcome {
        let path = format!("{}:/usr/bin:/bin", self.0.path().display());
        let kiln = Kiln::subcommand(name).args(args).env("HOME", self.0.path()).env("PATH", path);
        let (mut command, _dir) = kiln.into_bare_command();
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("kiln starts");
        // One that fails at once need not read it.
        let _ = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
        let outcome = Outcome::from(child.wait_with_output().expect("it ends"));
        assert!(!outcome.to_string().contains(PASSWORD), "{outcome}");
        outcome
    }

    fn login(&self, server: &str, password: &str) -> Outcome {
        self.kiln("login", &["-u", USER, "--password-stdin", server], password)
    }
}

#[test]
fn a_login_is_asked_about_kept_and_used() {
    let registry = Registry::builder().token_auth(USER, PASSWORD, Duration::from_secs(60)).start();
    let (home, host) = (Home::new(), registry.host());
    let wrong = home.login(host, "geheim\n").fails(1, "does not let `builder` in");
    assert!(!wrong.stderr.contains("geheim") && !home.config().exists(), "{wrong}");
    let outcome = home.login(host, &format!("{PASSWORD}\n")).ok();
    assert!(outcome.stdout.starts_with(&format!("Logged in to {host} as {USER};")), "{outcome}");
    // A token for nothing in particular.
    let requests = registry.requests();
    let tokens: Vec<_> = requests.iter().filter(|it| it.path.starts_with("/token")).collect();
    assert!(!tokens.is_empty() && tokens.iter().all(|it| !it.line().contains("scope=")));
    let mode = fs::metadata(home.config()).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let build = Kiln::build()
        .dockerfile("FROM scratch\nCOPY Dockerfile /\n")
        .args(["-t", &format!("{host}/app:1")])
        .env("HOME", home.0.path());
    build.run().ok();
    let outcome = home.kiln("logout", &[host], "").ok();
    assert_eq!(outcome.stdout, format!("Logged out of {host}\n"));
    let outcome = home.kiln("logout", &[host], "").ok();
    assert!(outcome.stdout.starts_with(&format!("Not logged in to {host}")), "{outcome}");
}

#[test]
fn docker_and_podman_read_and_write_the_same() {
    let registry = docker_registry(Some((USER, PASSWORD))).expect("docker-registry");
    let (ours, theirs, host) = (Home::new(), Home::new(), registry.host());
    ours.login(host, PASSWORD).ok();
    // docker asks the registry itself where there is no daemon.
    let docker = |verb: &[&str], home: &Home| {
        let mut command = Command::new("docker");
        command.args(verb).env_clear().env("PATH", "/usr/bin:/bin:/usr/local/bin");
        command.env("DOCKER_HOST", "unix:///nowhere.sock").env("HOME", home.0.path());
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = child.spawn().expect("docker");
        child.stdin.take().expect("a pipe").write_all(PASSWORD.as_bytes()).expect("it reads");
        Outcome::from(child.wait_with_output().expect("it ends"))
    };
    docker(&["login", "-u", USER, "--password-stdin", host], &theirs).ok();
    let text = |home: &Home| fs::read_to_string(home.config()).expect("a config.json");
    assert_eq!(text(&ours), text(&theirs));
    docker(&["logout", host], &ours).ok();
    assert_eq!(ours.read()["auths"], json!({}));

    ours.login(host, PASSWORD).ok();
    let mut podman = Command::new("podman");
    podman.args(["login", "--get-login", host]).env("REGISTRY_AUTH_FILE", ours.config());
    assert_eq!(tools::output(podman).trim(), USER);
    let mut skopeo = Command::new("skopeo");
    skopeo.args(["logout", "--authfile"]).arg(ours.config()).arg(host);
    tools::output(skopeo);
    assert_eq!(ours.read()["auths"], json!({}));
}

#[test]
fn the_rest_of_the_file_stays() {
    let registry = Registry::builder().basic_auth(USER, PASSWORD).start();
    let (home, host) = (Home::new(), registry.host());
    home.write(&json!({
        "zeta": {"b": 1, "a": [true]}, "auths": {"other.example": {"auth": "dTpw"}}, "alpha": "é",
    }));
    home.login(&format!("{host}/team"), PASSWORD).ok();
    let found = home.read();
    let keys: Vec<_> = found.as_object().expect("an object").keys().cloned().collect();
    assert_eq!(keys, ["zeta", "auths", "alpha"]);
    assert_eq!(found["zeta"], json!({"b": 1, "a": [true]}));
    let auths: Vec<_> = found["auths"].as_object().expect("an object").keys().cloned().collect();
    assert_eq!(auths, ["other.example".to_owned(), format!("{host}/team")]);
    let outcome = home.kiln("logout", &["--all"], "").ok();
    assert_eq!(outcome.stdout, format!("Logged out of other.example, {host}/team\n"));
    let broken = "{\"auths\": {\"other.example\": {\"auth\": \"dTpw\"";
    fs::write(home.config(), broken).expect("a file");
    home.login(host, PASSWORD).fails(1, "was left as it is: it is not valid JSON");
    assert_eq!(fs::read_to_string(home.config()).expect("there"), broken);
}

#[test]
fn a_helper_keeps_what_the_file_gives_to_it() {
    let registry = Registry::builder().basic_auth(USER, PASSWORD).start();
    let (home, host) = (Home::new(), registry.host());
    // One file for each server, as `pass` would have.
    let script = "dir=$HOME/kept; mkdir -p $dir; input=$(cat)\n\
                  case $1 in\n\
                  store) printf %s \"$input\" > $dir/one;;\n\
                  get) cat $dir/one;;\n\
                  erase) [ -e $dir/one ] || { echo credentials not found in native keychain; exit 1; }; rm $dir/one;;\n\
                  list) printf '{}';;\n\
                  esac\n";
    home.program("docker-credential-shelf", script);
    home.write(&json!({ "credHelpers": { host: "shelf" } }));
    let outcome = home.login(host, PASSWORD).ok();
    assert!(outcome.stdout.contains("kept by docker-credential-shelf"), "{outcome}");
    assert_eq!(home.read()["auths"][host], json!({}));
    let kept = fs::read(home.0.path().join("kept/one")).expect("kept");
    let kept: Value = serde_json::from_slice(&kept).expect("JSON");
    assert_eq!(kept, json!({"ServerURL": host, "Username": USER, "Secret": PASSWORD}));
    let build = Kiln::build()
        .dockerfile("FROM scratch\nCOPY Dockerfile /\n")
        .args(["-t", &format!("{host}/app:1")])
        .env("PATH", format!("{}:/usr/bin:/bin", home.0.path().display()))
        .env("HOME", home.0.path());
    build.run().ok();
    home.login(&format!("{host}/team"), PASSWORD).fails(1, "it keeps one login for each registry");
    home.kiln("logout", &[host], "").ok();
    assert!(!home.0.path().join("kept/one").exists());
    home.kiln("logout", &[host], "").ok();

    home.write(&json!({ "credsStore": "nowhere" }));
    let outcome = home.login(host, PASSWORD);
    outcome
        .fails(1, "docker-credential-nowhere, which keeps the logins, failed: it is not installed");
    home.program("docker-credential-leaks", "cat; exit 1");
    home.write(&json!({ "credsStore": "leaks" }));
    home.login(host, PASSWORD).fails(1, "docker-credential-leaks");
}

#[test]
fn a_login_that_builds_do_not_use_is_said() {
    let registry = Registry::builder().basic_auth(USER, PASSWORD).start();
    let (home, host) = (Home::new(), registry.host());
    let other = json!({ "auths": { host: { "auth": "dTpw" } } }).to_string();
    let kiln = Kiln::subcommand("login").args(["-u", USER, "-p", PASSWORD, host]);
    let kiln = kiln.env("HOME", home.0.path()).env("DOCKER_AUTH_CONFIG", &other);
    let outcome = Outcome::from(kiln.into_bare_command().0.output().expect("kiln starts")).ok();
    assert!(outcome.stderr.contains("DOCKER_AUTH_CONFIG has one for"), "{outcome}");
    assert!(outcome.stderr.contains("--password-stdin"), "-p is no good idea:\n{outcome}");
    let kiln = Kiln::subcommand("logout").arg_pair(host, "--all=false").env("HOME", home.0.path());
    let kiln = kiln.env("DOCKER_AUTH_CONFIG", &other);
    let outcome = Outcome::from(kiln.into_bare_command().0.output().expect("kiln starts")).ok();
    assert!(outcome.stderr.contains("builds still have credentials"), "{outcome}");
}

#[test]
fn what_cannot_be_asked_for_is_said() {
    let home = Home::new();
    home.kiln("login", &["r.example"], "x").fails(1, "there is no terminal to ask for the user at");
    home.kiln("login", &["-u", "u", "r.example"], "x").fails(1, "give it with --password-stdin");
    home.login("127.0.0.1:1", "\n").fails(1, "the password is empty");
    let registry = Registry::start();
    registry.fault(testkit::Fault::on("GET", "/v2/", testkit::Action::status(404)).always());
    home.login(registry.host(), "x").fails(1, "is no registry");
    assert!(client::get(&registry.url()).is_ok() && !home.config().exists());
    home.login("127.0.0.1:1", "x").fails(1, "refuses connections");
}

/// At a terminal, with script(1): what is typed as a password is not shown.
#[test]
fn at_a_terminal_the_password_is_asked_for_without_echo() {
    let registry = Registry::builder().basic_auth(USER, "typed-word").start();
    let home = Home::new();
    let kiln = crate::common::program();
    let line = format!("{} login {}", kiln.display(), registry.host());
    let mut command = Command::new("script");
    command.args(["-qec", &line, "/dev/null"]).env("HOME", home.0.path());
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = child.spawn().expect("script");
    let mut input = child.stdin.take().expect("a pipe");
    let mut shown = child.stdout.take().expect("a pipe");
    let mut text = String::new();
    for (question, answer) in [("User for", USER), ("Password of", "typed-word")] {
        wait_for(&mut shown, &mut text, question);
        writeln!(input, "{answer}").expect("it reads");
    }
    wait_for(&mut shown, &mut text, "not encrypted");
    drop(input);
    assert!(child.wait().expect("it ends").success(), "{text}");
    assert!(!text.contains("typed-word"), "{text}");
    assert!(text.contains(USER) && Path::new(&home.config()).exists());
}

/// Reads until a question was asked and its colon came; what the terminal echoes comes after it.
fn wait_for(shown: &mut impl std::io::Read, text: &mut String, part: &str) {
    let mut byte = [0];
    while !text.rsplit_once(part).is_some_and(|(_, rest)| rest.contains([':', '\n'])) {
        assert!(shown.read(&mut byte).expect("readable") == 1, "{text}");
        text.push(char::from(byte[0]));
    }
    // The echo is off a moment after the question.
    std::thread::sleep(Duration::from_millis(100));
}
