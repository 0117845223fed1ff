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

/// What is said of one that is refused once the base images are known.
fn refused_later(dockerfile: &str) -> String {
    let bench = Bench::new();
    bench.fails(bench.kiln(dockerfile), 1).error
}

#[test]
fn no_dockerfile() {
    let bench = Bench::new();
    let kiln = bench.kiln("FROM scratch").args(["-f", "docker/Dockerfile"]);
    assert_snapshot!(bench.fails(kiln, 2).error, @r"
    error: there is no Dockerfile DIR/docker/Dockerfile or DIR/context/docker/Dockerfile
    help: a path after -f is looked for here and then in the context
    ");
    let kiln = bench.kiln("FROM scratch").without_file("Dockerfile");
    assert_snapshot!(bench.fails(kiln, 1).error, @"error: cannot find the Dockerfile: there is no `DIR/context/Dockerfile`, and no `DIR/context/dockerfile`");
    let kiln = bench.kiln("x").without_file("Dockerfile").file("Dockerfile/x", "");
    assert_snapshot!(bench.fails(kiln, 1).error, @"error: `DIR/context/Dockerfile` is not a regular file");
}

#[test]
fn a_dockerfile_that_is_not_text() {
    let bench = Bench::new();
    let kiln = bench.kiln("").file("Dockerfile", b"FROM scratch\nLABEL a=\xff\xfe\n");
    assert_snapshot!(bench.fails(kiln, 1).error, @"error: the Dockerfile `DIR/context/Dockerfile` is not UTF-8 text: see byte 21");
}

#[test]
fn an_empty_dockerfile() {
    assert_snapshot!(refused(""), @r"
    error: file with no instructions
     --> DIR/context/Dockerfile:1:1
      |
    1 |
      | ^
    help: a Dockerfile starts with FROM
    ");
    assert_snapshot!(refused("# only a comment\n\n"), @r"
    error: file with no instructions
     --> DIR/context/Dockerfile:1:1
      |
    1 | # only a comment
      | ^^^^^^^^^^^^^^^^
    help: a Dockerfile starts with FROM
    ");
}

#[test]
fn an_unknown_instruction() {
    assert_snapshot!(refused("FROM scratch\nCPOY a /a\n"), @r"
    error: unknown instruction: CPOY (did you mean COPY?)
     --> DIR/context/Dockerfile:2:1
      |
    2 | CPOY a /a
      | ^^^^
    ");
    assert_snapshot!(refused("FROM scratch\nINSTALL make\n"), @r"
    error: unknown instruction: INSTALL
     --> DIR/context/Dockerfile:2:1
      |
    2 | INSTALL make
      | ^^^^^^^
    help: if it belongs to the line above, that line must end with the escape
    ");
}

#[test]
fn an_unknown_flag() {
    assert_snapshot!(refused("FROM scratch\nCOPY --chwon=1:1 a /a\n"), @r"
    error: unknown flag: --chwon (did you mean chown?)
     --> DIR/context/Dockerfile:2:6
      |
    2 | COPY --chwon=1:1 a /a
      |      ^^^^^^^^^^^
    ");
    assert_snapshot!(refused("FROM scratch\nRUN --privileged true\n"), @r"
    error: unknown flag: --privileged
     --> DIR/context/Dockerfile:2:5
      |
    2 | RUN --privileged true
      |     ^^^^^^^^^^^^
    ");
}

#[test]
fn an_instruction_before_from() {
    assert_snapshot!(refused("RUN true\nFROM scratch\n"), @r"
    error: no build stage in current context
     --> DIR/context/Dockerfile:1:1
      |
    1 | RUN true
      | ^^^^^^^^
    help: only ARG can stand before the first FROM
    ");
}

#[test]
fn instructions_without_what_they_need() {
    assert_snapshot!(refused("FROM scratch\nCOPY a\n"), @r"
    error: COPY requires at least two arguments, but only one was provided. Destination could not be determined
     --> DIR/context/Dockerfile:2:1
      |
    2 | COPY a
      | ^^^^^^
    ");
    assert_snapshot!(refused("FROM\n"), @r"
    error: FROM requires either one or three arguments
     --> DIR/context/Dockerfile:1:1
      |
    1 | FROM
      | ^^^^
    help: write FROM image, or FROM image AS name
    ");
    assert_snapshot!(refused("FROM scratch\nENV A\n"), @r"
    error: ENV must have two arguments
     --> DIR/context/Dockerfile:2:1
      |
    2 | ENV A
      | ^^^^^
    help: write ENV A=value
    ");
    assert_snapshot!(refused_later("FROM scratch\nENTRYPOINT [\"a\", b]\nEXPOSE 80/xyz\n"), @r#"
    error: invalid port: "80/xyz": invalid proto: xyz
     --> DIR/context/Dockerfile:3:1
      |
    3 | EXPOSE 80/xyz
      | ^^^^^^^^^^^^^
    "#);
}

#[test]
fn an_unknown_stage() {
    assert_snapshot!(refused("FROM scratch AS build\nFROM scratch\nCOPY --from=5 /a /a\n"), @r"
    error: invalid stage index 5: no such stage comes before this one
     --> DIR/context/Dockerfile:3:1
      |
    3 | COPY --from=5 /a /a
      | ^^^^^^^^^^^^^^^^^^^
    help: stages before this one: build
    ");
    let bench = Bench::new();
    let kiln =
        bench.kiln("FROM scratch AS build\nFROM scratch AS run\n").args(["--target", "biuld"]);
    assert_snapshot!(bench.fails(kiln, 1).error, @r#"
    error: target stage "biuld" could not be found
     --> DIR/context/Dockerfile:1:1
      |
    1 | FROM scratch AS build
      | ^^^^^^^^^^^^^^^^^^^^^
    help: did you mean `build`?
    "#);
}

#[test]
fn a_stage_that_is_misspelt_is_looked_for_as_an_image() {
    let bench = Bench::new();
    // `biuld` could be an image of Docker Hub; what stands in for it here does not have it.
    let text = "FROM scratch AS build\nFROM scratch\nCOPY --from=biuld /a /a\n";
    let kiln = bench.kiln(text).args(["--registry-mirror", bench.registry.host()]);
    let kiln = kiln.args(["--skip-default-registry-fallback"]);
    assert_snapshot!(bench.fails(kiln, 1).error, @r"
    error: the image `REGISTRY/library/biuld:latest` does not exist, or needs credentials and kiln has none: none of these files exists: /kaniko/.docker/config.json, DIR/home/.docker/config.json, DIR/home/.config/containers/auth.json; none of these variables is set: DOCKER_AUTH_CONFIG, CI_REGISTRY. Check the name, or log in. The registry says: MANIFEST_UNKNOWN: manifest latest is unknown to this repository
     --> DIR/context/Dockerfile:3:1
      |
    3 | COPY --from=biuld /a /a
      | ^^^^^^^^^^^^^^^^^^^^^^^
    help: did you mean the stage `build`? No stage is called `biuld`, so an image of that name is asked for
    ");
}

#[test]
fn a_stage_that_uses_itself_or_a_later_one() {
    assert_snapshot!(refused("FROM scratch AS one\nCOPY --from=one /a /a\n"), @r"
    error: circular dependency: stage `one` copies from itself
     --> DIR/context/Dockerfile:2:1
      |
    2 | COPY --from=one /a /a
      | ^^^^^^^^^^^^^^^^^^^^^
    ");
    assert_snapshot!(
        refused("FROM scratch AS one\nCOPY --from=two /a /a\nFROM one AS two\n"),
        @r"
        error: stage `two` needs to be defined before current stage
         --> DIR/context/Dockerfile:2:1
          |
        2 | COPY --from=two /a /a
          | ^^^^^^^^^^^^^^^^^^^^^
        help: move that FROM above this one
        "
    );
    assert_snapshot!(refused("FROM scratch AS one\nCOPY --from=1 /a /a\nFROM one\n"), @r"
    error: invalid stage index 1: no such stage comes before this one
     --> DIR/context/Dockerfile:2:1
      |
    2 | COPY --from=1 /a /a
      | ^^^^^^^^^^^^^^^^^^^
    ");
}

#[test]
fn a_variable_that_must_be_set() {
    assert_snapshot!(refused_later("FROM scratch\nENV V=\"${VERSION:?say which}\"\n"), @r#"
    error: cannot expand `"${VERSION:?say which}"`: failed to process "\"${VERSION:?say which}\"": VERSION: say which
     --> DIR/context/Dockerfile:2:1
      |
    2 | ENV V="${VERSION:?say which}"
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    "#);
    assert_snapshot!(refused("ARG IMAGE\nFROM $IMAGE\n"), @r"
    error: base name ($IMAGE) should not be blank
     --> DIR/context/Dockerfile:2:1
      |
    2 | FROM $IMAGE
      | ^^^^^^^^^^^
    help: give the argument a default before FROM, or pass --build-arg
    ");
}

#[test]
fn a_reference_that_is_no_name() {
    assert_snapshot!(refused("FROM Debian:12\n"), @r"
    error: `Debian:12` is not an image name: repositories are lower case; did you mean `debian:12`?
     --> DIR/context/Dockerfile:1:1
      |
    1 | FROM Debian:12
      | ^^^^^^^^^^^^^^
    ");
    assert_snapshot!(refused("FROM debian:12:3\n"), @r"
    error: `debian:12:3` is not an image name: `12:3` is no tag (up to 128 letters, digits, . _ or -, not starting with . or -)
     --> DIR/context/Dockerfile:1:1
      |
    1 | FROM debian:12:3
      | ^^^^^^^^^^^^^^^^
    ");
    assert_snapshot!(refused("FROM debian@sha256:1234\n"), @r"
    error: `debian@sha256:1234` is not an image name: `sha256:1234` is not a digest: expected sha256: followed by 64 hexadecimal digits
     --> DIR/context/Dockerfile:1:1
      |
    1 | FROM debian@sha256:1234
      | ^^^^^^^^^^^^^^^^^^^^^^^
    ");
}

#[test]
fn what_kiln_cannot_do_is_said_before_the_build() {
    assert_snapshot!(refused_later("FROM scratch\nRUN --device=a.b/c=d x\n"), @r"
    error: RUN --device=a.b/c=d: kiln gives a command no device of the machine
     --> DIR/context/Dockerfile:2:1
      |
    2 | RUN --device=a.b/c=d x
      | ^^^^^^^^^^^^^^^^^^^^^^
    help: leave it out, and do what needs the device when the image runs; or build that part where the device is, and take it with COPY --from=IMAGE
    ");
    assert_snapshot!(refused_later("FROM scratch\nRUN --security=insecure x\n"), @r"
    error: RUN --security=insecure is not granted: a command never gets more rights than kiln's own RUN has (security.insecure)
     --> DIR/context/Dockerfile:2:1
      |
    2 | RUN --security=insecure x
      | ^^^^^^^^^^^^^^^^^^^^^^^^^
    help: leave it out, and make what needs it elsewhere: in a privileged container, whose result COPY --from=IMAGE takes
    ");
}

#[test]
fn what_acts_on_a_terminal_never_reaches_the_log() {
    let text = "FROM scratch\nCOPY --from=\u{1b}]0;owned\u{7}x /a \u{1b}[2J/a\n";
    assert_snapshot!(refused(text), @r"
    error: `]0;ownedx` is not an image name: `]0;ownedx` is no repository name (lower-case letters and digits, separated by one of . _ __ - or /)
     --> DIR/context/Dockerfile:2:1
      |
    2 | COPY --from=]0;ownedx /a [2J/a
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    ");
    assert_snapshot!(refused("FROM scratch\n\u{1b}[31mRUN\u{202e} x\n"), @r"
    error: unknown instruction: [31mRUN
     --> DIR/context/Dockerfile:2:1
      |
    2 | [31mRUN x
      | ^^^^^^^
    help: if it belongs to the line above, that line must end with the escape
    ");
    assert_snapshot!(refused("FROM scratch AS a\nFROM scratch AS b\u{1b}[1A\nRUN x"), @r#"
    error: invalid name for build stage: "b\u{1b}[1A", name can't start with a number or contain symbols
     --> DIR/context/Dockerfile:2:17
      |
    2 | FROM scratch AS b[1A
      |                 ^^^^
    "#);
    assert_snapshot!(refused_later("FROM scratch\nSTOPSIGNAL \u{9b}2J\n"), @r"
    error: invalid stop signal: 2J
     --> DIR/context/Dockerfile:2:1
      |
    2 | STOPSIGNAL 2J
      | ^^^^^^^^^^^^^
    ");
}
