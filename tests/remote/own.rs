//! Repositories without the program git: what comes is what the program makes of them, byte for byte.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use crate::built::{Built, run};
use crate::common::Kiln;
use crate::repository::Repository;
use crate::server::{Answer, Server};

fn with_path(flags: &str, url: &str, path: Option<&str>) -> Built {
    let kiln = Kiln::build().dockerfile(&format!("FROM scratch\nADD {flags} {url} /\n"));
    run(match path {
        Some(path) => kiln.env("PATH", path),
        None => kiln,
    })
}

/// `ADD repository /` without the program.
fn own(url: &str) -> Built {
    with_path("", url, Some("/nowhere"))
}

/// The layer, with the commit's time on everything.
#[track_caller]
fn layer(url: &str, path: Option<&str>) -> String {
    let built = with_path("", &format!("{url}?mtime=commit"), path);
    built.image().layers.last().cloned().unwrap_or_default()
}

#[track_caller]
fn assert_same(url: &str) {
    assert_eq!(layer(url, Some("/nowhere")), layer(url, None), "{url}");
}

fn noise(length: usize, seed: u64) -> String {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        char::from(b' ' + ((state >> 33) % 90) as u8)
    };
    (0..length).map(|_| next()).collect()
}

#[test]
fn refs_of_every_kind_from_new_and_old_servers() {
    let server = Server::of_repositories();
    let repository = Repository::with_history(server.dir(), "r.git");
    let (first, side) = (repository.name_of("v1^{commit}"), repository.name_of("side"));
    let tag = repository.name_of("v1");
    repository.git(&["tag", "-a", "again", "-m", "a tag of a tag", "v1"]);
    for way in ["git", "old", "moved"] {
        let url = server.url(&format!("{way}/r.git"));
        for (rest, text) in [
            (String::new(), "three"),
            ("#main".into(), "three"),
            ("#HEAD".into(), "three"),
            ("?branch=side".into(), "two"),
            ("#refs/heads/side".into(), "two"),
            ("#v1".into(), "one"),
            ("#again".into(), "one"),
            (format!("?tag=v1&checksum={tag}"), "one"),
            (format!("#{first}"), "one"),
            (format!("#{side}"), "two"),
            (format!("?ref=main&fetch-by-commit&checksum={first}"), "one"),
        ] {
            assert_eq!(own(&format!("{url}{rest}")).text("f"), text, "{url}{rest}");
        }
        let missing = "0123456789012345678901234567890123456789";
        own(&format!("{url}#{missing}")).fails(missing);
        own(&format!("{url}#gone")).fails("repository does not contain ref gone: ");
    }
    // Of a server that sends no single commits, all is fetched, and of others just this.
    for (way, allowed, requests) in [("strict", "false", 3), ("old", "true", 2), ("git", "true", 2)]
    {
        repository.git(&["config", "uploadpack.allowReachableSHA1InWant", allowed]);
        let before = server.requests().len();
        assert_eq!(own(&server.url(&format!("{way}/r.git#{first}"))).text("f"), "one", "{way}");
        assert_eq!(server.requests().len() - before, requests, "{way}");
    }
    own(&server.url("strict/r.git#0123456789012345678901234567890123456789"))
        .fails("has no commit of that name on a branch or tag");
}

#[test]
fn checkouts_are_those_of_the_program() {
    let server = Server::of_repositories();
    let repository = Repository::new(server.dir(), "r.git");
    for number in 0..60 {
        let text = format!("{}\n{number}\n{}", noise(3000, 1), noise(200, number));
        repository.file(&format!("many/{}/f{number}", number % 7), &text);
    }
    for (path, text) in [
        ("a b/c d", "blank"),
        ("ünï/çödé", "text"),
        ("new\nline", "x"),
        ("-rf", "x"),
        ("back\\slash", "x"),
        ("empty", ""),
        ("crlf", "a\r\nb\r\n"),
        (".github/x", "x"),
        (".gitignore", "nothing\n"),
        ("deep/1/2/3/4/5/6/7/8/9/f", "deep"),
    ] {
        repository.file(path, text);
    }
    let dir = server.dir().join("r.git");
    let large: Vec<u8> = noise(3 << 20, 9).into_bytes();
    std::fs::write(dir.join("large"), &large).expect("written");
    std::fs::write(dir.join("bytes"), [&[0, 255, 10, 13][..], &large[..1000]].concat())
        .expect("written");
    for (name, target) in [("out", "/etc"), ("in", "many"), ("up", "../../.."), ("gone", "nothing")]
    {
        std::os::unix::fs::symlink(target, dir.join(name)).expect("linked");
    }
    repository.git(&["add", "."]);
    repository.git(&["update-index", "--chmod=+x", "many/0/f0"]);
    repository.commit("run.sh", "#!/bin/sh\n");
    // A large file that is a little different is a delta to a large one.
    let mut other = large.clone();
    other[1000] = b'~';
    std::fs::write(dir.join("large2"), &other).expect("written");
    repository.commit("f", "two");
    repository.git(&["add", "."]);
    repository.commit("f", "three");
    for settings in [
        &["--window=0"][..],
        &["-f", "--window=100", "--depth=200"],
        &["-f", "-F", "--window=10", "--depth=2"],
    ] {
        repository.git(&[&["repack", "-q", "-a", "-d"][..], settings].concat());
        for way in ["git", "old"] {
            assert_same(&server.url(&format!("{way}/r.git")));
        }
    }
    repository.git(&["config", "repack.useDeltaBaseOffset", "false"]);
    repository.git(&["repack", "-q", "-a", "-d", "-f"]);
    assert_same(&server.url("git/r.git"));
    let empty = Repository::new(server.dir(), "empty.git");
    empty.git(&["commit", "--quiet", "--allow-empty", "-m", "nothing"]);
    assert_same(&server.url("git/empty.git"));
    own(&server.url("git/none.git")).fails("the server answered 404: there is no such repository");
}

