//! examples/gitlab: its jobs in real containers, run by gitlab-ci-local on Debian's dockerd, with a
//! registry that asks for a password.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

#[path = "gitlab/jobs.rs"]
mod jobs;
#[path = "gitlab/pipeline.rs"]
mod pipeline;
#[path = "gitlab/runner.rs"]
mod runner;
