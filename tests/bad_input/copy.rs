//! COPY and ADD of what is not there or must not be had.

use std::os::unix::fs::symlink;

use insta::assert_snapshot;
use testkit::tar::TarBytes;

use crate::common::Kiln;
use crate::common::bench::Bench;

fn refused(change: impl FnOnce(Kiln) -> Kiln, dockerfile: &str) -> String {
    let bench = Bench::new().with_busybox();
    bench.fails(change(bench.kiln(dockerfile)), 1).error
}

fn as_it_is(kiln: Kiln) -> Kiln {
    kiln
}

#[test]
fn a_source_that_is_not_there() {
    assert_snapshot!(refused(as_it_is, "FROM scratch\nCOPY main.go /\n"), @"");
    let text = "FROM scratch\nCOPY src/mian.go \\\n  /app/\n";
    assert_snapshot!(refused(|kiln| kiln.file("src/main.go", ""), text), @"");
    let text = "FROM scratch\nCOPY readme.md /\n";
    assert_snapshot!(refused(|kiln| kiln.file("README.md", ""), text), @"");
    let text = "FROM scratch\nCOPY a b c /d/\n";
    assert_snapshot!(refused(|kiln| kiln.file("a", "").file("c", ""), text), @"");
}

#[test]
fn a_pattern_that_matches_nothing() {
    let text = "FROM scratch\nCOPY dist/*.js /\n";
    assert_snapshot!(refused(|kiln| kiln.file("dist/a.css", ""), text), @"");
    assert_snapshot!(refused(as_it_is, "FROM scratch\nCOPY [a-.txt /\n"), @"");
}

#[test]
fn a_source_that_the_ignore_file_excludes() {
    let ignore = |kiln: Kiln| kiln.file(".dockerignore", "# all\n*.md\ndist\n").file("a.md", "");
    assert_snapshot!(refused(ignore, "FROM scratch\nCOPY a.md /\n"), @"");
    let ignore = |kiln: Kiln| kiln.file(".dockerignore", "dist\n").file("dist/app.js", "");
    assert_snapshot!(refused(ignore, "FROM scratch\nCOPY dist/app.js /\n"), @"");
    let ignore = |kiln: Kiln| kiln.file("Dockerfile.dockerignore", "dist\n").file("dist/a", "");
    assert_snapshot!(refused(ignore, "FROM scratch\nCOPY dist /dist\n"), @"");
}

#[test]
fn a_source_out_of_the_context() {
    let outside = |kiln: Kiln| {
        std::fs::write(kiln.dir().join("secret"), "of the machine").expect("a file");
        kiln
    };
    assert_snapshot!(refused(outside, "FROM scratch\nCOPY ../secret /\n"), @"");
    assert_snapshot!(refused(as_it_is, "FROM scratch\nCOPY /etc/hostname /\n"), @"");
    let link = |kiln: Kiln| {
        let kiln = outside(kiln);
        symlink("../secret", kiln.context().join("link")).expect("a link");
        kiln
    };
    assert_snapshot!(refused(link, "FROM scratch\nCOPY link /\n"), @"");
}

#[test]
fn several_sources_and_a_destination_that_is_no_directory() {
    let two = |kiln: Kiln| kiln.file("a", "").file("b", "");
    assert_snapshot!(refused(two, "FROM scratch\nCOPY a b /d\n"), @"");
}

#[test]
fn a_destination_below_a_file() {
    let text = "FROM REGISTRY/base:1\nCOPY a /etc/passwd/a\n";
    assert_snapshot!(refused(|kiln| kiln.file("a", ""), text), @"");
    let text = "FROM REGISTRY/base:1\nWORKDIR /etc/passwd\n";
    assert_snapshot!(refused(as_it_is, text), @"");
}

#[test]
fn a_source_that_another_stage_does_not_have() {
    let text = "FROM REGISTRY/base:1 AS build\nFROM scratch\nCOPY --from=build /etc/paswd /\n";
    assert_snapshot!(refused(as_it_is, text), @"");
    let text = "FROM REGISTRY/base:1 AS build\nRUN true\nFROM scratch\n\
                COPY --from=build /app/server /\n";
    assert_snapshot!(refused(as_it_is, text), @"");
    let text = "FROM scratch\nCOPY --from=REGISTRY/base:1 /app/server /\n";
    assert_snapshot!(refused(as_it_is, text), @"");
}

#[test]
fn an_owner_that_the_image_does_not_know() {
    let file = |kiln: Kiln| kiln.file("a", "");
    let text = "FROM REGISTRY/base:1\nCOPY --chown=app:app a /\n";
    assert_snapshot!(refused(file, text), @"");
    let text = "FROM REGISTRY/base:1\nCOPY --chown=0:staff a /\n";
    assert_snapshot!(refused(file, text), @"");
    assert_snapshot!(refused(file, "FROM scratch\nCOPY --chown=app a /\n"), @"");
    assert_snapshot!(refused(file, "FROM scratch\nCOPY --chmod=rw- a /\n"), @"");
}

#[test]
fn an_archive_that_is_broken() {
    let archive = TarBytes::new().file("a", "x".repeat(5000)).finish();
    let cut = |kiln: Kiln| kiln.file("a.tar", &archive[..2000]);
    assert_snapshot!(refused(cut, "FROM scratch\nADD a.tar /\n"), @"");
    let gzip = |kiln: Kiln| kiln.file("a.tar.gz", b"\x1f\x8b\x08\0\0\0\0\0\0\xff broken");
    assert_snapshot!(refused(gzip, "FROM scratch\nADD a.tar.gz /\n"), @"");
}
