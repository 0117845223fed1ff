//! Writes the image to this machine: as a layout, as archives, as files.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::prepare::references;
use super::product::Part;
use crate::image::whole_file::write_whole;
use crate::image::{Product, archive, layout, oci_archive};
use crate::layer::TarWriter;
use crate::publish::platform_dir;
use crate::registry::Reference;
use crate::request::{Export, Request, Sink};
use crate::stage::Workshop;

/// Writes everything that a request asks for.
pub(super) fn write_exports(
    request: &Request,
    shop: &Workshop,
    parts: &[Part],
    product: &Product,
) -> Result<()> {
    let exports = &request.exports.all;
    if exports.is_empty() {
        return Ok(());
    }
    for layer in parts.iter().flat_map(|part| &part.finished.layers) {
        shop.fetch(layer)?;
    }
    for export in exports {
        let task = shop.reporter.start(&format!("write {export}"));
        write(shop, parts, product, export)?;
        task.done();
    }
    Ok(())
}

fn write(shop: &Workshop, parts: &[Part], product: &Product, export: &Export) -> Result<()> {
    let blobs = &shop.blobs;
    match export {
        Export::OciLayout { dir, names } => {
            Ok(layout::write_layout(dir, blobs, product, &familiar(names)?, &shop.cancel)?)
        }
        Export::OciArchive { to, names } => {
            let names = familiar(names)?;
            into(to, |out, path| {
                Ok(oci_archive::write_oci_archive(out, path, blobs, product, &names)?)
            })
        }
        Export::DockerArchive { to, names } => {
            let Product::Image(image) = product else {
                // BuildKit's words.
                anyhow::bail!(
                    "docker exporter does not currently support exporting manifest lists"
                );
            };
            let names = familiar(names)?;
            into(to, |out, path| {
                Ok(archive::write_docker_archive(out, path, blobs, image, &names)?)
            })
        }
        Export::RootDirectory(dir) => parts.iter().try_for_each(|part| {
            shop.unpack_root(&part.finished.layers, &dir.join(below(parts, part)))
        }),
        Export::RootArchive(to) => into(to, |out, path| {
            let mut tar = TarWriter::new(BufWriter::with_capacity(1 << 20, out));
            for part in parts {
                shop.add_root_to_tar(&part.finished.layers, &below(parts, part), &mut tar)?;
            }
            let whole = tar.finish().and_then(|mut out| out.flush());
            whole.with_context(|| format!("cannot write {}", path.display()))
        }),
    }
}

/// Where the files of one platform are among those of several.
fn below(parts: &[Part], part: &Part) -> PathBuf {
    if parts.len() > 1 { platform_dir(&part.platform).into() } else { PathBuf::new() }
}

/// Names in full, each once.
pub(super) fn familiar(typed: &[String]) -> Result<Vec<String>> {
    Ok(references(typed)?.iter().map(Reference::familiar).collect())
}

/// Opens what a file is written to, and names it for errors.
fn into(sink: &Sink, write: impl FnOnce(&mut dyn Write, &Path) -> Result<()>) -> Result<()> {
    match sink {
        Sink::File(path) => write_whole(path, |out| write(out, path)),
        Sink::Stdout => {
            // Not the standard library's, which looks for line ends.
            let out = std::io::stdout().as_fd().try_clone_to_owned();
            let mut out = File::from(out.context("cannot use standard output")?);
            write(&mut out, Path::new("standard output"))
        }
    }
}
