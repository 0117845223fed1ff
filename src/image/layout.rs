//! Writes what a build made into an OCI layout: a directory with `oci-layout`, `index.json` and
//! `blobs/`.
//!
//! Source: OCI image-spec image-layout.md.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

use serde_json::Map;

use super::finished::{ExportError, Product, split_name};
use super::manifest::{Descriptor, Index};
use super::media_type::OCI_INDEX;
use super::whole_file::replace_file;
use crate::cancel::Cancel;
use crate::digest::Digest;
use crate::layer::BlobStore;
use crate::sys::lock::{Hold, Lock, LockError};

/// The tag, by which skopeo, umoci and podman choose an image of a layout.
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The whole name, which containerd and Docker take for the imported image.
const IMAGE_NAME: &str = "io.containerd.image.name";

/// What `oci-layout` says.
pub const VERSION: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

/// Writes images into the layout at `dir`, which is made where it does not exist, under these names:
/// `registry/app:1`. Images that are already there stay, but for those under the same tags.
///
/// The index comes last, by a rename: whoever looks before sees the old images, whole. `cancel` ends the
/// wait for others who write there.
pub fn write_layout(
    dir: &Path,
    store: &BlobStore,
    product: &Product,
    names: &[String],
    cancel: &Cancel,
) -> Result<(), ExportError> {
    let blobs = dir.join("blobs/sha256");
    fs::create_dir_all(&blobs)
        .map_err(|error| ExportError::io("create the directory", &blobs, error))?;
    let _lock = lock(dir, cancel)?;
    let index = read_index(dir)?;
    for layer in product.layers() {
        place_layer(&blobs, store, layer)?;
    }
    for (digest, bytes) in documents(product) {
        write_file(&blobs.join(digest.hex()), bytes)?;
    }
    write_file(&dir.join("oci-layout"), VERSION)?;
    let path = dir.join("index.json");
    let text = serde_json::to_vec(&merge(index, &product.descriptor(), names))
        .map_err(|error| ExportError::io("write", &path, error.into()))?;
    write_file(&path, &text)
}

/// Where a layout has it that is a cache as well.
pub const LOCK: &str = ".kiln/lock";

/// Keeps others from writing `index.json`, and from removing blobs that nothing leads to yet, where the
/// layout is a cache as well. Those hold the lock for moments; the first one may not have made its file
/// yet.
fn lock(dir: &Path, cancel: &Cancel) -> Result<Option<Lock>, ExportError> {
    let path = dir.join(LOCK);
    if !path.parent().is_some_and(Path::is_dir) {
        return Ok(None);
    }
    match Lock::take(&path, Hold::Alone, cancel, || {}) {
        Ok(lock) => Ok(Some(lock)),
        Err(LockError::Io(error)) => Err(ExportError::io("lock", &path, error)),
        Err(LockError::Cancelled(cancelled)) => Err(cancelled.into()),
    }
}

/// The configs, the manifests and the index that joins them.
pub(super) fn documents(product: &Product) -> BTreeMap<Digest, &[u8]> {
    let mut all = BTreeMap::new();
    for image in product.images() {
        all.insert(image.config_digest, image.config.as_slice());
        all.insert(image.manifest_digest, image.manifest.as_slice());
    }
    let top = product.document();
    all.insert(top.digest, top.bytes);
    all
}

