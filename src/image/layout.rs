//! Writes an image into an OCI layout: a directory with `oci-layout`, `index.json` and `blobs/`.
//!
//! Source: OCI image-spec image-layout.md.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::Map;

use super::finished::{ExportError, FinishedImage, split_name};
use super::manifest::{Descriptor, Index};
use super::media_type::OCI_INDEX;
use crate::digest::Digest;
use crate::layer::BlobStore;

/// The tag, by which skopeo, umoci and podman choose an image of a layout.
const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The whole name, which containerd and Docker take for the imported image.
const IMAGE_NAME: &str = "io.containerd.image.name";

/// Writes the image into the layout at `dir`, which is made where it does not exist. Images that are
/// already there stay, but for those under the same tags.
///
/// The index comes last, by a rename: whoever looks before sees the old images, whole.
pub fn write_layout(
    dir: &Path,
    store: &BlobStore,
    image: &FinishedImage,
) -> Result<(), ExportError> {
    let blobs = dir.join("blobs/sha256");
    fs::create_dir_all(&blobs)
        .map_err(|error| ExportError::io("create the directory", &blobs, error))?;
    let index = read_index(dir)?;
    for layer in &image.layers {
        place_layer(&blobs, store, layer)?;
    }
    let blob = |digest: &Digest| blobs.join(digest.hex());
    write_file(&blob(&image.config_digest), &image.config)?;
    write_file(&blob(&image.manifest_digest), &image.manifest)?;
    write_file(&dir.join("oci-layout"), br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    let path = dir.join("index.json");
    let text = serde_json::to_vec(&merge(index, image))
        .map_err(|error| ExportError::io("write", &path, error.into()))?;
    write_file(&path, &text)
}

/// The layout's index as it is; an empty one where there is none.
fn read_index(dir: &Path) -> Result<Index, ExportError> {
    let path = dir.join("index.json");
    match fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map_err(|error| ExportError::NotALayout { path, reason: error.to_string() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Index {
            schema_version: 2,
            media_type: Some(OCI_INDEX.to_owned()),
            manifests: Vec::new(),
            annotations: Default::default(),
            other: Map::new(),
        }),
        Err(error) => Err(ExportError::io("read", &path, error)),
    }
}

/// One entry per tag, since a tag chooses one image; an image without a name has one without a tag.
fn merge(mut index: Index, image: &FinishedImage) -> Index {
    let mut entries: Vec<Descriptor> = Vec::new();
    let tag_of = |entry: &Descriptor| entry.annotations.get(REF_NAME).cloned();
    for name in &image.names {
        let (repository, tag) = split_name(name);
        let mut entry = image.descriptor();
        entry.annotations.insert(REF_NAME.to_owned(), tag.to_owned());
        entry.annotations.insert(IMAGE_NAME.to_owned(), format!("{repository}:{tag}"));
        if !entries.iter().any(|other| tag_of(other) == tag_of(&entry)) {
            entries.push(entry);
        }
    }
    if entries.is_empty() {
        entries.push(image.descriptor());
    }
    index.manifests.retain(|old| !entries.iter().any(|new| tag_of(new) == tag_of(old)));
    index.manifests.extend(entries);
    index
}

/// Puts a layer's blob into the layout: as a hard link where that is possible, so that it takes no
/// space and no time.
fn place_layer(blobs: &Path, store: &BlobStore, layer: &Descriptor) -> Result<(), ExportError> {
    let (source, target) = (store.path(&layer.digest), blobs.join(layer.digest.hex()));
    let whole = |path: &Path| fs::metadata(path).is_ok_and(|meta| meta.len() == layer.size);
    if whole(&target) {
        return Ok(());
    }
    if !store.has(&layer.digest) && !layer.urls.is_empty() {
        // A foreign layer: whoever needs it gets it from its own place.
        return Ok(());
    }
    let mut blob = store.open(&layer.digest)?;
    if fs::hard_link(&source, &target).is_ok() {
        return Ok(());
    }
    // Another file system, or a half-written file of an earlier run that is in the way.
    replace_file(&target, &mut |file| io::copy(&mut blob, file).map(|_| ()))
}

fn write_file(path: &Path, bytes: &[u8]) -> Result<(), ExportError> {
    replace_file(path, &mut |file| file.write_all(bytes))
}

/// Writes a file beside its place and renames it, so that nobody sees a half.
pub(super) fn replace_file(
    path: &Path,
    fill: &mut dyn FnMut(&mut File) -> io::Result<()>,
) -> Result<(), ExportError> {
    let failed = |error| ExportError::io("write", path, error);
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new()
        .prefix(".kiln-")
        // The umask still applies.
        .permissions(PermissionsExt::from_mode(0o666))
        .tempfile_in(dir)
        .map_err(failed)?;
    fill(file.as_file_mut()).map_err(failed)?;
    // A rename may reach the disk before the data does.
    file.as_file().sync_all().map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::finished::sample;
    use super::*;

    fn index(dir: &Path) -> Index {
        read_index(dir).expect("an index")
    }

    fn tags(dir: &Path) -> Vec<Option<String>> {
        let tag = |entry: &Descriptor| entry.annotations.get(REF_NAME).cloned();
        index(dir).manifests.iter().map(tag).collect()
    }

    #[test]
    fn everything_that_the_index_leads_to_is_there() {
        let (dir, store, image) = sample(&["reg:5000/app:1", "other/app:1", "app"]);
        let layout = dir.path().join("new/layout");
        write_layout(&layout, &store, &image).expect("written");
        let digests = [image.manifest_digest, image.config_digest, image.layers[0].digest];
        for digest in digests {
            let bytes = fs::read(layout.join("blobs/sha256").join(digest.hex())).expect("there");
            assert_eq!(Digest::of(&bytes), digest);
        }
        assert_eq!(tags(&layout), [Some("1".to_owned()), Some("latest".to_owned())]);
        let first = &index(&layout).manifests[0];
        assert_eq!(first.annotations[IMAGE_NAME], "reg:5000/app:1");
        assert_eq!(
            (first.digest, first.size),
            (image.manifest_digest, image.manifest.len() as u64)
        );
        let version = fs::read_to_string(layout.join("oci-layout")).expect("there");
        assert_eq!(version, r#"{"imageLayoutVersion":"1.0.0"}"#);
    }

    #[test]
    fn other_images_of_the_layout_stay() {
        let (dir, store, mut image) = sample(&["app:1"]);
        let layout = dir.path().join("layout");
        write_layout(&layout, &store, &image).expect("written");
        for (name, expected) in [
            (Some("app:2"), vec!["1", "2"]),
            (Some("else:1"), vec!["2", "1"]),
            (None, vec!["2", "1", ""]),
            (None, vec!["2", "1", ""]),
        ] {
            image.names = name.map(str::to_owned).into_iter().collect();
            write_layout(&layout, &store, &image).expect("written");
            let found: Vec<_> = tags(&layout).into_iter().map(Option::unwrap_or_default).collect();
            assert_eq!(found, expected, "{name:?}");
        }
    }

    #[test]
    fn what_is_no_layout_is_left_alone() {
        let (dir, store, image) = sample(&["app:1"]);
        fs::write(dir.path().join("index.json"), "[1]").expect("written");
        let error = write_layout(dir.path(), &store, &image).expect_err("refused");
        assert!(matches!(error, ExportError::NotALayout { .. }), "{error}");
        assert_eq!(fs::read(dir.path().join("index.json")).expect("there"), b"[1]");
    }

    #[test]
    fn a_missing_layer_leaves_the_index_as_it_was() {
        let (dir, store, mut image) = sample(&["app:1"]);
        let layout = dir.path().join("layout");
        image.layers[0].digest = Digest::of(b"elsewhere");
        assert!(matches!(write_layout(&layout, &store, &image), Err(ExportError::Store(_))));
        assert!(!layout.join("index.json").exists());
        image.layers[0].urls.push("https://example.com/foreign".to_owned());
        write_layout(&layout, &store, &image).expect("a foreign layer may be elsewhere");
    }

    #[test]
    fn a_half_blob_of_an_earlier_run_is_replaced() {
        let (dir, store, image) = sample(&["app:1"]);
        let blob = dir.path().join("blobs/sha256").join(image.layers[0].digest.hex());
        fs::create_dir_all(blob.parent().expect("has one")).expect("made");
        fs::write(&blob, "ha").expect("written");
        write_layout(dir.path(), &store, &image).expect("written");
        assert_eq!(Digest::of(&fs::read(&blob).expect("there")), image.layers[0].digest);
    }
}
