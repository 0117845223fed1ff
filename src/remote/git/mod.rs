//! Git repositories: which one ([`GitReference`]), and its files at one commit
//! ([`Fetcher::repository`](super::Fetcher::repository)), with the `git` of this machine.

mod auth;
mod command;
mod fetch;
mod query;
mod reference;
mod resolve;
mod settle;

pub use self::fetch::Checkout;
pub use self::reference::{GitReference, GitReferenceError, MTime, checked, parse};

#[cfg(test)]
mod vectors;
