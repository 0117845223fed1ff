//! Small files that later steps of a CI job read: kaniko's `--digest-file` and its relatives.

use std::path::Path;

use anyhow::{Context as _, Result};

use crate::digest::Digest;
use crate::registry::Reference;
use crate::request::Request;

/// Writes the files that the request asks for: the digest; `repository@digest` and
/// `repository:tag@digest` for each destination, one a line.
pub fn write_digest_files(
    request: &Request,
    destinations: &[Reference],
    digest: &Digest,
) -> Result<()> {
    let by_repository =
        lines(destinations, |to| format!("{}@{digest}", to.repository().familiar()));
    let by_tag = lines(destinations, |to| format!("{}@{digest}", to.familiar()));
    let files = [
        (&request.digest_file, digest.to_string()),
        (&request.image_name_with_digest_file, by_repository),
        (&request.image_name_tag_with_digest_file, by_tag),
    ];
    for (path, text) in files {
        if let Some(path) = path {
            write(path, &text)?;
        }
    }
    Ok(())
}

fn lines(destinations: &[Reference], line: impl Fn(&Reference) -> String) -> String {
    destinations.iter().map(|to| line(to) + "\n").collect()
}

fn write(path: &Path, text: &str) -> Result<()> {
    let made = path.parent().map_or(Ok(()), std::fs::create_dir_all);
    made.and_then(|()| std::fs::write(path, text))
        .with_context(|| format!("cannot write {}", path.display()))
}
