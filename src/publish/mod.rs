//! Where an image goes: registries, an OCI layout, a docker archive, and files that name its digest.

mod arrivals;
mod destination;
mod digest_files;
mod headstart;
mod keeping;
mod layer;
mod metadata_file;
mod result_files;
mod slots;
mod uploads;

pub use destination::{Destination, PushFailed};
pub use digest_files::{send_digest, write_digest_files};
pub use keeping::{Keeping, LostLayers, Policy, Target};
pub use metadata_file::{platform_dir, write_iid_file, write_metadata_file};
pub use result_files::write_result_files;
pub use uploads::Uploads;
