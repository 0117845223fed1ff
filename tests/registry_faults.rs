//! What a registry can do wrong, as tables: a fault, what is done, and what must come of it. Either
//! the right image, byte for byte, or one clear error; never a tag that points to something
//! incomplete, and no upload that is left open where kiln could have cancelled it.
//!
//! `registry_faults/statuses.table` has every status at every step, asked of the library; the rows
//! in `registry_faults/rows/` are all other faults; those in `rows/program.rs` go through the real
//! program, whose messages people see. `counts.rs` counts requests, and `large.rs` needs the release
//! binary (KILN_RELEASE, which `cargo xtask test` sets).

mod common;

#[path = "registry_faults/case.rs"]
mod case;
#[path = "registry_faults/counts.rs"]
mod counts;
#[path = "registry_faults/large.rs"]
mod large;
#[path = "registry_faults/library.rs"]
mod library;
#[path = "registry_faults/program.rs"]
mod program;
#[path = "registry_faults/rows/mod.rs"]
mod rows;
#[path = "registry_faults/statuses.rs"]
mod statuses;
#[path = "registry_faults/world.rs"]
mod world;
