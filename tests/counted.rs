//! What fixed builds cost, counted: requests, system calls, bytes, allocations. A machine that is busy
//! cannot make these fail; a change that asks for more does.
//!
//! `tests/counted/counts.table` has what was measured and what is allowed; `KILN_COUNTS=write` writes it
//! anew (`mode.rs`). docs/performance.md says what is counted, and what is not.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

#[path = "counted/allocations.rs"]
mod allocations;
#[path = "counted/allocator.rs"]
mod allocator;
#[path = "counted/base.rs"]
mod base;
#[path = "counted/builds.rs"]
mod builds;
#[path = "counted/calls.rs"]
mod calls;
#[path = "counted/cases.rs"]
mod cases;
#[path = "counted/growth.rs"]
mod growth;
#[path = "counted/mode.rs"]
mod mode;
#[path = "counted/requests.rs"]
mod requests;
#[path = "counted/table.rs"]
mod table;
#[path = "counted/trace.rs"]
mod trace;

use cases::Project;
use trace::Counts;

/// Builds the project once and counts everything.
#[track_caller]
fn counts(project: &Project) -> Counts {
    project.bench.registry.clear_requests();
    let mut counts = trace::traced(project.kiln());
    counts.extend(requests::counted(&project.bench.registry.requests()));
    counts
}

/// Whether builds can be counted here: RUN needs root's rights, as in all tests of it.
fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("skipped: the table is of builds by root; others make other calls");
    }
    root
}
