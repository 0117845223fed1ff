//! A directory that is an image's file system.

pub mod copy;
pub mod diff;
pub mod entries;
pub mod extract;
pub mod glob;
pub mod ignore;
pub mod index;
mod owner;
mod place;
#[cfg(test)]
mod properties;
pub mod root;
mod settle;
mod stat;
#[cfg(test)]
mod testing;
pub mod users;
pub mod view;
mod xattr;

pub use diff::{ChangeSink, DiffError, DiffStats, diff_upper};
pub use entries::Entries;
pub use extract::{Extract, ExtractError, Extracted, Filter, Whiteouts, extract};
pub use index::{Index, IndexError, VisiblePart};
pub use place::PathError;
pub use root::{Root, RootError};
pub use settle::Ownership;
pub use users::{Process, UserError, Users};
pub use view::{Resolved, View, ViewError, resolve};
pub use xattr::Overlay;
