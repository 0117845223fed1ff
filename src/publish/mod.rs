//! Where an image goes: registries, an OCI layout, a docker archive, and files that name its digest.

mod digest_files;
mod uploads;

pub use digest_files::write_digest_files;
pub use uploads::Uploads;
