//! Writes what a build made as one tar of an OCI layout, which skopeo, podman and containerd read.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use super::archive::{append, write_error};
use super::finished::{ExportError, Product};
use super::layout::{VERSION, documents, empty_index, merge};
use crate::digest::Digest;
use crate::layer::{BlobStore, Entry, Kind, Metadata, TarWriter};

/// One blob of the archive.
enum Blob<'a> {
    Document(&'a [u8]),
    /// Of so many bytes, in the store.
    Layer(u64),
}

/// Writes images, under these names, to a stream that is called `path` in errors. The bytes depend on
/// nothing but the images and the names.
pub fn write_oci_archive(
    out: &mut dyn Write,
    path: &Path,
    store: &BlobStore,
    product: &Product,
    names: &[String],
) -> Result<(), ExportError> {
    let blobs = blobs(store, product)?;
    let failed = |source| ExportError::Archive { path: path.to_owned(), source };
    let mut tar = TarWriter::new(BufWriter::with_capacity(1 << 20, out));
    for dir in ["blobs", "blobs/sha256"] {
        let meta = Metadata { mode: 0o755, ..Metadata::default() };
        let entry = Entry { path: dir.into(), meta, kind: Kind::Dir };
        tar.append(&entry, &mut io::empty()).map_err(failed)?;
    }
    for (digest, blob) in blobs {
        let name = format!("blobs/sha256/{}", digest.hex());
        match blob {
            Blob::Document(mut bytes) => {
                let size = bytes.len() as u64;
                append(&mut tar, &name, &mut bytes, size).map_err(failed)?;
            }
            Blob::Layer(size) => {
                append(&mut tar, &name, &mut store.open(&digest)?, size).map_err(failed)?;
            }
        }
    }
    let index = merge(empty_index(), &product.descriptor(), names);
    let index = serde_json::to_vec(&index).map_err(|error| failed(write_error(error.into())))?;
    for (name, mut bytes) in [("index.json", index.as_slice()), ("oci-layout", VERSION)] {
        let size = bytes.len() as u64;
        append(&mut tar, name, &mut bytes, size).map_err(failed)?;
    }
    tar.finish().and_then(|mut out| out.flush()).map_err(|error| failed(write_error(error)))
}

/// All blobs, sorted; it is an error if a layer is not in the store, unless it is a foreign one that
/// whoever needs it gets from its own place.
fn blobs<'a>(
    store: &BlobStore,
    product: &'a Product,
) -> Result<BTreeMap<Digest, Blob<'a>>, ExportError> {
    let mut blobs = BTreeMap::new();
    for layer in product.layers() {
        if store.has(&layer.digest) || layer.urls.is_empty() {
            store.open(&layer.digest)?;
            blobs.insert(layer.digest, Blob::Layer(layer.size));
        }
    }
    blobs.extend(documents(product).into_iter().map(|(key, bytes)| (key, Blob::Document(bytes))));
    Ok(blobs)
}

#[cfg(test)]
mod tests {
    use super::super::finished::sample;
    use super::super::{ImageFormat, join};
    use super::*;
    use crate::layer::TarReader;

    #[test]
    fn an_index_and_all_below_it_are_there() {
        let (_dir, store, image) = sample();
        let index = join(vec![image.clone()], ImageFormat::Oci, BTreeMap::new(), BTreeMap::new());
        let product = Product::Index(index.expect("an index"));
        let mut bytes = Vec::new();
        let names = ["reg:5000/app:1".to_owned()];
        write_oci_archive(&mut bytes, Path::new("x"), &store, &product, &names).expect("written");
        let mut reader = TarReader::new(bytes.as_slice());
        let mut found = BTreeMap::new();
        while let Some(mut member) = reader.next().expect("valid") {
            let mut content = Vec::new();
            io::Read::read_to_end(&mut member, &mut content).expect("whole");
            found.insert(member.entry.path.display().to_string(), content);
        }
        let digests = [
            product.document().digest,
            image.manifest_digest,
            image.config_digest,
            image.layers[0].digest,
        ];
        for digest in digests {
            let blob = &found[&format!("blobs/sha256/{}", digest.hex())];
            assert_eq!(Digest::of(blob), digest);
        }
        assert_eq!(found["oci-layout"], VERSION);
        let index: serde_json::Value = serde_json::from_slice(&found["index.json"]).expect("json");
        assert_eq!(index["manifests"][0]["digest"], product.document().digest.to_string());
        let annotations = &index["manifests"][0]["annotations"];
        assert_eq!(annotations["org.opencontainers.image.ref.name"], "1");
    }
}