/// The layout's index as it is; an empty one where there is none.
fn read_index(dir: &Path) -> Result<Index, ExportError> {
    let path = dir.join("index.json");
    match fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map_err(|error| ExportError::NotALayout { path, reason: error.to_string() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(empty_index()),
        Err(error) => Err(ExportError::io("read", &path, error)),
    }
}

/// The index of a layout without images.
pub fn empty_index() -> Index {
    Index {
        schema_version: 2,
        media_type: Some(OCI_INDEX.to_owned()),
        manifests: Vec::new(),
        annotations: BTreeMap::new(),
        other: Map::new(),
    }
}

/// One entry per tag, since a tag chooses one image; an image without a name has one without a tag.
pub(super) fn merge(mut index: Index, image: &Descriptor, names: &[String]) -> Index {
    let mut entries: Vec<Descriptor> = Vec::new();
    let tag_of = |entry: &Descriptor| entry.annotations.get(REF_NAME).cloned();
    for name in names {
        let (repository, tag) = split_name(name);
        let mut entry = image.clone();
        entry.annotations.insert(REF_NAME.to_owned(), tag.to_owned());
        entry.annotations.insert(IMAGE_NAME.to_owned(), format!("{repository}:{tag}"));
        if !entries.iter().any(|other| tag_of(other) == tag_of(&entry)) {
            entries.push(entry);
        }
    }
    if entries.is_empty() {
        entries.push(image.clone());
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
    replace_file(&target, |file| io::copy(&mut blob, file).map(drop))
}

fn write_file(path: &Path, bytes: &[u8]) -> Result<(), ExportError> {
    replace_file(path, |file| file.write_all(bytes))
}

#[cfg(test)]
mod tests {
    use super::super::FinishedImage;
    use super::super::finished::sample;
    use super::*;

    fn index(dir: &Path) -> Index {
        read_index(dir).expect("an index")
    }

    fn write(
        dir: &Path,
        store: &BlobStore,
        image: &FinishedImage,
        names: &[&str],
    ) -> Result<(), ExportError> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        write_layout(dir, store, &Product::Image(image.clone()), &names, &Cancel::default())
    }

    fn tags(dir: &Path) -> Vec<Option<String>> {
        let tag = |entry: &Descriptor| entry.annotations.get(REF_NAME).cloned();
        index(dir).manifests.iter().map(tag).collect()
    }

    #[test]
    fn everything_that_the_index_leads_to_is_there() {
        let (dir, store, image) = sample();
        let layout = dir.path().join("new/layout");
        let names = ["reg:5000/app:1", "other/app:1", "app"];
        write(&layout, &store, &image, &names).expect("written");
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
        let (dir, store, image) = sample();
        let layout = dir.path().join("layout");
        write(&layout, &store, &image, &["app:1"]).expect("written");
        for (name, expected) in [
            (Some("app:2"), vec!["1", "2"]),
            (Some("else:1"), vec!["2", "1"]),
            (None, vec!["2", "1", ""]),
            (None, vec!["2", "1", ""]),
        ] {
            write(&layout, &store, &image, name.as_slice()).expect("written");
            let found: Vec<_> = tags(&layout).into_iter().map(Option::unwrap_or_default).collect();
            assert_eq!(found, expected, "{name:?}");
        }
    }

    #[test]
    fn what_is_no_layout_is_left_alone() {
        let (dir, store, image) = sample();
        fs::write(dir.path().join("index.json"), "[1]").expect("written");
        let error = write(dir.path(), &store, &image, &["app:1"]).expect_err("refused");
        assert!(matches!(error, ExportError::NotALayout { .. }), "{error}");
        assert_eq!(fs::read(dir.path().join("index.json")).expect("there"), b"[1]");
    }

    #[test]
    fn a_missing_layer_leaves_the_index_as_it_was() {
        let (dir, store, mut image) = sample();
        let layout = dir.path().join("layout");
        image.layers[0].digest = Digest::of(b"elsewhere");
        assert!(matches!(write(&layout, &store, &image, &["app:1"]), Err(ExportError::Store(_))));
        assert!(!layout.join("index.json").exists());
        image.layers[0].urls.push("https://example.com/foreign".to_owned());
        write(&layout, &store, &image, &["app:1"]).expect("a foreign layer may be elsewhere");
    }

    #[test]
    fn a_layout_that_is_a_cache_as_well_is_waited_for() {
        let (dir, store, image) = sample();
        let layout = dir.path().join("layout");
        fs::create_dir_all(layout.join(".kiln")).expect("made");
        let held = Lock::try_take(&layout.join(LOCK), Hold::Alone).expect("a lock").expect("free");
        std::thread::scope(|scope| {
            let written = scope.spawn(|| write(&layout, &store, &image, &["app:1"]));
            std::thread::sleep(std::time::Duration::from_millis(60));
            assert!(!written.is_finished() && !layout.join("index.json").exists());
            drop(held);
            written.join().expect("no panic").expect("written");
        });
        // Who wants to stop does.
        let held = Lock::try_take(&layout.join(LOCK), Hold::Alone).expect("a lock").expect("free");
        let (cancel, product) = (Cancel::default(), Product::Image(image.clone()));
        cancel.cancel();
        assert!(write_layout(&layout, &store, &product, &[], &cancel).is_err());
        drop(held);
        // The first one that keeps something there has not come to its end.
        fs::remove_file(layout.join(LOCK)).expect("removed");
        write(&layout, &store, &image, &["app:1"]).expect("written");
        assert!(layout.join(LOCK).exists());
        assert_eq!(tags(&layout), [Some("1".to_owned())]);
    }

    #[test]
    fn a_half_blob_of_an_earlier_run_is_replaced() {
        let (dir, store, image) = sample();
        let blob = dir.path().join("blobs/sha256").join(image.layers[0].digest.hex());
        fs::create_dir_all(blob.parent().expect("has one")).expect("made");
        fs::write(&blob, "ha").expect("written");
        write(dir.path(), &store, &image, &["app:1"]).expect("written");
        assert_eq!(Digest::of(&fs::read(&blob).expect("there")), image.layers[0].digest);
    }
}
