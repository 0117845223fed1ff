//! `--check` and `--call` in all their forms.

use serde_json::Value;

use super::{Desk, assert_is, files, read};

const CMD: &str = "FROM scratch\nCOPY app /\nCMD /app\n";

#[test]
fn the_spellings_of_a_check_mean_the_same() {
    let desk = Desk::new();
    let expected = desk.run(desk.kiln("check", CMD));
    assert_eq!(expected.code, Some(1), "{expected}");
    for args in [
        &["--check"][..],
        &["--call=check"],
        &["--call", "lint"],
        &["--call=outline", "--check"],
        &["--check=true", "-t", "registry.invalid/app:1", "--push"],
    ] {
        let outcome = desk.run(desk.kiln("build", CMD).args(args));
        assert_eq!(outcome.stdout, expected.stdout, "{args:?}: {outcome}");
        assert_eq!(outcome.code, Some(1), "{args:?}");
    }
    let json = desk.run(desk.kiln("check", CMD).args(["--json"]));
    let call = desk.run(desk.kiln("build", CMD).args(["--call=check,format=json"]));
    assert_eq!((json.code, &json.stdout), (Some(1), &call.stdout), "{call}");
}

#[test]
fn the_exit_code_can_be_ignored() {
    let desk = Desk::new();
    let outcome = desk.run(desk.kiln("build", CMD).args(["--call=check,ignorestatus=true"]));
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert!(outcome.stdout.contains("1 warning has been found!"), "{outcome}");
}

#[test]
fn calls_that_there_are_not() {
    let desk = Desk::new();
    desk.kiln("build", CMD)
        .args(["--call=subrequests.describe"])
        .run()
        .fails(2, "expected one of build, check, outline, targets");
    desk.kiln("check", CMD).args(["--call=build"]).run().fails(2, "`kiln check` does not build");
}

#[test]
fn a_build_is_a_call_too() {
    let desk = Desk::new();
    let kiln = desk.kiln("build", CMD).args(["--call=build", "--no-push"]);
    assert!(kiln.run().ok().stdout.starts_with("sha256:"));
}

#[test]
fn answers_for_people_and_for_programs() {
    let desk = Desk::new();
    for (dockerfile, call, args) in [
        ("many", "outline", &[][..]),
        ("many", "targets", &[]),
        ("unnamed", "outline", &[]),
        ("unnamed", "targets", &[]),
        ("many", "outline-of-test", &["--target=test", "--build-arg=FLAGS=-v"]),
    ] {
        let text = read(&files("calls").join(format!("{dockerfile}.dockerfile")));
        let subject = call.split('-').next().expect("a word");
        for (format, extension) in [("text", "txt"), ("json", "json")] {
            let wish = format!("--call={subject},format={format}");
            let kiln = desk.kiln("build", &text).args([wish.as_str()]).args(args);
            let outcome = desk.run(kiln);
            assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{outcome}");
            let name = format!("{dockerfile}-{call}.{extension}");
            assert_is(&files("calls").join(name), &outcome.stdout);
        }
    }
}

#[test]
fn findings_for_programs() {
    let desk = Desk::new();
    for (name, dockerfile, code) in [
        ("findings", "FROM scratch AS App\nCOPY app \\\n    app2 \\\n    /$NAME/\nCMD /app\n", 1),
        ("nothing", "FROM scratch\nCOPY app /\n", 0),
        ("error", "FROM scratch\nCMD /app\nCPOY app /\n", 1),
    ] {
        let outcome = desk.run(desk.check(dockerfile).args(["--json"]));
        assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(code), ""), "{outcome}");
        serde_json::from_str::<Value>(&outcome.stdout).expect("JSON");
        assert_is(&files("calls").join(format!("check-{name}.json")), &outcome.stdout);
    }
}

#[test]
fn an_outline_needs_a_target_that_exists() {
    let desk = Desk::new();
    desk.kiln("build", CMD)
        .args(["--call=outline", "--target=nope"])
        .run()
        .fails(1, "target stage \"nope\" could not be found");
}
