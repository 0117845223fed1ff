//! A Dockerfile with a mistake of each kind.

use kiln::lint::rules;

use super::{Desk, assert_is, files, read};

#[test]
fn each_rule_is_shown_with_its_place() {
    let desk = Desk::new();
    for rule in rules::ALL {
        let path = files("rules").join(format!("{}.dockerfile", rule.name));
        let outcome = desk.run(desk.check(&read(&path)));
        assert_eq!(outcome.code, Some(1), "{}: {outcome}", rule.name);
        // The one mistake that is an error too: without the argument there is no such name.
        let fails = rule.name == "InvalidDefaultArgInFrom";
        assert_eq!(outcome.stderr.starts_with("error: "), fails, "{}: {outcome}", rule.name);
        assert_eq!(outcome.stderr.is_empty(), !fails, "{}: {outcome}", rule.name);
        let titles = outcome.stdout.lines().filter(|line| line.starts_with("warning"));
        let own = format!("warning[{}]: ", rule.name);
        let others: Vec<&str> = titles.filter(|title| !title.starts_with(&own)).collect();
        assert!(others.is_empty(), "{}: {others:?}", rule.name);
        assert_is(&path.with_extension("txt"), &outcome.stdout);
    }
}

#[test]
fn every_file_belongs_to_a_rule() {
    for entry in std::fs::read_dir(files("rules")).expect("the directory") {
        let path = entry.expect("an entry").path();
        let name = path.file_stem().expect("a name").to_string_lossy();
        assert!(rules::ALL.iter().any(|rule| rule.name == name), "{}", path.display());
    }
}

#[test]
fn nothing_to_say() {
    let desk = Desk::new();
    let dockerfile = "FROM REGISTRY/base:1\nWORKDIR $HOME\nCOPY app .\nCMD [\"/app\"]\n";
    let outcome = desk.run(desk.check(dockerfile));
    assert_eq!(outcome.stdout, "Check complete, no warnings found.\n", "{outcome}");
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
    // The manifest and the config: no layer.
    let paths: Vec<String> =
        desk.registry.requests().iter().map(|request| request.path.clone()).collect();
    let blobs = paths.iter().filter(|path| path.contains("/blobs/")).count();
    assert_eq!(blobs, 1, "{paths:#?}");
}

#[test]
fn all_stages_are_looked_at_unless_one_is_named() {
    let desk = Desk::new();
    let dockerfile =
        "FROM scratch AS a\nCMD a\nFROM scratch AS b\nCMD b\nFROM scratch\nCOPY app /\n";
    let found = |args: &[&str]| {
        let outcome = desk.run(desk.check(dockerfile).args(args));
        outcome.stdout.lines().filter(|line| line.starts_with("warning[")).count()
    };
    assert_eq!(found(&[]), 2);
    assert_eq!(found(&["--target", "b"]), 1);
    assert_eq!(found(&["--target", "2"]), 0);
}

#[test]
fn the_build_argument_takes_the_place_of_the_directive() {
    let desk = Desk::new();
    let dockerfile = "# check=skip=JSONArgsRecommended\nFROM scratch\nCMD a\n";
    let code = |args: &[&str]| desk.run(desk.check(dockerfile).args(args)).code;
    assert_eq!(code(&[]), Some(0));
    assert_eq!(code(&["--build-arg", "BUILDKIT_DOCKERFILE_CHECK=skip=UndefinedVar"]), Some(1));
    assert_eq!(code(&["--build-arg", "BUILDKIT_DOCKERFILE_CHECK=skip=all"]), Some(0));
}
