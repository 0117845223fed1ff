//! kiln's image in containers: which isolation it finds, that the image is the same in each, and that
//! builds follow each other.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

#[path = "containers/caching.rs"]
mod caching;
#[path = "containers/podman.rs"]
mod podman;
#[path = "containers/repeated.rs"]
mod repeated;
#[path = "containers/set.rs"]
mod set;
#[path = "containers/started.rs"]
mod started;
#[path = "containers/table.rs"]
mod table;