#[test]
fn submodules_are_those_of_the_program() {
    let server = Server::of_repositories();
    let inner = Repository::with_history(server.dir(), "inner.git");
    let middle = Repository::new(server.dir(), "middle.git");
    middle.git(&["submodule", "--quiet", "add", &server.url("git/inner.git"), "in"]);
    middle.commit("m", "middle");
    let outer = Repository::new(server.dir(), "outer.git");
    outer.git(&["submodule", "--quiet", "add", "../middle.git", "dir/mid dle"]);
    outer.git(&["submodule", "--quiet", "add", &server.url("git/middle.git"), "again"]);
    outer.git(&["config", "-f", ".gitmodules", "submodule.dir/mid dle.url", "../middle.git"]);
    outer.git(&["add", "."]);
    outer.commit("o", "outer");
    // The submodule has moved on since.
    inner.commit("f", "four");
    let url = server.url("git/outer.git");
    assert_same(&url);
    let built = own(&url);
    assert_eq!(built.text("dir/mid dle/in/f"), "three");
    assert!(!built.paths().iter().any(|path| path.ends_with(".git")), "{:?}", built.paths());
    let bare = own(&format!("{url}?submodules=false"));
    assert!(bare.paths().contains(&"again".to_owned()));
    assert!(!bare.paths().contains(&"again/m".to_owned()));
}

#[test]
fn submodules_reach_nothing_of_this_machine() {
    let server = Server::of_repositories();
    let secret = Repository::new(server.dir(), "secret.git");
    secret.commit("f", "geheim");
    let local = server.dir().join("secret.git").display().to_string();
    for (number, (url, words)) in [
        (format!("file://{local}"), "Only http, https, ssh and git are fetched"),
        (local.clone(), "Only http, https, ssh and git are fetched"),
        ("ext::sh -c id".to_owned(), "Only http, https, ssh and git are fetched"),
        ("ssh://git@127.0.0.1/x".to_owned(), "is fetched with the program git"),
        ("../../../../x".to_owned(), "leads out of its host"),
        (server.url("git/none.git"), "the server answered 404"),
        (
            server.url("git/none.git").replace("http://", "http://h?@"),
            "it names no host, or more than one",
        ),
        (
            server.url("git/none.git").replace("http://", "http://h\\@"),
            "it names no host, or more than one",
        ),
        (String::new(), "`.gitmodules` has no url for it"),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("evil{number}.git");
        let evil = Repository::new(server.dir(), &name);
        evil.git(&["submodule", "--quiet", "add", &local, "s"]);
        evil.git(&["config", "-f", ".gitmodules", "submodule.s.url", &url]);
        evil.git(&["add", "."]);
        evil.commit("f", "evil");
        let built = own(&server.url(&format!("git/{name}")));
        built.fails("failed to update submodules for");
        built.fails("the submodule `s`");
        built.fails(words);
    }
}

#[test]
fn a_missing_commit_is_the_submodules_own_lack() {
    let server = Server::of_repositories();
    let source = Repository::with_history(server.dir(), "source.git");
    let lost = source.commit("lost", "lost");
    Repository::with_history(server.dir(), "other.git");
    let outer = Repository::new(server.dir(), "outer.git");
    let local = server.dir().join("source.git").display().to_string();
    let url = server.url("strict/other.git");
    outer.git(&["submodule", "--quiet", "add", &local, "libs/s"]);
    outer.git(&["config", "-f", ".gitmodules", "submodule.libs/s.url", &url]);
    outer.git(&["add", "."]);
    outer.commit("o", "outer");
    let words =
        format!("does not contain ref {lost}: the submodule `libs/s` at {url} has no commit");
    own(&server.url("git/outer.git")).fails(&words);
}

