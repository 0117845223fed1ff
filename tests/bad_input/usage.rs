//! Command lines that make no sense: exit code 2, before anything is asked or made.

use insta::assert_snapshot;

use crate::common::Kiln;
use crate::common::bench::Bench;

fn refused(bench: &Bench, kiln: Kiln) -> String {
    let failure = bench.fails(kiln, 2);
    assert!(bench.registry.requests().is_empty(), "the registry was asked");
    assert_eq!(failure.log, failure.error, "there is nothing before the error");
    failure.error
}

#[test]
fn a_build_that_goes_nowhere() {
    let bench = Bench::new();
    assert_snapshot!(refused(&bench, bench.kiln_without_name("FROM scratch")), @r"
    error: the image would go nowhere
    help: add -t registry.example/name:tag to push it, --oci-layout-path or --tar-path to write it, or --no-push to only build it
    ");
}

#[test]
fn a_flag_that_does_not_exist() {
    let bench = Bench::new();
    let kiln = bench.kiln("FROM scratch").args(["--buld-arg", "A=1"]);
    assert_snapshot!(refused(&bench, kiln), @r"
    error: there is no flag `--buld-arg`
    help: did you mean `--build-arg`?
    ");
}

#[test]
fn a_build_argument_without_a_name() {
    let bench = Bench::new();
    let kiln = bench.kiln("FROM scratch").args(["--build-arg", "=value"]);
    assert_snapshot!(refused(&bench, kiln), @r"
    error: invalid value `=…` for --build-arg: expected NAME=VALUE
    help: `kiln build --help` explains all flags
    ");
}

#[test]
fn a_secret_in_a_bad_build_argument_is_not_repeated() {
    let bench = Bench::new();
    let kiln = bench.kiln("FROM scratch").args(["--build-arg", "=hunter2"]);
    assert!(!refused(&bench, kiln).contains("hunter2"));
}

#[test]
fn a_destination_that_is_no_name() {
    let bench = Bench::new();
    let kiln = bench.kiln_without_name("FROM scratch").args(["-t", "registry.example/App:1"]);
    assert_snapshot!(refused(&bench, kiln), @"error: `registry.example/App:1` is not an image name: repositories are lower case; did you mean `registry.example/app:1`?");
    let kiln = bench.kiln_without_name("FROM scratch").args(["-t", "https://registry.example/a"]);
    assert_snapshot!(refused(&bench, kiln), @"error: `https://registry.example/a` is not an image name: leave out `https://`");
    let kiln = bench.kiln_without_name("FROM scratch").args(["-t", "registry.example/app:"]);
    assert_snapshot!(refused(&bench, kiln), @"error: `registry.example/app:` is not an image name: `` is no tag (up to 128 letters, digits, . _ or -, not starting with . or -)");
}

#[test]
fn a_destination_that_is_a_digest() {
    let bench = Bench::new();
    let name = format!("registry.example/app@sha256:{}", "0".repeat(64));
    let kiln = bench.kiln_without_name("FROM scratch").args(["-t", &name]);
    assert_snapshot!(refused(&bench, kiln), @r"
    error: cannot push to `registry.example/app@sha256:…`: an image's digest is known when it is built
    help: name a tag: registry.example/name:tag
    ");
}

#[test]
fn a_context_that_is_not_there() {
    let bench = Bench::new();
    let kiln = Kiln::build().args(["--no-push", "-c", "nowhere"]);
    let (mut command, dir) = kiln.into_bare_command();
    let outcome = crate::common::Outcome::from(command.output().expect("kiln starts"));
    assert_snapshot!(bench.failed(&outcome, 2, dir).error, @r"
    error: the build context DIR/nowhere does not exist
    help: name the directory that COPY and ADD shall read
    ");
}

#[test]
fn files_that_cannot_be_written_are_known_before_the_build() {
    let bench = Bench::new();
    for flag in [
        "--digest-file",
        "--image-name-with-digest-file",
        "--image-name-tag-with-digest-file",
        "--tar-path",
        "--oci-layout-path",
    ] {
        let kiln = bench.kiln("FROM scratch").args([flag, "context/Dockerfile/no/file"]);
        let error = refused(&bench, kiln);
        assert!(
            error.contains(flag) && error.contains("DIR/context/Dockerfile/no/file"),
            "{error}"
        );
    }
    let kiln = bench.kiln("FROM scratch").args(["--digest-file", "context"]);
    assert_snapshot!(refused(&bench, kiln), @"error: --digest-file cannot be written to DIR/context: it is a directory");
    let kiln = bench.kiln("FROM scratch").args(["--digest-file", "context/Dockerfile/x"]);
    assert_snapshot!(refused(&bench, kiln), @"error: --digest-file cannot be written to DIR/context/Dockerfile/x: DIR/context/Dockerfile is not a directory");
}

#[test]
fn missing_directories_of_files_to_write_are_made() {
    let bench = Bench::new();
    let kiln = bench.kiln("FROM scratch\nCOPY Dockerfile /").args(["--digest-file", "a/b/file"]);
    let (outcome, dir) = kiln.run_and_keep();
    let digest = std::fs::read_to_string(dir.path().join("a/b/file"));
    assert_eq!(digest.expect("a file"), outcome.ok().stdout.trim());
}
