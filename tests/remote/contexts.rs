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
