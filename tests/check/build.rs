//! The same in a build.

use insta::assert_snapshot;

use super::Desk;
use crate::common::Outcome;

const DOUBTFUL: &str = "FROM scratch\nARG API_KEY\nCOPY app /$NAME\nCMD /app\n";

fn build(desk: &Desk, dockerfile: &str, args: &[&str]) -> Outcome {
    desk.run(desk.kiln("build", dockerfile).args(["--no-push"]).args(args))
}

fn warnings(outcome: &Outcome) -> String {
    let lines = outcome.stderr.lines().filter(|line| line.contains("Dockerfile:"));
    lines.map(|line| format!("{line}\n")).collect()
}

#[test]
fn warnings_stand_in_the_log() {
    let desk = Desk::new();
    let outcome = build(&desk, DOUBTFUL, &["--build-arg", "TYPO=1"]).ok();
    assert_snapshot!(warnings(&outcome), @r#"
    warning: SecretsUsedInArgOrEnv: Do not use ARG or ENV instructions for sensitive data (ARG "API_KEY") (DIR/context/Dockerfile:2)
    warning: UndefinedVar: Usage of undefined variable '$NAME' (DIR/context/Dockerfile:3)
    warning: JSONArgsRecommended: JSON arguments recommended for CMD to prevent unintended behavior related to OS signals (DIR/context/Dockerfile:4)
    "#);
    assert!(
        outcome.stderr.contains("one or more build-args were not consumed: TYPO;"),
        "{outcome}"
    );
}

#[test]
fn an_image_for_another_platform_is_one_of_them() {
    let desk = Desk::new();
    let dockerfile = "FROM REGISTRY/arm:1\nCOPY app /\n";
    let outcome = build(&desk, dockerfile, &["--platform", "linux/amd64"]).ok();
    assert_snapshot!(warnings(&outcome), @r#"warning: InvalidBaseImagePlatform: Base image REGISTRY/arm:1 was pulled with platform "linux/arm64", expected "linux/amd64" for current build (DIR/context/Dockerfile:1)"#);
}

#[test]
fn skipping_works() {
    let desk = Desk::new();
    let dockerfile = format!(
        "# check=skip=UndefinedVar,SecretsUsedInArgOrEnv\n{}",
        DOUBTFUL.replace("CMD", "# check=skip=JSONArgsRecommended\nCMD")
    );
    assert_eq!(warnings(&build(&desk, &dockerfile, &[]).ok()), "");
    let all = ["--build-arg", "BUILDKIT_DOCKERFILE_CHECK=skip=all"];
    assert_eq!(warnings(&build(&desk, DOUBTFUL, &all).ok()), "");
}

#[test]
fn error_true_fails_the_build() {
    let desk = Desk::new();
    let dockerfile = format!("# check=error=true\n{DOUBTFUL}");
    let outcome = build(&desk, &dockerfile, &[]);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(1), ""), "{outcome}");
    let start = outcome.stderr.find("error: ").expect("an error");
    assert_snapshot!(outcome.stderr[start..], @r"
    error: lint violation found for rules: SecretsUsedInArgOrEnv, UndefinedVar, JSONArgsRecommended
     --> DIR/context/Dockerfile:1:9
      |
    1 | # check=error=true
      |         ^^^^^^^^^^
    ");
    let argument = ["--build-arg", "BUILDKIT_DOCKERFILE_CHECK=error=true;skip=UndefinedVar"];
    let message = "lint violation found for rules: SecretsUsedInArgOrEnv, JSONArgsRecommended";
    build(&desk, DOUBTFUL, &argument).fails(1, message);
    let nothing = "# check=error=true\nFROM scratch\nCOPY app /\n";
    build(&desk, nothing, &[]).ok();
    build(&desk, &dockerfile, &["--build-arg", "BUILDKIT_DOCKERFILE_CHECK="]).ok();
}

#[test]
fn kaniko_builds_what_wants_an_error() {
    let desk = Desk::new();
    let dockerfile = format!("# check=error=true\n{DOUBTFUL}");
    let kiln = desk.kiln("executor", &dockerfile);
    let context = kiln.context().display().to_string();
    let kiln = kiln.args(["--no-push", "--force", &format!("--context={context}")]);
    let (mut command, _dir) = kiln.into_bare_command();
    Outcome::from(command.output().expect("kiln starts")).ok();
}
