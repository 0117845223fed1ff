//! `kiln push`: an image that is there already, to registries.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::prepare::references;
use crate::cancel::Cancel;
use crate::carry::{Cargo, Contents, Recompression, Sender, Sent, Source, open};
use crate::digest::Digest;
use crate::event::Reporter;
use crate::publish::{Destination, write_result_files};
use crate::registry::{Client, Reference};
use crate::request::{Destinations, PushRequest};
use crate::settings;
use crate::work_dir::WorkDir;

/// What was pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushMade {
    /// What the tags lead to.
    pub digest: Digest,
    /// Names in registries.
    pub names: Vec<String>,
    /// Compressed bytes of layers and configs.
    pub size: u64,
    /// Number of layers, those that images share counted once.
    pub layers: usize,
    /// Number of images.
    pub images: usize,
    /// What had to be sent.
    pub sent: Sent,
    /// How long it took.
    pub time: Duration,
}

/// Finds the image and sends it.
pub fn push(request: &PushRequest, reporter: &Reporter, cancel: &Cancel) -> Result<PushMade> {
    let start = Instant::now();
    let names = references(&request.to.names)?;
    let client = client(&request.to, cancel)?;
    let destinations = Destination::all(&client, &names);
    let work_dir = WorkDir::for_archive(request.work_dir.as_deref(), &request.temp_dir, reporter)?;
    let source = Source { path: request.source.clone(), rest: request.image.clone() };
    // An archive takes long to unpack. A layout is read at once, and then is asked only who lacks it.
    let is_archive = request.source.as_ref().is_none_or(|path| !path.is_dir());
    let ask = !request.to.skip_push_check;
    if is_archive && ask {
        Destination::check_all(&destinations)?;
    }
    let recompression = Recompression {
        compression: settings::compression_of(
            request.compression.unwrap_or_default(),
            request.compression_level,
        ),
        threads: request.jobs,
    };
    let task = reporter.start(&format!("read {source}"));
    let platform = request.platform.as_ref();
    let opened = open(&source, work_dir.path(), platform, recompression, &client, cancel)?;
    let cargo = Cargo::of(&opened.item, &client)?;
    let Size { bytes, layers, images } = size(&cargo, &client)?;
    task.done_with(cargo.digest.to_string());
    if opened.plain_layers == 0
        && let Some(flag) = compression_flag(request)
    {
        reporter.warning(&format!(
            "{flag} changes nothing: {source} has no layers that kiln compresses, which are those of an \
             archive of docker's that are not compressed; all others are pushed as they are"
        ));
    }
    let ask = ask && !is_archive;
    let sent = Sender { client: &client, reporter, cancel, destinations: &destinations, ask }
        .send(&cargo)?;
    write_result_files(&request.to, &names, &cargo.digest)?;
    Ok(PushMade {
        digest: cargo.digest,
        names: names.iter().map(Reference::familiar).collect(),
        size: bytes,
        layers,
        images,
        sent,
        time: start.elapsed(),
    })
}

/// Talks to the registries of a request.
pub(super) fn client(to: &Destinations, cancel: &Cancel) -> Result<Client> {
    Ok(Client::new(settings::registry_options(&to.registry), cancel.clone())?)
}

/// The flag that says how layers are compressed, if there was one.
fn compression_flag(request: &PushRequest) -> Option<&'static str> {
    match (request.compression, request.compression_level) {
        (Some(_), _) => Some("--compression"),
        (None, Some(_)) => Some("--compression-level"),
        (None, None) => None,
    }
}

/// How much it is.
struct Size {
    bytes: u64,
    layers: usize,
    images: usize,
}

/// Attestations are no images.
fn size(cargo: &Cargo, client: &Client) -> Result<Size> {
    let (mut layers, mut configs, mut images) = (BTreeSet::new(), BTreeSet::new(), 0);
    cargo.visit(client, &mut |document| {
        let contents = Contents::parse(&document.bytes, "the image")?;
        let Contents::Manifest(manifest) = contents else { return Ok(()) };
        let of_image = |layer: &&crate::image::Descriptor| {
            crate::image::media_type::is_layer(&layer.media_type)
        };
        let own: Vec<_> = manifest.layers.iter().filter(of_image).collect();
        images += usize::from(!own.is_empty() || manifest.layers.is_empty());
        layers.extend(own.iter().map(|layer| (layer.digest, layer.size)));
        configs.insert((manifest.config.digest, manifest.config.size));
        Ok(())
    })?;
    let bytes = layers.iter().chain(&configs).map(|(_, size)| size);
    Ok(Size {
        bytes: bytes.fold(0, |all, size| all.saturating_add(*size)),
        layers: layers.len(),
        images,
    })
}
