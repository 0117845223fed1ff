//! ADD of a git repository.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::built::{Built, build, run};
use crate::common::Kiln;
use crate::repository::Repository;
use crate::server::Server;

/// `ADD repository /` with a file of the repository, by what stands after its address.
fn add(url: &str) -> Built {
    build(&format!("FROM scratch\nADD {url} /\n"), &[])
}

#[test]
fn refs_of_every_kind() {
    let server = Server::of_repositories();
    let repository = Repository::with_history(server.dir(), "r.git");
    let (first, side) = (repository.name_of("v1^{commit}"), repository.name_of("side"));
    for url in [server.url("git/r.git"), server.url("dumb/r.git/.git")] {
        for (rest, text) in [
            (String::new(), "three"),
            ("#main".into(), "three"),
            ("#side".into(), "two"),
            ("?branch=side".into(), "two"),
            ("#refs/heads/side".into(), "two"),
            ("#v1".into(), "one"),
            ("?tag=v1".into(), "one"),
            (format!("#{side}"), "two"),
            (format!("?checksum={first}"), "one"),
            (format!("?ref=main&fetch-by-commit&checksum={first}"), "one"),
        ] {
            assert_eq!(add(&format!("{url}{rest}")).text("f"), text, "{url}{rest}");
        }
    }
}

#[test]
fn files_have_the_repositorys_modes_and_a_time_that_was_asked_for() {
    let server = Server::of_repositories();
    Repository::with_history(server.dir(), "r.git");
    let built = add(&server.url("git/r.git?mtime=commit"));
    assert_eq!(built.paths(), ["f", "run.sh", "sub", "sub/deep", "sub/deep/g"]);
    let tree = built.image().tree().expect("a tree");
    for (path, mode) in [("f", 0o644), ("run.sh", 0o755), ("sub", 0o755), ("sub/deep/g", 0o644)] {
        let object = &tree[path];
        assert_eq!((object.mode, object.uid, object.gid), (mode, 0, 0), "{path}");
        assert_eq!(object.mtime, 981_173_106, "{path}");
    }
}

#[test]
fn a_directory_of_a_repository() {
    let server = Server::of_repositories();
    let repository = Repository::new(server.dir(), "r.git");
    repository.file("sub/deep/g", "deep");
    std::os::unix::fs::symlink("/etc", server.dir().join("r.git/out")).expect("linked");
    std::os::unix::fs::symlink("sub", server.dir().join("r.git/in")).expect("linked");
    repository.git(&["add", "."]);
    repository.commit("f", "one");
    let url = server.url("git/r.git");
    assert_eq!(add(&format!("{url}#main:sub/deep")).paths(), ["g"]);
    assert_eq!(add(&format!("{url}?subdir=/in")).paths(), ["deep", "deep/g"]);
    for subdir in ["gone", "f", "out", "../../etc"] {
        add(&format!("{url}?subdir={subdir}")).fails(&format!("has no directory `{subdir}`"));
    }
    let built = build(
        &format!("FROM scratch\nADD --exclude=f --chown=3 --chmod=700 --link {url} /app\n"),
        &[],
    );
    assert!(!built.paths().contains(&"app/f".to_owned()));
    let file = &built.image().tree().expect("a tree")["app/sub/deep/g"];
    assert_eq!((file.mode, file.uid), (0o700, 3));
}

