//! SHA-256 in the spelling of image manifests.

use std::fmt::Write as _;
use std::io::Read;

use sha2::{Digest as _, Sha256};

/// `sha256:` and the hexadecimal digest of these bytes.
pub fn sha256(bytes: &[u8]) -> String {
    spell(Sha256::new_with_prefix(bytes))
}

/// The digest of everything that the reader yields, and the number of its bytes.
///
/// # Errors
/// Those of the reader.
pub fn sha256_of(mut reader: impl Read) -> std::io::Result<(String, u64)> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 128 * 1024];
    let mut total = 0;
    loop {
        let count = reader.read(&mut buffer)?;
        if count == 0 {
            return Ok((spell(hasher), total));
        }
        hasher.update(&buffer[..count]);
        total += count as u64;
    }
}

/// `sha256:` and the hexadecimal digest of what the hasher has seen.
pub(crate) fn spell(hasher: Sha256) -> String {
    let mut text = String::from("sha256:");
    for byte in hasher.finalize() {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Whether the text is `sha256:` and 64 lower-case hexadecimal digits.
pub(crate) fn is_sha256(text: &str) -> bool {
    text.strip_prefix("sha256:").is_some_and(|hex| {
        hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    })
}
