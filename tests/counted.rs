//! What fixed builds cost, counted: requests, system calls, bytes, allocations. A machine that is busy
//! cannot make these fail; a change that asks for more does.
//!
//! `tests/counted/counts.table` has what was measured and what is allowed. `KILN_COUNTS=print` prints
//! what is counted, `KILN_COUNTS=write` writes the table. docs/performance.md says what is counted.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

#[path = "counted/calls.rs"]
mod calls;
#[path = "counted/cases.rs"]
mod cases;
#[path = "counted/requests.rs"]
mod requests;
#[path = "counted/table.rs"]
mod table;
#[path = "counted/trace.rs"]
mod trace;

use cases::{Isolation, Project};
use trace::Counts;

/// Builds the project once and counts everything.
#[track_caller]
fn counts(project: &Project) -> Counts {
    project.bench.registry.clear_requests();
    let mut counts = trace::traced(project.kiln());
    counts.extend(requests::counted(&project.bench.registry.requests()));
    counts
}

/// Whether builds can be counted here: RUN needs root's rights, as in all tests of it.
fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("skipped: a build with RUN makes other calls for who is not root");
    }
    root
}

#[track_caller]
fn check(name: &str, project: impl FnOnce() -> Project) {
    if is_root() {
        table::check(name, &counts(&project()));
    }
}

#[track_caller]
fn check_both(name: &str, project: impl Fn(Isolation) -> Project) {
    for isolation in [Isolation::Namespaces, Isolation::Chroot] {
        check(&format!("{name}, {}", isolation.name()), || project(isolation));
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
