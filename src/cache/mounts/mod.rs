//! Caches of RUN that travel: `RUN --mount=type=cache` begins with what it had on another machine.
//!
//! A *snapshot* of a cache is a tree of names and metadata, and packs of pieces of files. It is kept as
//! an OCI manifest whose layers are the tree and the packs. Whoever saves one sends the pieces
//! that no older pack has, and the tree; then the manifest, which takes the place of the last one at
//! once. Of two that save at the same time the last one wins, whole.
//!
//! | module | job |
//! |---|---|
//! | `key` | which cache it is, and its tags |
//! | `find` | the snapshot of a cache, or the newest of its kin |
//! | `manifest` | a snapshot as a document |
//! | `tree` | names, metadata, and where content is, as bytes |
//! | `chunks` | where a file is cut into pieces |
//! | `pack` | pieces in a blob |
//! | `scan` | what a directory has, without reading what is known |
//! | `memory` | what is known of a directory |
//! | `restore` | a snapshot becomes a directory |
//! | `limits` | what is too old or too much |
//! | `plan` | which packs stay, and what new ones have |
//! | `save` | a directory becomes a snapshot |
//! | `travel` | all of it for the caches of one build: tasks, notes, warnings |

mod bytes;
pub mod chunks;
mod error;
mod find;
mod key;
mod limits;
mod manifest;
mod memory;
mod pack;
mod plan;
mod restore;
mod save;
mod scan;
mod travel;
mod tree;

#[cfg(test)]
mod tests;

pub use self::error::MountError;
pub use self::key::{MARK, MountKey};
pub use self::manifest::{SAVED, VERSION};
pub use self::memory::Memory;
pub use self::travel::{Brought, Travel, Workplace};
