//! kaniko's command line, with the real program under kaniko's names.

mod common;

#[path = "kaniko/cache.rs"]
mod cache;
#[path = "registries/certificates.rs"]
#[allow(dead_code, reason = "only what is needed here")]
mod certificates;
#[path = "kaniko/digests.rs"]
mod digests;
#[path = "kaniko/job.rs"]
mod job;
#[path = "kaniko/log.rs"]
mod log;
#[path = "kaniko/programs.rs"]
mod programs;
#[path = "kaniko/run.rs"]
mod run;
