//! Commands that fail, and users that do not exist.

use insta::assert_snapshot;

use crate::common::bench::{Bench, Failure};

fn fails(dockerfile: &str, code: i32) -> Failure {
    let bench = Bench::new().with_busybox();
    bench.fails(bench.kiln(dockerfile), code)
}

#[test]
fn a_command_that_fails_ends_kiln_with_its_own_code() {
    let failure = fails("FROM REGISTRY/base:1\nRUN echo out; echo err >&2; exit 37\n", 37);
    assert_snapshot!(failure.error, @r#"
    error: process "/bin/sh -c echo out; echo err >&2; exit 37" did not complete successfully: exit code: 37
     --> DIR/context/Dockerfile:2:1
      |
    2 | RUN echo out; echo err >&2; exit 37
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    "#);
    assert!(failure.log.contains("out\n") && failure.log.contains("err\n"), "{}", failure.log);
}

#[test]
fn of_a_long_command_the_lines_are_shown() {
    let text = "FROM REGISTRY/base:1\nRUN echo one \\\n  && echo two \\\n  && false \\\n  && true \\\n  && true\n";
    assert_snapshot!(fails(text, 1).error, @r#"
    error: process "/bin/sh -c echo one   && echo two   && false   && true   && true" did not complete successfully: exit code: 1
     --> DIR/context/Dockerfile:2:1
      |
    2 | RUN echo one \
      | ^^^^^^^^^^^^^^
    3 |   && echo two \
    4 |   && false \
    5 |   && true \
      |
      = … and 1 more line
    "#);
}

#[test]
fn a_command_that_is_not_there() {
    assert_snapshot!(fails("FROM REGISTRY/base:1\nRUN mkae all\n", 127).error, @r#"
    error: process "/bin/sh -c mkae all" did not complete successfully: exit code: 127
     --> DIR/context/Dockerfile:2:1
      |
    2 | RUN mkae all
      | ^^^^^^^^^^^^
    "#);
    assert_snapshot!(fails("FROM REGISTRY/base:1\nRUN [\"mkae\", \"all\"]\n", 1).error, @r#"
    error: `mkae` is not in the image, or not in a directory that PATH names
     --> DIR/context/Dockerfile:2:1
      |
    2 | RUN ["mkae", "all"]
      | ^^^^^^^^^^^^^^^^^^^
    "#);
    assert_snapshot!(fails("FROM REGISTRY/base:1\nRUN [\"/etc/passwd\"]\n", 1).error, @r#"
    error: `/etc/passwd` cannot be executed: permission denied; it needs execute permission for the user of the RUN, and must not be a directory
     --> DIR/context/Dockerfile:2:1
      |
    2 | RUN ["/etc/passwd"]
      | ^^^^^^^^^^^^^^^^^^^
    "#);
}

#[test]
fn a_command_that_is_killed() {
    assert_snapshot!(fails("FROM REGISTRY/base:1\nRUN kill -KILL $$\n", 137).error, @r#"
    error: process "/bin/sh -c kill -KILL $$" did not complete successfully: killed by signal 9 (often the machine's out-of-memory killer)
     --> DIR/context/Dockerfile:2:1
      |
    2 | RUN kill -KILL $$
      | ^^^^^^^^^^^^^^^^^
    "#);
    assert_snapshot!(fails("FROM REGISTRY/base:1\nRUN kill -TERM $$\n", 143).error, @r#"
    error: process "/bin/sh -c kill -TERM $$" did not complete successfully: killed by signal 15
     --> DIR/context/Dockerfile:2:1
      |
    2 | RUN kill -TERM $$
      | ^^^^^^^^^^^^^^^^^
    "#);
}

#[test]
fn a_command_in_an_image_without_a_shell() {
    assert_snapshot!(fails("FROM scratch\nRUN make\n", 1).error, @r#"
    error: `/bin/sh` is not in the image, so there is no shell to run the command: use the exec form, RUN ["program", "argument"], copy a shell into the image, or start from a base image that has one (scratch is empty)
     --> DIR/context/Dockerfile:2:1
      |
    2 | RUN make
      | ^^^^^^^^
    "#);
    let text = "FROM REGISTRY/base:1\nSHELL [\"/bin/bash\", \"-c\"]\nRUN make\n";
    assert_snapshot!(fails(text, 1).error, @r"
    error: `/bin/bash` is not in the image, or not in a directory that PATH names
     --> DIR/context/Dockerfile:3:1
      |
    3 | RUN make
      | ^^^^^^^^
    ");
}

#[test]
fn a_user_that_the_image_does_not_know() {
    assert_snapshot!(fails("FROM REGISTRY/base:1\nUSER app\nRUN id\n", 1).error, @r"
    error: the image has no user `app` in /etc/passwd
     --> DIR/context/Dockerfile:3:1
      |
    3 | RUN id
      | ^^^^^^
    help: make the user in an earlier RUN, or give its number
    ");
    assert_snapshot!(fails("FROM REGISTRY/base:1\nUSER 0:staff\nRUN id\n", 1).error, @r"
    error: the image has no group `staff` in /etc/group
     --> DIR/context/Dockerfile:3:1
      |
    3 | RUN id
      | ^^^^^^
    help: make the user in an earlier RUN, or give its number
    ");
    assert_snapshot!(fails("FROM REGISTRY/base:1\nUSER app\nWORKDIR /srv\n", 1).error, @r"
    error: the image has no user `app` in /etc/passwd
     --> DIR/context/Dockerfile:3:1
      |
    3 | WORKDIR /srv
      | ^^^^^^^^^^^^
    help: make the user in an earlier RUN, or give its number
    ");
}

#[test]
fn the_first_stage_that_fails_is_the_reason() {
    let text = "FROM REGISTRY/base:1 AS a\nRUN sleep 1000\nFROM REGISTRY/base:1 AS b\nRUN exit 3\n\
                FROM scratch\nCOPY --from=a /bin/sh /a\nCOPY --from=b /bin/sh /b\n";
    let failure = fails(text, 3);
    assert_snapshot!(failure.error, @r#"
    error: process "/bin/sh -c exit 3" did not complete successfully: exit code: 3
     --> DIR/context/Dockerfile:4:1
      |
    4 | RUN exit 3
      | ^^^^^^^^^^
    "#);
}

#[test]
fn where_nothing_may_run_a_run_is_refused_at_once() {
    let bench = Bench::new().with_busybox();
    let kiln = bench.kiln("FROM REGISTRY/base:1\nRUN make\n").args(["--isolation", "none"]);
    assert_snapshot!(bench.fails(kiln, 1).error, @r"
    error: this RUN cannot run here: isolation `none` was asked for
     --> DIR/context/Dockerfile:2:1
      |
    2 | RUN make
      | ^^^^^^^^
    help: use --isolation auto for the strongest that is possible
    ");
    let pulls = bench.registry.requests();
    assert!(pulls.iter().all(|request| request.bytes_out < 100_000), "layers were fetched");
}
