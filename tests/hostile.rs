//! Images, contexts and Dockerfiles of somebody who means harm.
//!
//! Each archive goes every way that kiln has for one: unpacked below a RUN, looked through for a
//! COPY into it, copied out of it, and added from a context. Beside the work directory lies a canary
//! that must not change, and neither must the machine's own users.

mod common;

#[path = "hostile/archives.rs"]
mod archives;
#[path = "hostile/arena.rs"]
mod arena;
#[path = "hostile/documents.rs"]
mod documents;
#[path = "hostile/files.rs"]
mod files;
#[path = "hostile/whiteouts.rs"]
mod whiteouts;
