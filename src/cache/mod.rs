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
//! | `tree` | a digest of files |
//! | `graph` | the keys of all steps of a plan |
//! | `state` | what the files are at one point, by content |
//! | `probe` | which steps have a result that is of use, and which stages are left to build |
//! | `facts` | what a copy asked of the files below it |
//! | `explain` | why a step was, or was not, taken |
//! | `record` | entries, and how they are merged and written as manifests |
//! | `backend` | places that keep blobs and documents |
//! | `library` | all places of a build, and what they have |
//! | `upkeep` | how much is at a place, and less of it |
//! | `mounts` | caches of RUN that travel |

pub mod backend;
mod error;
pub mod explain;
pub mod facts;
pub mod graph;
pub mod key;
pub mod library;
pub mod mounts;
pub mod probe;
pub mod record;
mod state;
pub mod tree;
pub mod upkeep;

pub use self::backend::{Backend, Content, KeptFile, LayerPlace};
pub use self::error::CacheError;
pub use self::key::Key;
pub use self::probe::{Findings, Hit, Miss, Probe, Verdict};
pub use self::record::{Entry, Record};
pub use self::state::{Manner, State, Token};
