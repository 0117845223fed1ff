//! Images that are there already, on their way to registries: what `kiln push` and `kiln index` send.
//!
//! | module | job |
//! |---|---|
//! | `source` | which file or directory, and which image in it |
//! | `archive` | a tar becomes a directory: an OCI layout, or the files of `docker save` |
//! | `docker` | from those files to an image |
//! | `home` | where documents and blobs are read from |
//! | `cargo` | a document and everything below it |
//! | `join` | images of several platforms → one index |
//! | `send` | cargo → repositories, tags last |

mod archive;
mod cargo;
mod docker;
mod home;
mod join;
mod send;
mod source;

pub use cargo::{Cargo, Contents, Item};
pub use home::Home;
pub use join::{Joined, Part, join, parts_of_layout, parts_of_registry};
pub use send::{Sender, Sent};
pub use source::{Opened, Recompression, Source, open};
