//! Where an image goes: registries, an OCI layout, a docker archive, and files that name its digest.

mod destination;
mod digest_files;
mod uploads;

pub use destination::{Destination, PushFailed};
pub use digest_files::{send_digest, write_digest_files};
pub use uploads::Uploads;
