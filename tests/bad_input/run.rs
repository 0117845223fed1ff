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
    assert_snapshot!(failure.error, @"");
    assert!(failure.log.contains("out\n") && failure.log.contains("err\n"), "{}", failure.log);
}

#[test]
fn of_a_long_command_the_lines_are_shown() {
    let text = "FROM REGISTRY/base:1\nRUN echo one \\\n  && echo two \\\n  && false \\\n  && true \\\n  && true\n";
    assert_snapshot!(fails(text, 1).error, @"");
}

#[test]
fn a_command_that_is_not_there() {
    assert_snapshot!(fails("FROM REGISTRY/base:1\nRUN mkae all\n", 127).error, @"");
    assert_snapshot!(fails("FROM REGISTRY/base:1\nRUN [\"mkae\", \"all\"]\n", 127).error, @"");
    assert_snapshot!(fails("FROM REGISTRY/base:1\nRUN [\"/etc/passwd\"]\n", 126).error, @"");
}

#[test]
fn a_command_that_is_killed() {
    assert_snapshot!(fails("FROM REGISTRY/base:1\nRUN kill -KILL $$\n", 137).error, @"");
    assert_snapshot!(fails("FROM REGISTRY/base:1\nRUN kill -TERM $$\n", 143).error, @"");
}

#[test]
fn a_command_in_an_image_without_a_shell() {
    assert_snapshot!(fails("FROM scratch\nRUN make\n", 127).error, @"");
    let text = "FROM REGISTRY/base:1\nSHELL [\"/bin/bash\", \"-c\"]\nRUN make\n";
    assert_snapshot!(fails(text, 127).error, @"");
}

#[test]
fn a_user_that_the_image_does_not_know() {
    assert_snapshot!(fails("FROM REGISTRY/base:1\nUSER app\nRUN id\n", 1).error, @"");
    assert_snapshot!(fails("FROM REGISTRY/base:1\nUSER 0:staff\nRUN id\n", 1).error, @"");
    assert_snapshot!(fails("FROM REGISTRY/base:1\nUSER app\nWORKDIR /srv\n", 1).error, @"");
}

#[test]
fn the_first_stage_that_fails_is_the_reason() {
    let text = "FROM REGISTRY/base:1 AS a\nRUN sleep 1000\nFROM REGISTRY/base:1 AS b\nRUN exit 3\n\
                FROM scratch\nCOPY --from=a /bin/sh /a\nCOPY --from=b /bin/sh /b\n";
    let failure = fails(text, 3);
    assert_snapshot!(failure.error, @"");
}

#[test]
fn where_nothing_may_run_a_run_is_refused_at_once() {
    let bench = Bench::new().with_busybox();
    let kiln = bench.kiln("FROM REGISTRY/base:1\nRUN make\n").args(["--isolation", "none"]);
    assert_snapshot!(bench.fails(kiln, 1).error, @"");
    let pulls = bench.registry.requests();
    assert!(pulls.iter().all(|request| request.bytes_out < 100_000), "layers were fetched");
}
