//! Faults that are no mere statuses, asked of the library, and some of the program.

mod login;
mod program;
mod pull;
mod push;
mod redirect;

use crate::case::check;

/// What a body is cut after: at once, in its first byte, in the middle, before its last byte. The
/// larger layer has 302080 bytes.
const CUTS: [(&str, u64); 4] = [
    ("at once", 0),
    ("after a byte", 1),
    ("in the middle", 150_000),
    ("a byte too early", 302_079),
];

#[test]
fn pulls() {
    check(&pull::rows());
}

#[test]
fn pushes() {
    check(&push::rows());
}

#[test]
fn tokens_and_credentials() {
    check(&login::rows());
}

#[test]
fn addresses_that_a_registry_chooses() {
    check(&redirect::rows());
}

#[test]
fn what_people_see() {
    check(&program::rows());
}
