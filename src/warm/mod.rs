//! Local copies of base images.

use crate::cancel::Cancel;
use crate::event::Reporter;
use crate::request::WarmRequest;

/// What was fetched.
#[derive(Debug)]
pub struct Warmed;

/// Fetches base images into a directory.
///
/// # Errors
/// Always: this part of kiln is not there yet.
pub fn warm(
    _request: &WarmRequest,
    _reporter: &Reporter,
    _cancel: &Cancel,
) -> anyhow::Result<Warmed> {
    anyhow::bail!("kiln cannot keep local copies of base images yet; leave the warmer out")
}
