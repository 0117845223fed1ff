//! What is wrong, and what cannot be known.

use insta::assert_snapshot;

use super::Desk;

#[test]
fn what_does_not_parse_is_reported_as_a_build_does() {
    let desk = Desk::new();
    let dockerfile = "FROM scratch\nCPOY app /\n";
    let check = desk.run(desk.check(dockerfile));
    let build = desk.run(desk.kiln("build", dockerfile).args(["--no-push"]));
    assert_eq!((check.code, &check.stderr), (Some(1), &build.stderr), "{check}");
    assert_eq!(check.stdout, "");
}

#[test]
fn mistakes_come_after_what_is_doubtful() {
    let desk = Desk::new();
    let outcome = desk.run(desk.check(
        "FROM scratch AS a\nSTOPSIGNAL SIGNOT\nFROM scratch\nCMD app\nCOPY --from=later /x /\n\
         FROM scratch AS later\n",
    ));
    assert_eq!(outcome.code, Some(1), "{outcome}");
    assert_snapshot!(outcome.stdout, @r"
    warning[JSONArgsRecommended]: JSON arguments recommended for CMD to prevent unintended behavior related to OS signals
     --> DIR/context/Dockerfile:4:1
      |
    4 | CMD app
      | ^^^^^^^
      |
      = see https://docs.docker.com/go/dockerfile/rule/json-args-recommended/
    ");
    assert_snapshot!(outcome.stderr, @r"
    error: invalid stop signal: SIGNOT
     --> DIR/context/Dockerfile:2:1
      |
    2 | STOPSIGNAL SIGNOT
      | ^^^^^^^^^^^^^^^^^
    ");
}

#[test]
fn a_base_that_is_not_there() {
    let desk = Desk::new();
    let outcome = desk.run(desk.check("FROM REGISTRY/none:1\nCMD app\n"));
    assert_eq!(outcome.code, Some(1), "{outcome}");
    assert!(outcome.stdout.contains("warning[JSONArgsRecommended]"), "{outcome}");
    assert!(outcome.stderr.starts_with("error: "), "{outcome}");
    assert!(outcome.stderr.contains("Dockerfile:1:1"), "{outcome}");
}

#[test]
fn a_base_that_cannot_be_asked() {
    let desk = Desk::new();
    // Port 1 of loopback: nobody listens there.
    let outcome = desk.run(desk.check(
        "FROM 127.0.0.1:1/base:1\nCOPY a$UNKNOWN /\nARG API_KEY\nCOPY --from=x /a /\n\
         FROM scratch AS y\nCOPY a$UNKNOWN /\n",
    ));
    assert_eq!(outcome.code, Some(1), "{outcome}");
    let titles: Vec<&str> =
        outcome.stdout.lines().filter(|line| line.starts_with("warning")).collect();
    assert_eq!(
        titles,
        [
            "warning[SecretsUsedInArgOrEnv]: Do not use ARG or ENV instructions for sensitive data \
             (ARG \"API_KEY\")",
            "warning[UndefinedVar]: Usage of undefined variable '$UNKNOWN'",
        ]
    );
    let note = "the base image 127.0.0.1:1/base:1 cannot be asked, so nothing is said that depends \
                on it: ";
    assert!(outcome.stderr.contains(note), "{outcome}");
    assert!(outcome.stdout.ends_with("2 warnings have been found!\n"), "{outcome}");
}

#[test]
fn a_wish_that_cannot_be_read() {
    let desk = Desk::new();
    let outcome = desk.run(desk.check("# check=skp=all\nFROM scratch\n"));
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(1), ""), "{outcome}");
    assert_snapshot!(outcome.stderr, @r#"
    error: failed to parse check options: invalid check option "skp"
     --> DIR/context/Dockerfile:1:9
      |
    1 | # check=skp=all
      |         ^^^^^^^
    "#);
    let kiln = desk.check("FROM scratch\n");
    let kiln = kiln.args(["--build-arg", "BUILDKIT_DOCKERFILE_CHECK=error=perhaps"]);
    let outcome = desk.run(kiln);
    assert_snapshot!(outcome.stderr, @r#"error: failed to parse BUILDKIT_DOCKERFILE_CHECK: failed to parse check option "error=perhaps": expected true or false"#);
}

/// What a base stores for builds on top of it may name stages, and the base may be in a layout.
#[test]
fn triggers_of_a_base_in_a_layout_are_followed() {
    let desk = Desk::new();
    let layouts = tempfile::tempdir().expect("a directory");
    let layout = layouts.path().join("layout");
    let base = desk.kiln("build", "FROM scratch\nONBUILD COPY --from=built /app /app\nENV A=b\n");
    desk.run(base.args(["--no-push", "--oci-layout-path", layout.to_str().expect("text")])).ok();
    let context = format!("--build-context=base=oci-layout://{}", layout.display());
    let good = "FROM scratch AS built\nCOPY app /app\nFROM base\nCOPY app /$A\n";
    let outcome = desk.run(desk.check(good).args([&context]));
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let outcome = desk.run(desk.check("FROM base\nCOPY app /app\n").args([&context]));
    assert_eq!(outcome.code, Some(0), "an image may be called so: {outcome}");
    let late = "FROM base\nFROM scratch AS built\nCOPY app /app\n";
    let outcome = desk.run(desk.check(late).args([&context]));
    assert!(outcome.stderr.contains("needs to be defined before current stage"), "{outcome}");
}
