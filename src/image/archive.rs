//! Writes an image as `docker save` does: one tar, which `docker load` and `podman load` read.
//!
//! The layers go in as they are, compressed: `docker load` has found out by itself since 1.10 what
//! a layer is compressed with (gzip always, zstd since 23). go-containerregistry, and so kaniko,
//! writes such archives too.

use std::collections::BTreeSet;
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;

use serde::Serialize;

use super::finished::{ExportError, FinishedImage, split_name};
use super::manifest::Descriptor;
use crate::layer::{BlobStore, Entry, Kind, Metadata, TarError, TarWriter};

/// `manifest.json`: a list of images. Source: Docker's image spec v1.2, "Combined Image JSON".
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    config: String,
    repo_tags: Vec<String>,
    layers: Vec<String>,
}

/// Writes the image, under these names, to a stream that is called `path` in errors. The bytes depend
/// on nothing but the image and the names.
pub fn write_docker_archive(
    out: &mut dyn Write,
    path: &Path,
    store: &BlobStore,
    image: &FinishedImage,
    names: &[String],
) -> Result<(), ExportError> {
    for layer in &image.layers {
        store.open(&layer.digest)?;
    }
    let failed = |source| ExportError::Archive { path: path.to_owned(), source };
    let mut tar = TarWriter::new(BufWriter::with_capacity(1 << 20, out));
    let listed = Listed {
        config: format!("{}.json", image.config_digest.hex()),
        repo_tags: repo_tags(names),
        layers: image.layers.iter().map(layer_name).collect(),
    };
    append(&mut tar, &listed.config, &mut image.config.as_slice(), image.config.len() as u64)
        .map_err(failed)?;
    let mut written = BTreeSet::new();
    for layer in &image.layers {
        // The same layer twice in an image is one file in the archive.
        if written.insert(layer.digest) {
            let mut blob = store.open(&layer.digest)?;
            append(&mut tar, &layer_name(layer), &mut blob, layer.size).map_err(failed)?;
        }
    }
    let manifest =
        serde_json::to_vec(&[listed]).map_err(|error| failed(write_error(error.into())))?;
    append(&mut tar, "manifest.json", &mut manifest.as_slice(), manifest.len() as u64)
        .map_err(failed)?;
    tar.finish().and_then(|mut out| out.flush()).map_err(|error| failed(write_error(error)))
}

pub(super) fn write_error(error: io::Error) -> TarError {
    TarError::Write(error)
}

pub(super) fn append<W: Write>(
    tar: &mut TarWriter<W>,
    name: &str,
    content: &mut dyn Read,
    size: u64,
) -> Result<(), TarError> {
    let meta = Metadata { mode: 0o644, ..Metadata::default() };
    tar.append(&Entry { path: name.into(), meta, kind: Kind::File { size } }, content)
}

/// The ending is for people; readers look at the content.
fn layer_name(layer: &Descriptor) -> String {
    let ending = match layer.media_type.rsplit(['+', '.']).next() {
        Some("gzip") => "tar.gz",
        Some("zstd") => "tar.zst",
        _ => "tar",
    };
    format!("{}.{ending}", layer.digest.hex())
}

/// Names with a tag, since `docker load` refuses others.
fn repo_tags(names: &[String]) -> Vec<String> {
    let tagged = names.iter().map(|name| split_name(name));
    tagged.map(|(repository, tag)| format!("{repository}:{tag}")).collect()
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use super::super::finished::sample;
    use super::super::whole_file::write_whole;
    use super::*;
    use crate::digest::Digest;
    use crate::layer::TarReader;

    fn write(
        path: &Path,
        store: &BlobStore,
        image: &FinishedImage,
        names: &[&str],
    ) -> Result<(), ExportError> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        write_whole(path, |out| write_docker_archive(out, path, store, image, &names))
    }

    fn members(path: &Path) -> Vec<(String, Vec<u8>)> {
        let mut reader = TarReader::new(io::BufReader::new(File::open(path).expect("there")));
        let mut members = Vec::new();
        while let Some(mut member) = reader.next().expect("valid") {
            let mut bytes = Vec::new();
            member.read_to_end(&mut bytes).expect("whole");
            members.push((member.entry.path.display().to_string(), bytes));
        }
        members
    }

    #[test]
    fn the_list_leads_to_members() {
        let (dir, store, mut image) = sample();
        let names = ["reg:5000/app:1", "app"];
        image.layers.push(image.layers[0].clone());
        let path = dir.path().join("new/image.tar");
        write(&path, &store, &image, &names).expect("written");
        let members = members(&path);
        assert_eq!(members.len(), 3, "the layer that comes twice is there once");
        let find = |name: &str| &members.iter().find(|(other, _)| other == name).expect(name).1;
        let list: serde_json::Value = serde_json::from_slice(find("manifest.json")).expect("json");
        assert_eq!(list[0]["RepoTags"], serde_json::json!(["reg:5000/app:1", "app:latest"]));
        let config = list[0]["Config"].as_str().expect("text");
        assert_eq!(Digest::of(find(config)), image.config_digest);
        let layers = list[0]["Layers"].as_array().expect("a list");
        assert_eq!(layers.len(), 2);
        for layer in layers {
            let name = layer.as_str().expect("text");
            assert!(name.ends_with(".tar.gz"), "{name}");
            assert_eq!(Digest::of(find(name)), image.layers[0].digest);
        }
        let first = fs::read(&path).expect("there");
        write(&path, &store, &image, &names).expect("written over the old one");
        assert!(fs::read(&path).expect("there") == first);
    }

    #[test]
    fn a_failure_leaves_what_was_there() {
        let (dir, store, mut image) = sample();
        let path = dir.path().join("image.tar");
        fs::write(&path, "old").expect("written");
        image.layers[0].size += 1;
        let error = write(&path, &store, &image, &["app:1"]).expect_err("a wrong size");
        assert!(matches!(error, ExportError::Archive { .. }), "{error}");
        image.layers[0].digest = Digest::of(b"elsewhere");
        let error = write(&path, &store, &image, &["app:1"]).expect_err("no such layer");
        assert!(matches!(error, ExportError::Store(_)), "{error}");
        assert_eq!(fs::read(&path).expect("there"), b"old");
        let left = fs::read_dir(dir.path()).expect("readable");
        let names: Vec<_> = left.map(|entry| entry.expect("readable").file_name()).collect();
        assert!(
            !names.iter().any(|name| name.as_encoded_bytes().starts_with(b".kiln")),
            "{names:?}"
        );
    }

    #[test]
    fn devices_are_written_to_and_not_replaced() {
        let (_dir, store, image) = sample();
        write(Path::new("/dev/null"), &store, &image, &["app:1"]).expect("written");
        assert!(!fs::metadata("/dev/null").expect("there").is_file());
        let error = write(Path::new("/dev/full"), &store, &image, &["app:1"]);
        assert!(error.expect_err("full").to_string().contains("/dev/full"));
    }
}
