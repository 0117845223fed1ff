//! What bad input gets: one clear error, a fitting exit code, and nothing left anywhere.
//!
//! Every test goes through [`common::bench::Bench::fails`], which also looks at what is left: the
//! work directory, processes, mounts, tags, open uploads. Most need root or user namespaces, and
//! /bin/busybox (package busybox-static).

mod common;

#[path = "bad_input/copy.rs"]
mod copy;
#[path = "bad_input/disk.rs"]
mod disk;
#[path = "bad_input/dockerfile.rs"]
mod dockerfile;
#[path = "bad_input/pull.rs"]
mod pull;
#[path = "bad_input/push.rs"]
mod push;
#[path = "bad_input/run.rs"]
mod run;
#[path = "bad_input/usage.rs"]
mod usage;
