//! Small files that later steps of a CI job read: kaniko's `--digest-file` and its relatives.

use std::fs::{DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use crate::cancel::Cancel;
use crate::digest::Digest;
use crate::registry::{Options, Reference, put_text};
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
    if let Some(dir) = request.builder_output.as_ref().filter(|_| request.push) {
        write(&dir.join("images"), &lines(destinations, |to| for_builder(to, digest)))?;
    }
    Ok(())
}

/// Sends the digest where the request asks for it by address.
pub fn send_digest(
    request: &Request,
    options: &Options,
    cancel: &Cancel,
    digest: &Digest,
) -> Result<()> {
    let Some(address) = &request.digest_url else { return Ok(()) };
    let status = put_text(options, cancel, address, &digest.to_string())
        .context("cannot send the digest to the address of --digest-file")?;
    if !(200..300).contains(&status) {
        // The address may be signed: only its host is shown.
        let host = address.trim_start_matches("https://").split(['/', '?', '@']).next();
        let host = host.unwrap_or_default();
        bail!("{host} answered {status} when kiln sent the digest to the address of --digest-file");
    }
    Ok(())
}

/// A line of Cloud Build's `images`.
fn for_builder(to: &Reference, digest: &Digest) -> String {
    serde_json::json!({ "name": to.familiar(), "digest": digest.to_string() }).to_string()
}

fn lines(destinations: &[Reference], line: impl Fn(&Reference) -> String) -> String {
    destinations.iter().map(|to| line(to) + "\n").collect()
}

/// Directories that are missing are made for this user alone, as kaniko does; the file is for
/// everyone, and may be there already (a Pod's /dev/termination-log).
pub(super) fn write(path: &Path, text: &str) -> Result<()> {
    let above = path.parent().map_or(Ok(()), |dir| {
        if dir.is_dir() {
            Ok(())
        } else {
            DirBuilder::new().recursive(true).mode(0o700).create(dir)
        }
    });
    let mut file = OpenOptions::new();
    file.write(true).create(true).truncate(true).mode(0o644);
    above
        .and_then(|()| file.open(path)?.write_all(text.as_bytes()))
        .with_context(|| format!("cannot write {}", path.display()))
}
