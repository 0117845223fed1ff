//! The language, case by case: every file below `tests/language/` is a Dockerfile with its context
//! and with what it has to become, built in namespaces and in a chroot. docs/conformance.md says
//! what stands in such a file.
//!
//! `KILN_CASE=copy-glob/question-mark` runs this case only. `KILN_CASES_WRITE=kiln` or `=docker`
//! writes what that builder makes of each case into the empty sections of its file, to be read and
//! then committed.
//!
//! Needs root (namespaces, devices, owners) and /bin/busybox (package busybox-static).

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

#[path = "language/build.rs"]
mod build;
#[path = "language/format.rs"]
mod format;
#[path = "language/image.rs"]
mod image;
#[path = "language/listing.rs"]
mod listing;
#[path = "language/place.rs"]
mod place;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use build::Builders;
use format::Case;

/// A language of fewer cases than this has lost some.
const FLOOR: usize = 150;

/// A test for each directory, so that they run side by side and a failure says where.
macro_rules! features {
    ($($name:ident = $dir:literal;)*) => {
        const FEATURES: &[&str] = &[$($dir),*];
        $(#[test]
        fn $name() {
            check($dir);
        })*
    };
}

features! {
    add = "add";
    add_archive = "add-archive";
    arg = "arg";
    copy = "copy";
    copy_chmod = "copy-chmod";
    copy_chown = "copy-chown";
    copy_exclude = "copy-exclude";
    copy_from = "copy-from";
    copy_glob = "copy-glob";
    copy_heredoc = "copy-heredoc";
    copy_link = "copy-link";
    copy_parents = "copy-parents";
    directives = "directives";
    dockerignore = "dockerignore";
    entrypoint_cmd = "entrypoint-cmd";
    env = "env";
    errors = "errors";
    expand = "expand";
    expose = "expose";
    from = "from";
    healthcheck = "healthcheck";
    history = "history";
    label = "label";
    onbuild = "onbuild";
    platform_args = "platform-args";
    run = "run";
    run_heredoc = "run-heredoc";
    run_mount = "run-mount";
    shell = "shell";
    stopsignal = "stopsignal";
    user = "user";
    volume = "volume";
    workdir = "workdir";
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/language")
}

/// The case files of one directory, in alphabetical order.
fn files(feature: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory().join(feature)).expect("a directory of cases");
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|end| end == "case"));
    files.sort();
    files
}

#[test]
fn no_case_is_lost() {
    let mut count = 0;
    for entry in std::fs::read_dir(directory()).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            let name = entry.file_name().into_string().unwrap();
            assert!(FEATURES.contains(&name.as_str()), "no test runs the cases of {name}");
            count += files(&name).len();
        }
    }
    assert!(count >= FLOOR, "{count} cases, not {FLOOR}");
}

/// Builds the cases of one directory and fails with all that is wrong.
fn check(feature: &str) {
    common::built::need_root();
    let wanted = std::env::var("KILN_CASE").unwrap_or_default();
    let cases: Vec<Case> = files(feature)
        .iter()
        .map(|path| Case::read(path, feature))
        .filter(|case| case.name.starts_with(&wanted))
        .collect();
    let builders = Builders::start();
    if let Ok(builder) = std::env::var("KILN_CASES_WRITE") {
        cases.iter().for_each(|case| builders.write(case, &builder));
        return;
    }
    let mut report = String::new();
    for case in &cases {
        let wrong = builders.check(case);
        if !wrong.is_empty() {
            let _ = writeln!(report, "tests/language/{}.case:\n{}", case.name, wrong.join("\n"));
        }
    }
    assert!(report.is_empty(), "{report}");
}
