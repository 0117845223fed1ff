//! Image documents: configs, manifests, platforms; and images as files.

pub mod archive;
pub mod config;
pub mod finished;
pub mod layout;
pub mod manifest;
pub mod media_type;
pub mod platform;

pub use config::{ContainerConfig, History, ImageConfig};
pub use finished::{ExportError, FinishedImage};
pub use manifest::{Descriptor, Document, Index, Manifest};
pub use media_type::ImageFormat;
pub use platform::Platform;
