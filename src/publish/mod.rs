//! Where an image goes: registries, an OCI layout, a docker archive, and files that name its digest.

mod destination;
mod digest_files;
mod uploads;

pub use destination::Destination;
pub use digest_files::write_digest_files;
pub use uploads::Uploads;
