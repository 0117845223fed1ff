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
    assert_snapshot!(refused(&bench, bench.kiln_without_name("FROM scratch")), @"");
}

#[test]
fn a_flag_that_does_not_exist() {
    let bench = Bench::new();
    let kiln = bench.kiln("FROM scratch").args(["--buld-arg", "A=1"]);
    assert_snapshot!(refused(&bench, kiln), @"");
}

#[test]
fn a_build_argument_without_a_name() {
    let bench = Bench::new();
    let kiln = bench.kiln("FROM scratch").args(["--build-arg", "=value"]);
    assert_snapshot!(refused(&bench, kiln), @"");
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
    assert_snapshot!(refused(&bench, kiln), @"");
    let kiln = bench.kiln_without_name("FROM scratch").args(["-t", "https://registry.example/a"]);
    assert_snapshot!(refused(&bench, kiln), @"");
    let kiln = bench.kiln_without_name("FROM scratch").args(["-t", "registry.example/app:"]);
    assert_snapshot!(refused(&bench, kiln), @"");
}

#[test]
fn a_destination_that_is_a_digest() {
    let bench = Bench::new();
    let name = format!("registry.example/app@sha256:{}", "0".repeat(64));
    let kiln = bench.kiln_without_name("FROM scratch").args(["-t", &name]);
    assert_snapshot!(refused(&bench, kiln), @"");
}

#[test]
fn a_context_that_is_not_there() {
    let bench = Bench::new();
    let kiln = Kiln::build().args(["--no-push", "-c", "nowhere"]);
    let (mut command, dir) = kiln.into_bare_command();
    let outcome = crate::common::Outcome::from(command.output().expect("kiln starts"));
    assert_snapshot!(bench.failed(&outcome, 2, dir).error, @"");
}

#[test]
fn files_to_write_in_directories_that_are_not_there() {
    let bench = Bench::new();
    for flag in [
        "--digest-file",
        "--image-name-with-digest-file",
        "--image-name-tag-with-digest-file",
        "--tar-path",
    ] {
        let kiln = bench.kiln("FROM scratch\nCOPY Dockerfile /").args([flag, "no/such/file"]);
        let error = refused(&bench, kiln);
        assert!(error.contains(flag) && error.contains("DIR/no/such"), "{error}");
    }
    let kiln = bench.kiln("FROM scratch").args(["--digest-file", "no/such/file"]);
    assert_snapshot!(refused(&bench, kiln), @"");
    let kiln = bench.kiln("FROM scratch").args(["--digest-file", "context"]);
    assert_snapshot!(refused(&bench, kiln), @"");
    let kiln = bench.kiln("FROM scratch").args(["--digest-file", "context/Dockerfile/x"]);
    assert_snapshot!(refused(&bench, kiln), @"");
}
