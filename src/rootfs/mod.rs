//! A directory that is an image's file system.
//!
//! | module | job |
//! |---|---|
//! | [`view`] | looking at a file system, however it is stored; following its links |
//! | [`root`] | a directory as an image's root: nothing in it leads out of it |
//! | [`entries`] | a layer, one entry after the other |
//! | `place` | where an entry lands, for `extract` and `index` alike |
//! | [`extract`](mod@extract) | a layer → a directory |
//! | [`index`] | layers → a tree of names, without unpacking |
//! | [`merge`] | layers → one layer, or one tar, without unpacking |
//! | [`join`](mod@join) | a layer in a directory of its own → the directory of those below |
//! | [`diff`] | an overlay's upper directory → a layer |
//! | [`scan`] | a directory that a command ran in, with no overlay → a layer |
//! | [`vacate`](mod@vacate) | making room in a directory that is in use |
//! | [`users`] | `etc/passwd` and `etc/group`: USER, HOME, `--chown` |

pub mod copy;
pub mod diff;
pub mod entries;
pub mod extract;
pub mod glob;
pub mod ignore;
pub mod index;
pub mod join;
pub mod merge;
#[cfg(test)]
mod overlay_tests;
mod owner;
mod place;
#[cfg(test)]
mod properties;
pub mod root;
pub mod scan;
mod settle;
mod stat;
#[cfg(test)]
mod testing;
pub mod users;
pub mod vacate;
pub mod view;
mod xattr;

pub use diff::{ChangeSink, DiffError, DiffStats, diff_upper};
pub use entries::Entries;
pub use extract::{Extract, ExtractError, Extracted, Filter, Whiteouts, extract};
pub use index::{CompleteError, Index, IndexError, VisiblePart, Wanted};
pub use join::join;
pub use merge::{Merge, MergeError, Survey};
pub use place::PathError;
pub use root::{Root, RootError};
pub use scan::{Ledger, Scan, Snapshot, SnapshotView};
pub use settle::Ownership;
pub use users::{Process, UserError, Users};
pub use view::{Resolved, View, ViewError, resolve};
pub use xattr::Overlay;
