//! One cache under many builds at once, some of which are killed: no entry is wrong, and no image.
//!
//! Needs root, and /bin/busybox (package busybox-static).

mod common;
#[path = "cache_killed/directory.rs"]
mod directory;
#[path = "cache_killed/killed.rs"]
mod killed;
#[path = "cache_killed/mounts.rs"]
mod mounts;
#[path = "cache_killed/output.rs"]
mod output;
#[path = "cache_killed/project.rs"]
mod project;
#[path = "cache_killed/repository.rs"]
mod repository;
#[path = "cache_killed/running.rs"]
mod running;
