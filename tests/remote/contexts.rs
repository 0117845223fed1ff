//! The build's context from elsewhere.

use std::io::Write as _;

use flate2::write::GzEncoder;
use testkit::tar::TarBytes;

use crate::built::{build_from, build_in, run};
use crate::common::Kiln;
use crate::repository::Repository;
use crate::server::{Answer, Server};

const DOCKERFILE: &str = "FROM scratch\nCOPY . /\n";

fn tar() -> Vec<u8> {
    TarBytes::new().file("Dockerfile", DOCKERFILE).file("f", "of a tar").finish()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("written");
    encoder.finish().expect("finished")
}

#[test]
fn standard_input_is_a_tar_or_a_dockerfile() {
    assert_eq!(build_from("-", &[], &tar()).text("f"), "of a tar");
    assert_eq!(build_from("-", &[], &gzip(&tar())).text("f"), "of a tar");
    let built = build_from("-", &[], b"FROM scratch\nADD <<x /y\ntext\nx\n");
    assert_eq!(built.text("y"), "text\n");
    build_from("-", &[], b"FROM scratch\nCOPY f /\n").fails("\"/f\": not found");
    build_from("-", &[], b"").fails("there is nothing on standard input");
}

#[test]
fn a_dockerfile_on_standard_input_goes_with_any_context() {
    let kiln = Kiln::build().file("f", "local").file("Dockerfile", "FROM other");
    let context = kiln.context().display().to_string();
    let input = b"FROM scratch\nCOPY f /\n";
    assert_eq!(build_in(kiln, &context, &["-f", "-"], input).text("f"), "local");
    let server = Server::of_repositories();
    Repository::with_history(server.dir(), "r.git");
    let built = build_from(&server.url("git/r.git#v1"), &["-f", "-"], input);
    assert_eq!(built.text("f"), "one");
}

#[test]
fn a_repository_is_a_context() {
    let server = Server::of_repositories();
    let repository = Repository::with_history(server.dir(), "r.git");
    repository.file("app/Dockerfile", DOCKERFILE);
    repository.file("app/x", "in app");
    repository.file("other.Dockerfile", "FROM scratch\nCOPY run.sh /\n");
    repository.git(&["add", "."]);
    repository.commit("Dockerfile", "FROM scratch\nCOPY f* .gi[t] /\n");
    let url = server.url("git/r.git");
    let built = build_from(&url, &[], b"");
    assert_eq!(built.paths(), ["f"]);
    assert_eq!(build_from(&format!("{url}#main:app"), &[], b"").text("x"), "in app");
    assert_eq!(build_from(&url, &["-f", "other.Dockerfile"], b"").paths(), ["run.sh"]);
    let keep = ["--build-arg", "BUILDKIT_CONTEXT_KEEP_GIT_DIR=1"];
    assert!(build_from(&url, &keep, b"").paths().contains(&"HEAD".to_owned()));
    build_from(&format!("{url}#gone"), &[], b"").fails("does not contain ref gone");
}

#[test]
fn an_address_is_a_tar_or_a_dockerfile() {
    let server = Server::start(|request, _| match request.path.as_str() {
        "/c.tgz" => Answer::file(gzip(&tar())),
        "/plain" => Answer::file(tar()),
        "/Dockerfile" => Answer::file("FROM scratch\nCOPY . /\n"),
        _ => Answer::status(404),
    });
    for path in ["c.tgz", "plain"] {
        assert_eq!(build_from(&server.url(path), &[], b"").text("f"), "of a tar", "{path}");
    }
    let built = build_from(&server.url("Dockerfile"), &[], b"");
    assert_eq!(built.paths(), ["context"]);
    let address = server.url("Dockerfile");
    let kiln = Kiln::build().file("f", "local").args(["-f", &address]);
    assert_eq!(run(kiln).text("f"), "local");
    build_from(&server.url("none"), &[], b"").fails("invalid response status 404");
}

#[test]
fn a_directory_inside_of_any_context() {
    let files = || {
        TarBytes::new()
            .file("Dockerfile", "FROM wrong\n")
            .dir("a")
            .dir("a/b")
            .file("a/b/Dockerfile", DOCKERFILE)
            .file("a/b/f", "inside")
            .finish()
    };
    let server = Server::start(move |request, _| match request.path.as_str() {
        "/c.tgz" => Answer::file(gzip(&files())),
        _ => Answer::status(404),
    });
    let repositories = Server::of_repositories();
    let repository = Repository::new(repositories.dir(), "r.git");
    repository.file("a/b/Dockerfile", DOCKERFILE);
    repository.file("a/b/f", "inside");
    repository.git(&["add", "."]);
    repository.commit("Dockerfile", "FROM wrong\n");
    let (command, dir) = Kiln::build().into_bare_command();
    std::fs::create_dir_all(dir.path().join("c/a/b")).expect("made");
    std::fs::write(dir.path().join("c/a/b/Dockerfile"), DOCKERFILE).expect("written");
    std::fs::write(dir.path().join("c/a/b/f"), "inside").expect("written");
    std::fs::write(dir.path().join("c.tar"), files()).expect("written");
    std::fs::write(dir.path().join("c.tgz"), gzip(&files())).expect("written");
    let here = |name: &str| dir.path().join(name).display().to_string();
    for (context, below) in [
        (format!("dir://{}", here("c")), "a/b"),
        (format!("tar://{}", here("c.tar")), "/a/b/"),
        (format!("tar://{}", here("c.tgz")), "a/b"),
        ("tar://stdin".to_owned(), "a/b"),
        (server.url("c.tgz"), "a/b"),
        (server.url("c.tgz"), "a/./b/"),
        (format!("git://{}/git/r.git", repositories.host()), "a/b"),
    ] {
        let layout = tempfile::tempdir().expect("a directory");
        let input = std::fs::File::open(dir.path().join("c.tgz")).expect("opened");
        let output = std::process::Command::new(command.get_program())
            .args(["executor", "--no-push", "-c", &context, "--context-sub-path", below])
            .arg("--oci-layout-path")
            .arg(layout.path().join("layout"))
            .current_dir(layout.path())
            .env("GIT_PULL_METHOD", "http")
            .stdin(input)
            .output()
            .expect("kiln starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{context}: {said}");
        let image = testkit::image::Image::from_layout(&layout.path().join("layout"), None);
        let text = image.expect("a layout").text("f").expect("f");
        assert_eq!(text, "inside", "{context}");
    }
}

#[test]
fn an_address_that_breaks_goes_on() {
    let noise: String = (0..400_000_u64).map(|n| char::from(b'a' + (n * n % 23) as u8)).collect();
    let long = TarBytes::new().file("Dockerfile", DOCKERFILE).file("f", &noise).finish();
    let server = Server::start(move |_, before| {
        let whole = Answer::file(long.clone()).header("ETag", "\"one\"");
        if before == 0 { whole.breaks_after(200_000) } else { whole }
    });
    assert!(build_from(&server.url("c.tar"), &[], b"").text("f").len() == 400_000);
    assert_eq!(server.requests().len(), 2);
    let server = Server::start(|_, before| match before {
        0 => Answer::file(tar()).header("ETag", "\"one\"").breaks_after(700),
        _ => Answer::file(tar()).header("ETag", "\"two\""),
    });
    build_from(&server.url("c.tar"), &[], b"").fails("changed while kiln read it");
}
