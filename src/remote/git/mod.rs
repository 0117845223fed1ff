//! Git repositories: which one ([`GitReference`]), and its files at one commit
//! ([`Fetcher::repository`](super::Fetcher::repository)), with the `git` of this machine (`program`,
//! `command`) or without (`own`).

mod auth;
mod command;
mod own;
mod program;
mod query;
mod reference;
mod repository;
mod resolve;
mod settle;
mod trust;

#[doc(hidden)]
pub use self::own::testing;
pub use self::reference::{GitReference, GitReferenceError, MTime, checked, parse};
pub use self::repository::Checkout;

#[cfg(test)]
mod vectors;
