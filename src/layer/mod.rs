//! Layers: tar in and out, compression, whiteouts, and the store of finished blobs.

pub mod entry;
pub mod whiteout;

pub use entry::{Entry, Kind, Metadata, Timestamp};
pub use whiteout::Whiteout;
