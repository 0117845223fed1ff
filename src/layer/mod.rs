//! Layers: tar in and out, compression, whiteouts, and the store of finished blobs.
//!
//! Out: [`LayerWriter`] takes entries, and in one pass makes the tar ([`TarWriter`]), its digest,
//! the compressed blob ([`Compressor`]), its digest, and the file in the [`BlobStore`].
//! In: [`decompress::decoder`] finds out how a stream is compressed, [`TarReader`] takes it apart.

mod blocks;
pub mod compress;
pub mod content;
pub mod decompress;
pub mod entry;
pub mod growing;
mod gunzip;
mod hash_thread;
mod read_ahead;
pub mod store;
pub mod tar_error;
mod tar_header;
pub mod tar_read;
pub mod tar_write;
pub mod whiteout;
pub mod writer;

pub use compress::{Compression, Compressor, DEFAULT_GZIP_LEVEL};
pub use content::{Content, FileSlice, Node, Source, Tree};
pub use decompress::{Format, Limit, SNIFFED, decoder, decoder_limited, sniff};
pub use entry::{Entry, Kind, Metadata, Timestamp};
pub use growing::{Extent, Growing};
pub(crate) use read_ahead::fill;
pub use read_ahead::{Observer, ReadAhead, threaded};
pub use store::{BlobStore, BlobWriter, StoreError};
pub use tar_error::TarError;
pub use tar_read::{TarEntry, TarReader, looks_like_tar};
pub use tar_write::TarWriter;
pub use whiteout::Whiteout;
pub use writer::{Layer, LayerError, LayerOptions, LayerWriter, write_tree};