#[test]
fn a_program_without_its_helper_is_as_good_as_none() {
    let server = Server::of_repositories();
    Repository::with_history(server.dir(), "r.git");
    let dir = tempfile::tempdir().expect("a directory");
    let program = dir.path().join("git");
    let words = r"git: '\''remote-http'\'' is not a git command. See '\''git --help'\''.";
    let script = format!("#!/bin/sh\necho '{words}' >&2\nexit 1\n");
    fs::write(&program, script).expect("written");
    fs::set_permissions(&program, Permissions::from_mode(0o755)).expect("a mode");
    let built = with_path("", &server.url("git/r.git"), dir.path().to_str());
    assert_eq!(built.text("f"), "three");
}

#[test]
fn credentials_stay_with_their_server() {
    let other = Server::of_repositories();
    Repository::with_history(other.dir(), "far.git");
    let server = Server::of_repositories();
    Repository::with_history(server.dir(), "near/private.git");
    let outer = Repository::new(server.dir(), "private.git");
    // Git itself would ask for the password.
    for (name, url) in
        [("near", server.url("git/near/private.git")), ("far", other.url("git/far.git"))]
    {
        let source = if name == "near" {
            server.dir().join("near/private.git")
        } else {
            other.dir().join("far.git")
        };
        outer.git(&["submodule", "--quiet", "add", &source.display().to_string(), name]);
        outer.git(&["config", "-f", ".gitmodules", &format!("submodule.{name}.url"), &url]);
    }
    outer.git(&["add", "."]);
    outer.commit("o", "outer");
    let dockerfile = format!("FROM scratch\nADD {} /\n", server.url("git/private.git"));
    for (id, value) in [
        ("GIT_AUTH_TOKEN".to_owned(), "geheim"),
        (format!("GIT_AUTH_TOKEN.{}", server.host()), "geheim"),
        ("GIT_AUTH_HEADER".to_owned(), "Basic eC1hY2Nlc3MtdG9rZW46Z2VoZWlt"),
    ] {
        let secret = ["--secret".to_owned(), format!("id={id},env=TOKEN")];
        let kiln = Kiln::build().dockerfile(&dockerfile).args(secret);
        let built = run(kiln.env("TOKEN", value).env("PATH", "/nowhere"));
        assert_eq!((built.text("near/f"), built.text("far/f")), ("three".into(), "three".into()));
    }
    let shown = |request: &crate::server::Request| !request.header("authorization").is_empty();
    assert!(server.requests().iter().all(shown));
    assert!(!other.requests().iter().any(shown));
    // Nor after a redirect to another server.
    let place = other.url("git/far.git");
    let moving = Server::start(move |request, _| {
        let rest = request.path.trim_start_matches("/moving.git");
        Answer::status(302).header("Location", &format!("{place}{rest}?{}", request.query))
    });
    let url = moving.url("moving.git").replace("http://", "http://u:geheim@");
    assert_eq!(own(&url).text("f"), "three");
    assert!(moving.requests().iter().all(shown) && !other.requests().iter().any(shown));
    own(&server.url("git/private.git")).fails("kiln shows it the secret GIT_AUTH_TOKEN");
}

#[test]
fn trees_that_mean_harm_leave_nothing() {
    let server = Server::of_repositories();
    let repository = Repository::new(server.dir(), "evil.git");
    repository.commit("f", "harm");
    let blob = repository.name_of("HEAD:f");
    let id: Vec<u8> = (0..40)
        .step_by(2)
        .map(|at| u8::from_str_radix(&blob[at..at + 2], 16).expect("digits"))
        .collect();
    for (names, words) in [
        (&["100644 .git"][..], "a file named `.git`, as no file may be"),
        (&["100755 .GIT"], "a file named `.GIT`, as no file may be"),
        (&["100644 ../../../../harm"], "as no file may be"),
        (&["100644 .."], "as no file may be"),
        (&["120000 a", "100644 a"], "two files named `a`"),
        (&["120000 .gitmodules"], "as no file may be"),
    ] {
        let one = |name: &&str| [name.as_bytes(), b"\0", id.as_slice()].concat();
        let tree: Vec<u8> = names.iter().flat_map(one).collect();
        std::fs::write(server.dir().join("tree"), tree).expect("written");
        let args = ["hash-object", "--literally", "-w", "-t", "tree", "../tree"];
        let tree = repository.git(&args);
        let commit = repository.git(&["commit-tree", "-m", "evil", &tree]);
        repository.git(&["update-ref", "refs/heads/evil", &commit]);
        let built = own(&server.url("git/evil.git#evil"));
        built.fails(words);
        assert!(!server.dir().join("harm").exists() && !built.dir().join("harm").exists());
    }
}

