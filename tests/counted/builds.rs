//! Whole builds, each kind of call in them.

use super::cases::{self, Isolation, Project};
use super::{counts, is_root, table};

#[track_caller]
fn check(name: &str, project: impl FnOnce() -> Project) {
    if is_root() {
        table::check(name, &counts(&project()));
    }
}

/// What does not hold in either is said at once.
#[track_caller]
fn check_both(name: &str, project: impl Fn(Isolation) -> Project) {
    if is_root() {
        let complaints = Isolation::BOTH.map(|isolation| {
            let name = format!("{name}, {}", isolation.name());
            table::complaints(&name, &counts(&project(isolation)))
        });
        table::assert_none(&complaints.concat());
    }
}

#[test]
fn copy_only() {
    check("copy-only", cases::copy_only);
}

#[test]
fn flask() {
    check_both("flask", cases::flask);
}

#[test]
fn deep() {
    check_both("deep", |isolation| cases::deep(isolation, 10));
}

#[test]
fn stages() {
    check_both("stages", cases::stages);
}

#[test]
fn unchanged() {
    check("unchanged", || cases::unchanged(Isolation::Namespaces));
}

#[test]
fn one_changed() {
    check_both("one file changed", cases::one_changed);
}

#[test]
fn monorepo() {
    check("monorepo", || cases::monorepo(2940));
}

#[test]
fn writes() {
    check_both("a RUN that writes 2000 files", |isolation| cases::writes(isolation, 2000));
}

#[test]
fn large() {
    check_both("large", cases::large);
}
