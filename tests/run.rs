//! What a RUN sees and what it leaves, with root's privileges.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

#[path = "run/isolation.rs"]
mod isolation;
#[path = "run/leftovers.rs"]
mod leftovers;
#[path = "run/output.rs"]
mod output;
#[path = "run/place.rs"]
mod place;
#[path = "run/surroundings.rs"]
mod surroundings;
#[path = "run/together.rs"]
mod together;
#[path = "run/users.rs"]
mod users;
