//! Image documents: configs, manifests, platforms; and images as files.

pub mod archive;
pub mod assemble;
pub mod config;
pub mod finished;
pub mod layout;
pub mod manifest;
pub mod media_type;
pub mod oci_archive;
pub mod platform;
pub mod stored;
pub mod whole_file;

pub use assemble::{Dress, assemble, join};
pub use config::{ContainerConfig, History, ImageConfig};
pub use finished::{DocumentBytes, ExportError, FinishedImage, FinishedIndex, Product};
pub use manifest::{Descriptor, Document, Index, Manifest};
pub use media_type::ImageFormat;
pub use platform::Platform;
pub use stored::{DOCUMENT_MAX, open_regular, read_document};
