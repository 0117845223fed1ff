//! Dockerfiles that cannot be built: the error points to the line, before anything is fetched.

use insta::assert_snapshot;

use crate::common::bench::Bench;

/// What is said of a Dockerfile that is refused before any registry is asked.
fn refused(dockerfile: &str) -> String {
    let bench = Bench::new();
    let failure = bench.fails(bench.kiln(dockerfile), 1);
    let requests = bench.registry.requests();
    assert!(requests.is_empty(), "the registry was asked: {requests:#?}");
    failure.error
}

#[test]
fn no_dockerfile() {
    let bench = Bench::new();
    let kiln = bench.kiln("FROM scratch").args(["-f", "docker/Dockerfile"]);
    assert_snapshot!(bench.fails(kiln, 2).error, @"");
    let kiln = bench.kiln("FROM scratch").without_file("Dockerfile");
    assert_snapshot!(bench.fails(kiln, 1).error, @"");
    let kiln = bench.kiln("x").without_file("Dockerfile").file("Dockerfile/x", "");
    assert_snapshot!(bench.fails(kiln, 1).error, @"");
}

#[test]
fn a_dockerfile_that_is_not_text() {
    let bench = Bench::new();
    let kiln = bench.kiln("").file("Dockerfile", b"FROM scratch\nLABEL a=\xff\xfe\n");
    assert_snapshot!(bench.fails(kiln, 1).error, @"");
}

#[test]
fn an_empty_dockerfile() {
    assert_snapshot!(refused(""), @"");
    assert_snapshot!(refused("# only a comment\n\n"), @"");
}

#[test]
fn an_unknown_instruction() {
    assert_snapshot!(refused("FROM scratch\nCPOY a /a\n"), @"");
    assert_snapshot!(refused("FROM scratch\nINSTALL make\n"), @"");
}

#[test]
fn an_unknown_flag() {
    assert_snapshot!(refused("FROM scratch\nCOPY --chwon=1:1 a /a\n"), @"");
    assert_snapshot!(refused("FROM scratch\nRUN --privileged true\n"), @"");
}

#[test]
fn an_instruction_before_from() {
    assert_snapshot!(refused("RUN true\nFROM scratch\n"), @"");
}

#[test]
fn instructions_without_what_they_need() {
    assert_snapshot!(refused("FROM scratch\nCOPY a\n"), @"");
    assert_snapshot!(refused("FROM\n"), @"");
    assert_snapshot!(refused("FROM scratch\nENV A\n"), @"");
    assert_snapshot!(refused("FROM scratch\nENTRYPOINT [\"a\", b]\nEXPOSE 80/xyz\n"), @"");
}

#[test]
fn an_unknown_stage() {
    assert_snapshot!(refused("FROM scratch AS build\nFROM scratch\nCOPY --from=5 /a /a\n"), @"");
    let bench = Bench::new();
    let kiln =
        bench.kiln("FROM scratch AS build\nFROM scratch AS run\n").args(["--target", "biuld"]);
    assert_snapshot!(bench.fails(kiln, 1).error, @"");
}

#[test]
fn a_stage_that_is_misspelt_is_looked_for_as_an_image() {
    let bench = Bench::new();
    // `biuld` could be an image of Docker Hub; what stands in for it here does not have it.
    let text = "FROM scratch AS build\nFROM scratch\nCOPY --from=biuld /a /a\n";
    let kiln = bench.kiln(text).args(["--registry-mirror", bench.registry.host()]);
    let kiln = kiln.args(["--skip-default-registry-fallback"]);
    assert_snapshot!(bench.fails(kiln, 1).error, @"");
}

#[test]
fn a_stage_that_uses_itself_or_a_later_one() {
    assert_snapshot!(refused("FROM scratch AS one\nCOPY --from=one /a /a\n"), @"");
    assert_snapshot!(
        refused("FROM scratch AS one\nCOPY --from=two /a /a\nFROM one AS two\n"),
        @""
    );
    assert_snapshot!(refused("FROM scratch\nCOPY --from=1 /a /a\nFROM scratch\n"), @"");
}

#[test]
fn a_variable_that_must_be_set() {
    assert_snapshot!(refused("ARG VERSION\nFROM scratch\nENV V=${VERSION:?say which}\n"), @"");
    assert_snapshot!(refused("ARG IMAGE\nFROM $IMAGE\n"), @"");
}

#[test]
fn a_reference_that_is_no_name() {
    assert_snapshot!(refused("FROM Debian:12\n"), @"");
    assert_snapshot!(refused("FROM debian:12:3\n"), @"");
    assert_snapshot!(refused("FROM debian@sha256:1234\n"), @"");
}

#[test]
fn what_kiln_cannot_do_is_said_before_the_build() {
    assert_snapshot!(refused("FROM scratch\nRUN --mount=type=cache,target=/c make\n"), @"");
    assert_snapshot!(refused("FROM scratch\nADD https://example.com/a.tar /\n"), @"");
    assert_snapshot!(refused("FROM scratch\nCOPY <<EOF /a\nx\nEOF\n"), @"");
}

#[test]
fn what_acts_on_a_terminal_never_reaches_the_log() {
    let text = "FROM scratch\nCOPY --from=\u{1b}]0;owned\u{7}x /a \u{1b}[2J/a\n";
    assert_snapshot!(refused(text), @"");
    assert_snapshot!(refused("FROM scratch\n\u{1b}[31mRUN\u{202e} x\n"), @"");
    assert_snapshot!(refused("FROM scratch AS a\nFROM scratch AS b\u{1b}[1A\nRUN x"), @"");
}
