//! A tar of an image, unpacked in one pass: every file becomes a blob of a store, under the digest that
//! it has. The archive may be compressed, and may come from a pipe.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};

use crate::cancel::Cancel;
use crate::digest::Digest;
use crate::image::DOCUMENT_MAX;
use crate::layer::{BlobStore, Kind, TarReader, decoder};

/// An image of a thousand layers has fewer members.
const MEMBERS_MAX: usize = 100_000;
/// Bytes that are read at once.
const BUFFER: usize = 1 << 20;

/// An archive that was unpacked.
#[derive(Debug)]
pub(super) struct Unpacked {
    /// Has `blobs/sha256/`, and `index.json` if the archive has.
    pub(super) dir: PathBuf,
    /// The blobs.
    pub(super) store: BlobStore,
    files: BTreeMap<PathBuf, (Digest, u64)>,
    /// Links of old `docker save`s: layers that are in the archive under another name.
    links: BTreeMap<PathBuf, PathBuf>,
}

/// Unpacks a file, or standard input.
pub(super) fn unpack(path: Option<&Path>, work_dir: &Path, cancel: &Cancel) -> Result<Unpacked> {
    let input: Box<dyn Read + Send> = match path {
        Some(path) => Box::new(File::open(path)?),
        None => Box::new(io::stdin()),
    };
    let plain = decoder(BufReader::with_capacity(BUFFER, input))?;
    let mut tar = TarReader::new(BufReader::with_capacity(BUFFER, plain));
    let dir = work_dir.join("archive");
    let mut unpacked = Unpacked {
        store: BlobStore::create(&dir.join("blobs"))?,
        dir,
        files: BTreeMap::new(),
        links: BTreeMap::new(),
    };
    while let Some(mut member) = tar.next()? {
        cancel.check()?;
        let name = member.entry.path.clone();
        ensure!(
            unpacked.files.len() + unpacked.links.len() < MEMBERS_MAX,
            "it has more members than an image can have"
        );
        match member.entry.kind.clone() {
            Kind::File { .. } => {
                let mut writer = unpacked.store.writer()?;
                io::copy(&mut member, &mut writer)
                    .with_context(|| format!("cannot unpack {}", name.display()))?;
                unpacked.files.insert(name, writer.commit()?);
            }
            Kind::Symlink(target) => {
                let above = name.parent().unwrap_or(Path::new(""));
                let target = plain_path(&above.join(target));
                unpacked.links.insert(name, target);
            }
            Kind::HardLink(target) => _ = unpacked.links.insert(name, target),
            _ => {}
        }
    }
    for name in ["index.json", "oci-layout"] {
        if unpacked.has(name) {
            std::fs::write(unpacked.dir.join(name), unpacked.read(name)?)?;
        }
    }
    Ok(unpacked)
}

/// A path without `..`, seen from the archive's top.
fn plain_path(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => plain.push(name),
            Component::ParentDir => _ = plain.pop(),
            _ => {}
        }
    }
    plain
}

impl Unpacked {
    pub(super) fn has(&self, name: &str) -> bool {
        self.files.contains_key(Path::new(name))
    }

    /// A member's blob; a link leads to one.
    pub(super) fn find(&self, name: &str) -> Result<(Digest, u64)> {
        let mut path = plain_path(Path::new(name));
        for _ in 0..8 {
            if let Some(found) = self.files.get(&path) {
                return Ok(*found);
            }
            match self.links.get(&path) {
                Some(target) => path.clone_from(target),
                None => break,
            }
        }
        bail!("the archive has no member `{name}`, which its manifest.json names")
    }

    /// A member that is a document.
    pub(super) fn read(&self, name: &str) -> Result<Vec<u8>> {
        let (digest, size) = self.find(name)?;
        ensure!(size <= DOCUMENT_MAX, "{name} is too long for a document of an image");
        let mut bytes = Vec::new();
        self.store.open(&digest)?.take(DOCUMENT_MAX).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Members that are named by their content are what they are called.
    pub(super) fn check_blobs(&self) -> Result<()> {
        for (path, (digest, _)) in &self.files {
            ensure!(
                content_name(path).is_none_or(|hex| hex == digest.hex()),
                "{} of the archive is damaged: its digest is {digest}",
                path.display()
            );
        }
        Ok(())
    }
}

/// The digest that a member's name says: a blob of an OCI layout, `HEX.json`, a config of docker's, and
/// `sha256:HEX`, one of go-containerregistry's (kaniko, crane). Directories of old `docker save`s are named
/// by an id that is no digest of anything in the archive, and layers by what the writer liked.
fn content_name(path: &Path) -> Option<&str> {
    if let Ok(name) = path.strip_prefix("blobs/sha256") {
        return Some(name.to_str().unwrap_or_default());
    }
    let name = path.to_str()?;
    let hex = name.strip_suffix(".json").or_else(|| name.strip_prefix("sha256:"))?;
    let is_digit = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
    (hex.len() == 64 && hex.bytes().all(is_digit)).then_some(hex)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_names_are_digests() {
        let hex = "0123456789abcdef".repeat(4);
        for (path, is_one) in [
            (format!("blobs/sha256/{hex}"), true),
            ("blobs/sha256/other".to_owned(), true),
            (format!("{hex}.json"), true),
            (format!("sha256:{hex}"), true),
            (format!("{hex}/layer.tar"), false),
            (format!("{hex}/json"), false),
            (format!("{hex}.tar"), false),
            (format!("dir/{hex}.json"), false),
            (format!("{}.json", &hex[1..]), false),
            (format!("{}.json", hex.to_uppercase()), false),
            ("manifest.json".to_owned(), false),
        ] {
            assert_eq!(content_name(Path::new(&path)).is_some(), is_one, "{path}");
        }
    }
}
