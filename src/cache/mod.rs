//! Results of earlier builds: what did not change is not built, not pulled, not pushed.
//!
//! Each step of a plan has a [`Key`] before anything runs, made of all that can change what it does.
//! A [`Record`] says which keys have a result, and which layer that is. Records and layers are at
//! places ([`Backend`]): repositories of registries, directories.
//!
//! A key alone is not enough. A command may give something else each time it runs, so of two results
//! with the same key either is right, but not one of them below a step that ran on the other. An
//! [`Entry`] therefore names what it was built *on*, by content, and is taken only where that is what
//! is there (`probe`).
//!
//! | module | job |
//! |---|---|
//! | `key` | a digest of inputs, and the inputs by name, so that a difference can be told |
//! | `record` | entries, and how they are merged and written as manifests |
//! | `backend` | places that keep blobs and documents |
//! | `mounts` | caches of RUN that travel |

pub mod backend;
mod error;
pub mod key;
pub mod mounts;
pub mod record;

pub use self::backend::{Backend, Content, LayerPlace};
pub use self::error::CacheError;
pub use self::key::Key;
pub use self::record::{Entry, Record};
