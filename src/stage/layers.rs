//! A layer as a build knows it: where its blob is, and where its files are if they are unpacked.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::base_cache::LayoutImage;
use crate::cache::KeptFile;
use crate::digest::Digest;
use crate::image::{Descriptor, ImageConfig, ImageFormat, media_type};
use crate::layer::Layer;
use crate::registry::{Repository, Resolved};
use crate::rootfs::Extracted;

/// An image that a stage starts or copies from.
#[derive(Debug)]
pub struct BaseImage {
    /// Short name for logs.
    pub name: String,
    /// Its config.
    pub config: ImageConfig,
    /// The digest of that, which Docker calls the image's id.
    pub config_digest: Digest,
    /// The family of its media types.
    pub format: ImageFormat,
    /// Its layers, lowest first. Nothing is fetched until somebody asks.
    pub layers: Vec<Arc<ImageLayer>>,
}

impl BaseImage {
    /// The image that a registry answered with.
    pub fn new(name: String, resolved: Resolved, shared: &SharedLayers) -> Self {
        let format = match resolved.manifest.media_type.as_deref() {
            Some(media_type::DOCKER_MANIFEST) => ImageFormat::Docker,
            _ => ImageFormat::Oci,
        };
        let layers = shared.layers_of(&resolved);
        let config_digest = resolved.manifest.config.digest;
        let mut config = resolved.config;
        config.complete_history();
        Self { name, config, config_digest, format, layers }
    }
}

impl BaseImage {
    /// An image of a layout of this machine.
    pub fn of_layout(name: String, image: &LayoutImage) -> Self {
        let format = match image.manifest.media_type.as_deref() {
            Some(media_type::DOCKER_MANIFEST) => ImageFormat::Docker,
            _ => ImageFormat::Oci,
        };
        let diff_ids = &image.config.rootfs.diff_ids;
        let layers = image.manifest.layers.iter().zip(diff_ids).map(|(descriptor, diff_id)| {
            let origin = Origin::File(image.blob(&descriptor.digest));
            Arc::new(ImageLayer::new(descriptor.clone(), *diff_id, origin))
        });
        let layers = layers.collect();
        let config_digest = image.manifest.config.digest;
        let mut config = image.config.clone();
        config.complete_history();
        Self { name, config, config_digest, format, layers }
    }
}

/// The layers of all base images: where two images of a registry begin with the same layers, these
/// are fetched and unpacked once. Only from the bottom up, because what a layer's files are may
/// depend on the layers below it.
#[derive(Debug, Default)]
pub struct SharedLayers(Mutex<HashMap<Chain, Arc<ImageLayer>>>);

/// A registry, and the layers up to one.
type Chain = (String, Vec<(Digest, Digest)>);

impl SharedLayers {
    fn layers_of(&self, image: &Resolved) -> Vec<Arc<ImageLayer>> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut chain: Chain = (image.repository.registry.clone(), Vec::new());
        let diff_ids = &image.config.rootfs.diff_ids;
        let layers = image.manifest.layers.iter().zip(diff_ids).map(|(descriptor, diff_id)| {
            chain.1.push((descriptor.digest, *diff_id));
            let make = || {
                let origin = Origin::Base(image.repository.clone());
                Arc::new(ImageLayer::new(descriptor.clone(), *diff_id, origin))
            };
            let layer = known.entry(chain.clone()).or_insert_with(make);
            // The same bytes under another media type go into the manifest with that one.
            if layer.descriptor == *descriptor { layer.clone() } else { make() }
        });
        layers.collect()
    }
}

/// Where a layer comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// This build made it; its blob is in the store.
    Built,
    /// A base image has it; its blob is in that repository.
    Base(Repository),
    /// Its blob is in this file of this machine, which nobody has checked.
    File(PathBuf),
    /// The same, in a cache: what is damaged there can be made anew.
    Kept(KeptFile),
}

/// One layer.
#[derive(Debug)]
pub struct ImageLayer {
    /// Its blob.
    pub descriptor: Descriptor,
    /// Digest of its uncompressed tar.
    pub diff_id: Digest,
    /// Where it comes from.
    pub origin: Origin,
    needed_here: AtomicBool,
    lost: AtomicBool,
    local: Mutex<Local>,
}

/// What this machine has of a layer.
#[derive(Debug, Default)]
pub struct Local {
    /// Name of the directory with its files, in overlay's form.
    pub dir: Option<String>,
    /// What the directory still needs from the layers below; nothing once that is done.
    pub incomplete: Option<Extracted>,
}

impl ImageLayer {
    /// A layer that is nowhere unpacked.
    pub fn new(descriptor: Descriptor, diff_id: Digest, origin: Origin) -> Self {
        Self {
            descriptor,
            diff_id,
            origin,
            needed_here: AtomicBool::new(false),
            lost: AtomicBool::new(false),
            local: Mutex::default(),
        }
    }

    /// A layer that was just written to the store. `dir` holds its files if they are in overlay's
    /// form already.
    pub fn built(layer: &Layer, dir: Option<String>) -> Self {
        let kind = media_type::of_layer(layer.compression);
        let descriptor = Descriptor::new(kind, layer.digest, layer.size);
        let own = Self::new(descriptor, layer.diff_id, Origin::Built);
        own.lock().dir = dir;
        own
    }

    /// Says that the blob will be needed on this machine anyway, so that nobody streams it past.
    pub fn need_here(&self) {
        self.needed_here.store(true, Ordering::Relaxed);
    }

    /// Whether somebody said so.
    pub fn is_needed_here(&self) -> bool {
        self.needed_here.load(Ordering::Relaxed)
    }

    /// Says that it is not where it should be, or not what it should be.
    pub fn note_lost(&self) {
        self.lost.store(true, Ordering::Relaxed);
    }

    /// Whether somebody said so.
    pub fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }

    /// What is here of it; whoever holds the lock is the one who fetches or unpacks.
    pub fn lock(&self) -> MutexGuard<'_, Local> {
        self.local.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
