//! COPY and ADD of what is not there or must not be had.

use std::io::Write as _;
use std::os::unix::fs::symlink;

use flate2::Compression;
use flate2::write::GzEncoder;
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
    assert_snapshot!(refused(as_it_is, "FROM scratch\nCOPY main.go /\n"), @r#"
    error: "/main.go": not found
     --> DIR/context/Dockerfile:2:1
      |
    2 | COPY main.go /
      | ^^^^^^^^^^^^^^
    "#);
    let text = "FROM scratch\nCOPY src/mian.go \\\n  /app/\n";
    assert_snapshot!(refused(|kiln| kiln.file("src/main.go", ""), text), @r#"
    error: "/src/mian.go": not found
     --> DIR/context/Dockerfile:2:1
      |
    2 | COPY src/mian.go \
      | ^^^^^^^^^^^^^^^^^^
    3 |   /app/
      |
    help: did you mean /src/main.go?
    "#);
    let text = "FROM scratch\nCOPY readme.md /\n";
    assert_snapshot!(refused(|kiln| kiln.file("README.md", ""), text), @r#"
    error: "/readme.md": not found
     --> DIR/context/Dockerfile:2:1
      |
    2 | COPY readme.md /
      | ^^^^^^^^^^^^^^^^
    help: did you mean /README.md?
    "#);
    let text = "FROM scratch\nCOPY a b c /d/\n";
    assert_snapshot!(refused(|kiln| kiln.file("a", "").file("c", ""), text), @r#"
    error: "/b": not found
     --> DIR/context/Dockerfile:2:1
      |
    2 | COPY a b c /d/
      | ^^^^^^^^^^^^^^
    "#);
}

#[test]
fn a_pattern_that_matches_nothing_is_warned_of() {
    // BuildKit copies nothing then, and Dockerfiles rely on it: `COPY package.json *.lock ./`.
    let bench = Bench::new();
    let kiln = bench.kiln("FROM scratch\nCOPY dist/*.js /\n").file("dist/a.css", "");
    let outcome = kiln.run().ok();
    assert!(outcome.stderr.contains("no file matches `dist/*.js`"), "{outcome}");
    assert_snapshot!(refused(as_it_is, "FROM scratch\nCOPY [a-.txt /\n"), @r"
    error: source `[a-.txt`: syntax error in pattern
     --> DIR/context/Dockerfile:2:1
      |
    2 | COPY [a-.txt /
      | ^^^^^^^^^^^^^^
    ");
}

#[test]
fn a_source_that_the_ignore_file_excludes() {
    let ignore = |kiln: Kiln| kiln.file(".dockerignore", "# all\n*.md\ndist\n").file("a.md", "");
    assert_snapshot!(refused(ignore, "FROM scratch\nCOPY a.md /\n"), @r#"
    error: "/a.md": not found: it is excluded by `*.md` in line 2 of DIR/context/.dockerignore
     --> DIR/context/Dockerfile:2:1
      |
    2 | COPY a.md /
      | ^^^^^^^^^^^
    "#);
    let ignore = |kiln: Kiln| kiln.file(".dockerignore", "dist\n").file("dist/app.js", "");
    assert_snapshot!(refused(ignore, "FROM scratch\nCOPY dist/app.js /\n"), @r#"
    error: "/dist/app.js": not found: it is excluded by `dist` in line 1 of DIR/context/.dockerignore
     --> DIR/context/Dockerfile:2:1
      |
    2 | COPY dist/app.js /
      | ^^^^^^^^^^^^^^^^^^
    "#);
    let ignore = |kiln: Kiln| kiln.file("Dockerfile.dockerignore", "dist\n").file("dist/a", "");
    assert_snapshot!(refused(ignore, "FROM scratch\nCOPY dist /dist\n"), @r#"
    error: "/dist": not found: it is excluded by `dist` in line 1 of DIR/context/Dockerfile.dockerignore
     --> DIR/context/Dockerfile:2:1
      |
    2 | COPY dist /dist
      | ^^^^^^^^^^^^^^^
    "#);
}

#[test]
fn a_source_out_of_the_context() {
    let outside = |kiln: Kiln| {
        std::fs::write(kiln.dir().join("secret"), "of the machine").expect("a file");
        kiln
    };
    assert_snapshot!(refused(outside, "FROM scratch\nCOPY ../secret /\n"), @r#"
    error: "/secret": not found: `../secret` is taken from the root of the context, not above it
     --> DIR/context/Dockerfile:2:1
      |
    2 | COPY ../secret /
      | ^^^^^^^^^^^^^^^^
    "#);
    assert_snapshot!(refused(as_it_is, "FROM scratch\nCOPY /etc/hostname /\n"), @r#"
    error: "/etc/hostname": not found
     --> DIR/context/Dockerfile:2:1
      |
    2 | COPY /etc/hostname /
      | ^^^^^^^^^^^^^^^^^^^^
    "#);
    let link = |kiln: Kiln| {
        let kiln = outside(kiln);
        symlink("../secret", kiln.context().join("link")).expect("a link");
        kiln
    };
    assert_snapshot!(refused(link, "FROM scratch\nCOPY link /\n"), @r#"
    error: "/link": not found: it is a symbolic link to ../secret, which is not there
     --> DIR/context/Dockerfile:2:1
      |
    2 | COPY link /
      | ^^^^^^^^^^^
    "#);
}

#[test]
fn several_sources_and_a_destination_that_is_no_directory() {
    let two = |kiln: Kiln| kiln.file("a", "").file("b", "");
    assert_snapshot!(refused(two, "FROM scratch\nCOPY a b /d\n"), @r"
    error: When using COPY with more than one source file, the destination must be a directory and end with a /
     --> DIR/context/Dockerfile:2:1
      |
    2 | COPY a b /d
      | ^^^^^^^^^^^
    ");
}

#[test]
fn a_destination_below_a_file() {
    let text = "FROM REGISTRY/base:1\nCOPY a /etc/passwd/a\n";
    assert_snapshot!(refused(|kiln| kiln.file("a", ""), text), @r"
    error: cannot create /etc/passwd: /etc/passwd is not a directory
     --> DIR/context/Dockerfile:2:1
      |
    2 | COPY a /etc/passwd/a
      | ^^^^^^^^^^^^^^^^^^^^
    ");
    let text = "FROM REGISTRY/base:1\nWORKDIR /etc/passwd\n";
    assert_snapshot!(refused(as_it_is, text), @r"
    error: cannot create /etc/passwd: /etc/passwd is not a directory
     --> DIR/context/Dockerfile:2:1
      |
    2 | WORKDIR /etc/passwd
      | ^^^^^^^^^^^^^^^^^^^
    ");
}

#[test]
fn a_source_that_another_stage_does_not_have() {
    let text = "FROM REGISTRY/base:1 AS build\nFROM scratch\nCOPY --from=build /etc/paswd /\n";
    assert_snapshot!(refused(as_it_is, text), @r#"
    error: "/etc/paswd": not found
     --> DIR/context/Dockerfile:3:1
      |
    3 | COPY --from=build /etc/paswd /
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    help: did you mean /etc/passwd?
    "#);
    let text = "FROM REGISTRY/base:1 AS build\nRUN true\nFROM scratch\n\
                COPY --from=build /app/server /\n";
    assert_snapshot!(refused(as_it_is, text), @r#"
    error: "/app/server": not found
     --> DIR/context/Dockerfile:4:1
      |
    4 | COPY --from=build /app/server /
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    "#);
    let text = "FROM scratch\nCOPY --from=REGISTRY/base:1 /app/server /\n";
    assert_snapshot!(refused(as_it_is, text), @r#"
    error: "/app/server": not found
     --> DIR/context/Dockerfile:2:1
      |
    2 | COPY --from=REGISTRY/base:1 /app/server /
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    "#);
}

#[test]
fn an_owner_that_the_image_does_not_know() {
    let file = |kiln: Kiln| kiln.file("a", "");
    let text = "FROM REGISTRY/base:1\nCOPY --chown=app:app a /\n";
    assert_snapshot!(refused(file, text), @r"
    error: the image has no user `app` in /etc/passwd
     --> DIR/context/Dockerfile:2:1
      |
    2 | COPY --chown=app:app a /
      | ^^^^^^^^^^^^^^^^^^^^^^^^
    help: make the user in an earlier RUN, or give its number
    ");
    let text = "FROM REGISTRY/base:1\nCOPY --chown=0:staff a /\n";
    assert_snapshot!(refused(file, text), @r"
    error: the image has no group `staff` in /etc/group
     --> DIR/context/Dockerfile:2:1
      |
    2 | COPY --chown=0:staff a /
      | ^^^^^^^^^^^^^^^^^^^^^^^^
    help: make the user in an earlier RUN, or give its number
    ");
    assert_snapshot!(refused(file, "FROM scratch\nCOPY --chown=app a /\n"), @r"
    error: the image has no user `app` in /etc/passwd
     --> DIR/context/Dockerfile:2:1
      |
    2 | COPY --chown=app a /
      | ^^^^^^^^^^^^^^^^^^^^
    help: make the user in an earlier RUN, or give its number
    ");
    assert_snapshot!(refused(file, "FROM scratch\nCOPY --chmod=rw- a /\n"), @r"
    error: invalid chmod parameter: `rw-` is neither an octal number between 0 and 07777 nor a list of changes such as u=rwX,go=rX
     --> DIR/context/Dockerfile:2:1
      |
    2 | COPY --chmod=rw- a /
      | ^^^^^^^^^^^^^^^^^^^^
    ");
}

#[test]
fn an_archive_that_is_broken() {
    let archive = TarBytes::new().file("a", "x".repeat(5000)).finish();
    let cut = |kiln: Kiln| kiln.file("a.tar", &archive[..2000]);
    assert_snapshot!(refused(cut, "FROM scratch\nADD a.tar /\n"), @r#"
    error: cannot unpack "/a.tar": the archive is damaged, or is none: at byte 2000, it ends in the middle of a member
     --> DIR/context/Dockerfile:2:1
      |
    2 | ADD a.tar /
      | ^^^^^^^^^^^
    "#);
    let gzip = |kiln: Kiln| {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::none());
        gzip.write_all(&archive).expect("written");
        kiln.file("a.tar.gz", &gzip.finish().expect("written")[..3000])
    };
    assert_snapshot!(refused(gzip, "FROM scratch\nADD a.tar.gz /\n"), @r#"
    error: cannot unpack "/a.tar.gz": cannot read the archive: the gzip data ends in the middle
     --> DIR/context/Dockerfile:2:1
      |
    2 | ADD a.tar.gz /
      | ^^^^^^^^^^^^^^
    "#);
}