#[test]
fn the_git_directory_stays_on_demand() {
    let server = Server::of_repositories();
    let repository = Repository::with_history(server.dir(), "r.git");
    let url = server.url("git/r.git");
    let user = url.replace("http://", "http://u:geheim@");
    let built = build(&format!("FROM scratch\nADD --keep-git-dir {user}#v1 /\n"), &[]);
    let out = tempfile::tempdir().expect("a directory");
    built.image().unpack(out.path()).expect("unpacked");
    let git = |args: &[&str]| {
        let output = Command::new("git")
            .current_dir(out.path())
            .args(["-c", "safe.directory=*"])
            .args(args)
            .output()
            .expect("git");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    assert_eq!(git(&["rev-parse", "HEAD"]), repository.name_of("v1^{commit}"));
    assert_eq!(git(&["describe", "--tags"]), "v1");
    assert_eq!(git(&["status", "--porcelain"]), "");
    assert_eq!(git(&["remote", "get-url", "origin"]), url);
    assert!(!out.path().join(".git/FETCH_HEAD").exists());
    let query = build(&format!("FROM scratch\nADD {url}?keep-git-dir=true /\n"), &[]);
    assert!(query.paths().contains(&".git/HEAD".to_owned()));
    build(&format!("FROM scratch\nADD --keep-git-dir {url}?keep-git-dir=0 /\n"), &[])
        .fails("inconsistent keep-git-dir configuration");
}

#[test]
fn checksums_are_checked() {
    let server = Server::of_repositories();
    let repository = Repository::with_history(server.dir(), "r.git");
    let url = server.url("git/r.git");
    let (tag, commit) = (repository.name_of("v1"), repository.name_of("v1^{commit}"));
    let add = |flag: &str, rest: &str| {
        build(&format!("FROM scratch\nADD --checksum={flag} {url}{rest} /\n"), &[])
    };
    for good in [&commit, &commit[..8], &tag] {
        assert_eq!(add(good, "#v1").text("f"), "one");
    }
    let main = repository.name_of("main");
    add(&commit, "#main").fails(&format!("expected checksum to match {commit}, got {main}"));
    add("0000000", "#v1")
        .fails(&format!("expected checksum to match 0000000, got {tag} or {commit}"));
    add("1", "?checksum=2#v1").fails("checksum mismatch \"1\" != \"2\"");
    build(&format!("FROM scratch\nCOPY {url} /\n"), &[])
        .fails("source can't be a git ref for COPY");
}

#[test]
fn submodules_come_with_their_own() {
    let server = Server::of_repositories();
    Repository::with_history(server.dir(), "inner.git");
    let middle = Repository::new(server.dir(), "middle.git");
    middle.git(&["submodule", "--quiet", "add", &server.url("git/inner.git"), "in"]);
    middle.commit("m", "middle");
    let outer = Repository::new(server.dir(), "outer.git");
    outer.git(&["submodule", "--quiet", "add", "../middle.git", "mid"]);
    outer.git(&["submodule", "--quiet", "add", &server.url("git/middle.git"), "again"]);
    outer.git(&["config", "-f", ".gitmodules", "submodule.mid.url", "../middle.git"]);
    outer.git(&["add", "."]);
    outer.commit("o", "outer");
    let built = add(&server.url("git/outer.git"));
    assert_eq!(
        (built.text("mid/in/f").as_str(), built.text("again/m").as_str()),
        ("three", "middle")
    );
    assert!(!built.paths().iter().any(|path| path.ends_with(".git")), "{:?}", built.paths());
    let bare = add(&server.url("git/outer.git?submodules=false"));
    assert!(!bare.paths().contains(&"mid/m".to_owned()));
}

#[test]
fn hostile_repositories_reach_nothing_of_this_machine() {
    let server = Server::of_repositories();
    let secret = Repository::new(server.dir(), "secret");
    secret.commit("f", "geheim");
    let marker = server.dir().join("touched");
    for url in [
        format!("file://{}", server.dir().join("secret").display()),
        format!("ext::sh -c touch% {}", marker.display()),
        server.dir().join("secret").display().to_string(),
    ] {
        let name = format!("evil{}.git", url.len());
        let evil = Repository::new(server.dir(), &name);
        evil.git(&[
            "submodule",
            "--quiet",
            "add",
            &server.dir().join("secret").display().to_string(),
            "s",
        ]);
        evil.git(&["config", "-f", ".gitmodules", "submodule.s.url", &url]);
        evil.git(&["add", "."]);
        evil.commit("f", "evil");
        add(&server.url(&format!("git/{name}"))).fails("failed to update submodules for");
    }
    assert!(!marker.exists());
    add(&format!("{}#--upload-pack=x", server.url("git/secret.git"))).fails("is not the name of");
}

#[test]
fn settings_and_hooks_of_this_machine_have_no_say() {
    let server = Server::of_repositories();
    Repository::with_history(server.dir(), "r.git");
    let dockerfile = format!("FROM scratch\nADD {} /\n", server.url("git/r.git"));
    let mut kiln = Kiln::build().dockerfile(&dockerfile);
    let marker = kiln.dir().join("touched");
    let hook = format!("#!/bin/sh\ntouch {}\n", marker.display());
    kiln = kiln.home_file("hooks/post-checkout", &hook);
    let hooks = kiln.dir().join("home/hooks");
    let program = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(hooks.join("post-checkout"), program).expect("set");
    let config = format!(
        "[core]\nhooksPath = {}\n[url \"http://127.0.0.1:1/\"]\ninsteadOf = http://\n",
        hooks.display()
    );
    assert_eq!(run(kiln.home_file(".gitconfig", config)).text("f"), "three");
    assert!(!marker.exists());
}

#[test]
fn private_repositories() {
    let server = Server::of_repositories();
    Repository::with_history(server.dir(), "private.git");
    let url = server.url("git/private.git");
    let dockerfile = format!("FROM scratch\nADD {url} /\n");
    for id in ["GIT_AUTH_TOKEN", "GIT_AUTH_TOKEN.HOST", "GIT_AUTH_HEADER"] {
        let value = match id.starts_with("GIT_AUTH_TOKEN") {
            true => "geheim",
            false => "Basic eC1hY2Nlc3MtdG9rZW46Z2VoZWlt",
        };
        let id = id.replace("HOST", &server.host());
        let secret = ["--secret".to_owned(), format!("id={id},env=TOKEN")];
        let built = run(Kiln::build().dockerfile(&dockerfile).args(secret).env("TOKEN", value));
        assert_eq!(built.text("f"), "three", "{id}");
    }
    let user = url.replace("http://", "http://x-access-token:geheim@");
    assert_eq!(add(&user).text("f"), "three");
    let built = add(&url);
    built.fails("kiln shows it the secret GIT_AUTH_TOKEN");
    let wrong = url.replace("http://", "http://u:falsch@");
    let built = run(Kiln::build()
        .dockerfile("FROM scratch\nARG A\nADD ${A} /\n")
        .args(["--build-arg", &format!("A={wrong}")]));
    built.fails("failed to fetch remote http://…@127.0.0.1");
    assert!(!built.outcome.stderr.contains("falsch"), "{}", built.outcome);
}

#[test]
fn failures_are_sentences() {
    let server = Server::of_repositories();
    Repository::with_history(server.dir(), "r.git");
    add(&server.url("git/none.git")).fails("failed to fetch remote http://127.0.0.1:");
    add(&server.url("git/r.git#gone")).fails("repository does not contain ref gone: ");
    add(&server.url("git/r.git#abcdef12")).fails("a commit needs all its 40 digits");
    let missing = "0123456789012345678901234567890123456789";
    add(&server.url(&format!("git/r.git#{missing}"))).fails(missing);
    for address in ["ssh://git@127.0.0.1/r.git", "git@127.0.0.1:r.git", "git://127.0.0.1/r.git"] {
        let dockerfile = format!("FROM scratch\nADD {address} /\n");
        let built = run(Kiln::build().dockerfile(&dockerfile).env("PATH", "/nowhere"));
        built.fails("there is no git here");
        built.fails("or write an https address, which kiln reads itself");
    }
}

#[test]
fn what_fails_for_a_moment_is_tried_again() {
    let server = Server::of_repositories();
    Repository::with_history(server.dir(), "r.git");
    assert_eq!(add(&server.url("flaky/r.git")).text("f"), "three");
    let asked = server.requests().iter().filter(|request| request.method == "GET").count();
    assert!(asked > 2, "{asked}");
}

/// git's own daemon, for `git://`.
struct Daemon(Child, u16);

impl Daemon {
    fn start(dir: &Path) -> Self {
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = free.local_addr().expect("an address").port();
        drop(free);
        let child = Command::new("git")
            .args(["-c", "safe.directory=*", "daemon", "--export-all", "--listen=127.0.0.1"])
            .args([format!("--port={port}"), format!("--base-path={}", dir.display())])
            .env("GIT_CONFIG_COUNT", "1")
            .env("GIT_CONFIG_KEY_0", "safe.directory")
            .env("GIT_CONFIG_VALUE_0", "*")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // It starts others, which end with it.
            .process_group(0)
            .spawn()
            .expect("git daemon");
        for _ in 0..500 {
            if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Self(child, port)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let group = rustix::process::Pid::from_child(&self.0);
        _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        _ = self.0.wait();
    }
}

#[test]
fn the_git_protocol() {
    let dir = tempfile::tempdir().expect("a directory");
    Repository::with_history(dir.path(), "r");
    let daemon = Daemon::start(dir.path());
    let built = add(&format!("git://127.0.0.1:{}/r#side", daemon.1));
    assert_eq!(built.text("f"), "two");
}
