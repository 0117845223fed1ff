//! The same small files for what was not built here.

use anyhow::Result;

use super::digest_files::write;
use crate::digest::Digest;
use crate::registry::Reference;
use crate::request::Destinations;

/// Writes the files that are asked for: the digest; `repository@digest` and `repository:tag@digest` for
/// each name, one a line.
pub fn write_result_files(to: &Destinations, names: &[Reference], digest: &Digest) -> Result<()> {
    let lines = |line: &dyn Fn(&Reference) -> String| -> String {
        names.iter().map(|name| line(name) + "\n").collect()
    };
    let files = [
        (&to.digest_file, digest.to_string()),
        (
            &to.image_name_with_digest_file,
            lines(&|name| format!("{}@{digest}", name.repository().familiar())),
        ),
        (
            &to.image_name_tag_with_digest_file,
            lines(&|name| format!("{}@{digest}", name.familiar())),
        ),
    ];
    for (path, text) in files {
        if let Some(path) = path {
            write(path, &text)?;
        }
    }
    Ok(())
}
