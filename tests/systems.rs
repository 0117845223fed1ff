//! The systems that deploy/ has a file for: each one's own command line, read from that file, runs in
//! a container with that system's mounts, user and capabilities.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

#[path = "systems/cluster.rs"]
mod cluster;
#[path = "systems/deploy.rs"]
mod deploy;
#[path = "systems/runners.rs"]
mod runners;
#[path = "systems/site.rs"]
mod site;
