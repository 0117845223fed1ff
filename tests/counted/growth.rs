//! What one more file, or one more command, costs: from builds of two sizes, so that what a build
//! costs anyway does not matter.

use super::cases::{self, Isolation, Project};
use super::trace::Counts;
use super::{counts, is_root, table};

/// Builds both projects, and compares what so many items cost with the table.
#[track_caller]
fn complaints(
    name: &str,
    per: usize,
    sizes: [usize; 2],
    project: impl Fn(usize) -> Project,
) -> String {
    let [few, many] = sizes.map(|size| counts(&project(size)));
    table::complaints(name, &growth(&few, &many, sizes, per))
}

/// For so many items more. What does not grow with them is not in it, and neither is a difference that
/// would come to less than one: builds of one size differ by that too.
fn growth(few: &Counts, many: &Counts, sizes: [usize; 2], per: usize) -> Counts {
    let items = sizes[1] - sizes[0];
    let grown = |(what, &count): (&String, &u64)| {
        let more = count.saturating_sub(few.get(what).copied().unwrap_or(0));
        (what.clone(), more * per as u64 / items as u64)
    };
    many.iter().map(grown).filter(|(_, count)| *count > 0).collect()
}

/// What a hundred files cost.
#[track_caller]
fn files(what: &str, project: impl Fn(usize) -> Project) {
    if is_root() {
        let complaints = complaints(&format!("100 more {what}"), 100, [100, 600], project);
        table::assert_none(&complaints);
    }
}

/// The same in both isolations; what does not hold in either is said at once.
#[track_caller]
fn files_in_both(what: &str, project: impl Fn(Isolation, usize) -> Project) {
    if is_root() {
        let complaints = Isolation::BOTH.map(|isolation| {
            let name = format!("100 more {what}, {}", isolation.name());
            complaints(&name, 100, [100, 600], |size| project(isolation, size))
        });
        table::assert_none(&complaints.concat());
    }
}

/// They are not even looked at: the table says `nothing`.
#[test]
fn files_that_nobody_copies() {
    files("files that nobody copies", cases::monorepo);
}

#[test]
fn files_that_are_ignored() {
    files("files that are ignored", cases::ignored);
}

#[test]
fn files_that_are_copied() {
    files("files that are copied", cases::copied);
}

#[test]
fn files_that_a_command_writes() {
    files_in_both("files that a RUN writes", cases::writes);
}

#[test]
fn files_of_the_base() {
    files_in_both("files of the base", cases::wide_base);
}

#[test]
fn commands() {
    if is_root() {
        let complaints = Isolation::BOTH.map(|isolation| {
            let name = format!("one more RUN, {}", isolation.name());
            complaints(&name, 1, [2, 12], |runs| cases::deep(isolation, runs))
        });
        table::assert_none(&complaints.concat());
    }
}

#[test]
fn what_grows_is_told_from_what_does_not() {
    let counts = |opened: u64, other: u64| {
        Counts::from([("files opened".to_owned(), opened), ("mounts".to_owned(), other)])
    };
    let grown = growth(&counts(50, 2), &counts(2057, 4), [200, 1200], 100);
    assert_eq!(grown, Counts::from([("files opened".to_owned(), 200)]));
}
