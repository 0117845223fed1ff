//! Places that an image's blobs are read from.

use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::read::MultiGzDecoder;
use serde_json::{Value, json};

use crate::client;
use crate::digest::{is_sha256, sha256};

const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, \
    application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.docker.distribution.manifest.v2+json";

/// Where blobs come from.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// Files named after their hexadecimal digest in a directory.
    Dir(PathBuf),
    /// A repository of a registry that speaks HTTP: `http://HOST/v2/NAME`.
    Http { url: String, auth: Option<String> },
    /// Members of a docker archive.
    Archive(PathBuf),
}

impl Source {
    pub fn http(host: &str, repo: &str, login: Option<(&str, &str)>) -> Self {
        let encode = |(user, password)| STANDARD.encode(format!("{user}:{password}"));
        let auth = login.map(|login| format!("Basic {}", encode(login)));
        Self::Http { url: format!("http://{host}/v2/{repo}"), auth }
    }

    /// The manifest that a tag or digest stands for.
    pub fn manifest(&self, reference: &str) -> anyhow::Result<Vec<u8>> {
        match self {
            Self::Http { url, auth } => {
                let url = format!("{url}/manifests/{reference}");
                fetch(&url, auth.as_deref(), &[("Accept", ACCEPT)])
            }
            _ => self.blob(reference),
        }
    }

    /// A blob's bytes, checked against its digest.
    pub fn blob(&self, digest: &str) -> anyhow::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.open(digest)?.read_to_end(&mut bytes)?;
        if is_sha256(digest) {
            let found = sha256(&bytes);
            ensure!(found == digest, "the content of {digest} has digest {found}");
        }
        Ok(bytes)
    }

    /// A blob, or a member of a docker archive by its name, as a stream.
    fn open(&self, digest: &str) -> anyhow::Result<Box<dyn Read>> {
        match self {
            Self::Dir(dir) => {
                let path = dir.join(digest.trim_start_matches("sha256:"));
                let file = File::open(&path);
                Ok(Box::new(file.with_context(|| format!("cannot open {}", path.display()))?))
            }
            Self::Http { url, auth } => {
                let bytes = fetch(&format!("{url}/blobs/{digest}"), auth.as_deref(), &[])?;
                Ok(Box::new(io::Cursor::new(bytes)))
            }
            Self::Archive(path) => member(path, digest),
        }
    }

    /// A layer's tar archive as a stream.
    pub fn layer(&self, digest: &str) -> anyhow::Result<Box<dyn Read>> {
        decompress(self.open(digest)?)
    }
}

/// A member of a docker archive. In old archives a layer may be a link to another one's.
fn member(path: &Path, name: &str) -> anyhow::Result<Box<dyn Read>> {
    let mut archive = tar::Archive::new(File::open(path)?);
    for entry in archive.entries_with_seek()? {
        let entry = entry?;
        if &*entry.path_bytes() != name.as_bytes() {
            continue;
        }
        if let Some(target) = entry.link_name_bytes() {
            let target = String::from_utf8_lossy(&target).into_owned();
            return member(path, target.trim_start_matches("../"));
        }
        // A second look at the file, since the entry borrows the archive.
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(entry.raw_file_position()))?;
        return Ok(Box::new(file.take(entry.size())));
    }
    bail!("{} has no member {name}", path.display())
}

fn fetch(url: &str, auth: Option<&str>, headers: &[(&str, &str)]) -> anyhow::Result<Vec<u8>> {
    let mut headers = headers.to_vec();
    headers.extend(auth.map(|auth| ("Authorization", auth)));
    let answer = client::request("GET", url, &headers, b"")?;
    ensure!(
        answer.status == 200,
        "GET {url} is answered with {}: {}",
        answer.status,
        answer.text()
    );
    Ok(answer.body)
}

/// Looks at the first bytes, as everybody does, since media types are not to be relied on.
fn decompress(mut raw: Box<dyn Read>) -> anyhow::Result<Box<dyn Read>> {
    let mut magic = Vec::new();
    raw.by_ref().take(4).read_to_end(&mut magic)?;
    let kind = magic.clone();
    let whole = io::Cursor::new(magic).chain(raw);
    Ok(match kind.as_slice() {
        [0x1f, 0x8b, ..] => Box::new(MultiGzDecoder::new(whole)),
        [0x28, 0xb5, 0x2f, 0xfd] => Box::new(zstd::Decoder::new(whole)?),
        _ => Box::new(whole),
    })
}

/// The digest of the manifest that a name stands for in a layout's index.json.
pub(crate) fn layout_manifest(dir: &Path, name: Option<&str>) -> anyhow::Result<String> {
    let index = std::fs::read(dir.join("index.json"));
    let index = index.with_context(|| format!("{} is no OCI layout", dir.display()))?;
    let index: Value = serde_json::from_slice(&index)?;
    let all = index["manifests"].as_array().cloned().unwrap_or_default();
    let named = |manifest: &&Value| {
        let own = manifest["annotations"]["org.opencontainers.image.ref.name"].as_str();
        name.is_none_or(|name| own == Some(name))
    };
    let found: Vec<_> = all.iter().filter(named).collect();
    ensure!(found.len() == 1, "{} images in {} are called {name:?}", found.len(), dir.display());
    Ok(found[0]["digest"].as_str().unwrap_or_default().to_owned())
}

/// A docker archive's first image in the form of a manifest whose digests are member names.
pub(crate) fn archive_manifest(path: &Path) -> anyhow::Result<Value> {
    let mut list = Vec::new();
    member(path, "manifest.json")?.read_to_end(&mut list)?;
    let list: Value = serde_json::from_slice(&list)?;
    let names = list[0]["Layers"].as_array().cloned().unwrap_or_default();
    let layers: Vec<_> = names.into_iter().map(|name| json!({ "digest": name })).collect();
    Ok(json!({ "config": { "digest": list[0]["Config"] }, "layers": layers }))
}