fn git(dir: &Path, args: &[&str]) -> String {
    let output = Command::new("git")
        .current_dir(dir)
        .args(["-c", "safe.directory=*"])
        .args(args)
        .output()
        .expect("git");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "git {args:?}: {said}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[test]
fn the_git_directory_is_one_that_git_accepts() {
    let server = Server::of_repositories();
    let repository = Repository::with_history(server.dir(), "r.git");
    repository.git(&["submodule", "--quiet", "add", &server.url("git/r.git"), "mod"]);
    repository.commit("f", "four");
    repository.git(&["tag", "-a", "v4", "-m", "the fourth"]);
    let url = server.url("git/r.git");
    let unpacked = |url: &str| {
        let built = with_path("--keep-git-dir", url, Some("/nowhere"));
        let out = tempfile::tempdir().expect("a directory");
        built.image().unpack(out.path()).expect("unpacked");
        out
    };
    let user = url.replace("http://", "http://u:geheim@");
    let out = unpacked(&format!("{user}#v4"));
    let top = out.path();
    for dir in [top.to_owned(), top.join("mod")] {
        git(&dir, &["fsck", "--full", "--strict"]);
        assert_eq!(git(&dir, &["status", "--porcelain"]), "");
        assert_eq!(git(&dir, &["remote", "get-url", "origin"]), url);
        assert_eq!(git(&dir, &["rev-list", "--count", "HEAD"]), "1");
    }
    assert_eq!(git(top, &["rev-parse", "HEAD"]), repository.name_of("v4^{commit}"));
    assert_eq!(git(top, &["describe", "--tags"]), "v4");
    assert!(git(top, &["submodule", "status"]).contains(" mod"));
    assert!(git(top, &["ls-files"]).contains("sub/deep/g"));
    // The rest of the history can be fetched.
    git(top, &["fetch", "--quiet", "--unshallow", "origin"]);
    assert_eq!(git(top, &["rev-list", "--count", "HEAD"]), "3");
    // A commit that is found among all: its past is there, too.
    let first = repository.name_of("main~1");
    let old = unpacked(&format!("{}#{first}", server.url("strict/r.git")));
    git(old.path(), &["fsck", "--full", "--strict"]);
    assert_eq!(git(old.path(), &["rev-list", "--count", "HEAD"]), "2");
    assert_eq!(git(old.path(), &["status", "--porcelain"]), "");
    // The same bytes each time: nothing in it tells of this machine or this hour.
    let files = || {
        let built = with_path("--keep-git-dir", &format!("{url}#v4"), Some("/nowhere"));
        let tree = built.image().tree().expect("a tree");
        let of_git = tree.into_iter().filter(|(path, _)| path.starts_with(".git/"));
        of_git.map(|(path, object)| (path, object.sha256)).collect::<Vec<_>>()
    };
    let once = files();
    assert!(once.iter().any(|(path, _)| path == ".git/index"), "{once:?}");
    assert_eq!(once, files());
}

#[test]
fn what_fails_for_a_moment_is_tried_again() {
    let server = Server::of_repositories();
    let repository = Repository::with_history(server.dir(), "r.git");
    repository.file("large", &noise(200_000, 3));
    repository.git(&["add", "."]);
    repository.commit("g", "large");
    assert_eq!(own(&server.url("flaky/r.git")).text("f"), "three");
    let asked = server.requests().iter().filter(|request| request.method == "GET").count();
    assert_eq!(asked, 3);
}

#[test]
fn what_is_beyond_it_is_said() {
    let server = Server::start(|request, _| match request.path.as_str() {
        path if path.starts_with("/page.git") => {
            Answer::file("<html>sign in</html>").header("Content-Type", "text/html")
        }
        path if path.starts_with("/liar.git") => {
            Answer::file("001e# service=git-upload-pack\n0000zzzz")
                .header("Content-Type", "application/x-git-upload-pack-advertisement")
        }
        _ => Answer::status(404),
    });
    let repository = Repository::with_history(server.dir(), "r.git");
    repository
        .commit(".gitattributes", "*.bin filter=lfs diff=lfs\n# x eol=crlf\n*.bat eol=crlf\n");
    let built = own(&server.url("git/r.git"));
    assert_eq!(built.text("f"), "three");
    let said = "wants filter=lfs, eol=crlf of files, which only the program git does";
    assert!(built.outcome.stderr.contains(said), "{}", built.outcome);
    own(&server.url("dumb/r.git/.git")).fails("dumb HTTP");
    own(&server.url("page.git")).fails("answers with `text/html`, not with a repository");
    own(&server.url("liar.git")).fails("the server does not speak git's protocol");
    let long = server.dir().join("long.git");
    let made =
        Command::new("git").args(["init", "--quiet", "--object-format=sha256"]).arg(&long).status();
    assert!(made.expect("git").success());
    own(&server.url("git/long.git")).fails("names its objects by sha256");
}
