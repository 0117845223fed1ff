//! What steps take from outside of the build, by content: what a cache's keys are made of.
//!
//! The files are found by the same engine that copies them, onto an image that has nothing. So ignore
//! files, patterns, `--exclude` and links mean here what they mean there.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result, anyhow};

use super::copy::{Part, parts};
use super::layers::BaseImage;
use super::workshop::Workshop;
use crate::cache::graph::Contents;
use crate::cache::key::KeyMaker;
use crate::cache::tree::{Fingerprint, fingerprints};
use crate::context::Context;
use crate::digest::Digest;
use crate::layer::{Entry, Kind, Node, Tree};
use crate::plan::{CopySource, CopyStep, FilesFrom, ImageKey};
use crate::remote::Source;
use crate::rootfs::copy::{self, Chmod, CopyRequest, Owner, Unpack, copy_all};
use crate::rootfs::glob::escape;
use crate::rootfs::{Index, Users, resolve};

/// The files of a build, and its images.
#[derive(Debug)]
pub struct Fingerprints<'a> {
    shop: &'a Workshop,
    images: &'a BTreeMap<ImageKey, Arc<BaseImage>>,
    /// Stages often copy the same.
    known: Mutex<HashMap<String, Vec<Fingerprint>>>,
}

/// Why something has no fingerprint; shows its causes.
#[derive(Debug)]
pub struct NoFingerprint(anyhow::Error);

impl std::fmt::Display for NoFingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:#}", self.0)
    }
}

impl<'a> Fingerprints<'a> {
    /// Nothing is read yet.
    pub fn new(shop: &'a Workshop, images: &'a BTreeMap<ImageKey, Arc<BaseImage>>) -> Self {
        Self { shop, images, known: Mutex::default() }
    }

    fn once(
        &self,
        name: String,
        make: impl FnOnce() -> Result<Vec<Fingerprint>>,
    ) -> Result<Vec<Fingerprint>, NoFingerprint> {
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known().get(&name) {
            return Ok(found.clone());
        }
        let made = make().map_err(NoFingerprint)?;
        known().insert(name, made.clone());
        Ok(made)
    }

    /// The context that files come from.
    fn context(&self, from: &FilesFrom) -> Result<Arc<Context>> {
        match from {
            FilesFrom::Context => Ok(Arc::new(self.shop.context.clone())),
            FilesFrom::Named(name) => self.shop.named(name),
            _ => Err(anyhow!("it is no context")),
        }
    }

    fn of_copy(&self, step: &CopyStep) -> Result<Vec<Fingerprint>> {
        let context = self.context(&step.from)?;
        let (pinned, others) = step.sources.iter().partition::<Vec<_>, _>(|it| pin(it).is_some());
        let mut found: Vec<Fingerprint> = pinned.into_iter().filter_map(pin).collect();
        let step = CopyStep { sources: others.into_iter().cloned().collect(), ..step.clone() };
        if step.sources.is_empty() {
            return Ok(found);
        }
        // A name is looked up in the image, on which the key depends anyway.
        let chown = step.chown.as_deref().and_then(Users::numeric);
        let owner = chown.map_or(Owner::Context, |(uid, gid)| Owner::Fixed(uid, gid));
        let chmod: Option<Chmod> = step.chmod.as_deref().map(str::parse).transpose()?;
        let empty = Index::default();
        let onto = |dest: &str| -> Result<Tree> {
            let request = |part: Part| CopyRequest {
                sources: part.sources,
                dest,
                from: part.root,
                ignore: context.ignore.as_ref().filter(|_| !part.is_remote),
                target: &empty,
                owner,
                chmod: chmod.clone(),
                // An archive is what its bytes are.
                unpack: Unpack::Never,
                exclude: &step.exclude,
                created: self.shop.now,
                spool: &self.shop.scratch_dir,
            };
            let requests = parts(self.shop, &step, &context.root)?.into_iter().map(request);
            Ok(copy_all(&empty, &requests.collect::<Vec<_>>())?)
        };
        let directory = in_directory(&step.dest);
        // Where sources are several, their number with those that are pinned decides what `dest` is.
        let tree = if found.is_empty() { onto(&step.dest) } else { onto(&directory) };
        let tree = match tree {
            // Several files: only the image tells whether `dest` is a directory, and if so, all goes well.
            Err(error) if directory != step.dest => {
                found.push((format!("{}/*", named(&step.dest)), Digest::of(b"several")));
                onto(&directory).map_err(|_| error)?
            }
            tree => tree?,
        };
        let is_file = |node: &Node| node.entry.kind != Kind::Dir;
        if tree.get(Path::new(named(&step.dest))).is_some_and(is_file) {
            // Its own name is what it gets where the image has a directory there.
            let files = onto(&directory)?.into_iter().filter(|(_, node)| is_file(node));
            let name = |(path, _): (PathBuf, _)| path.to_string_lossy().into_owned();
            found.extend(files.map(|file| (name(file), Digest::of(b"its name"))));
        }
        found.extend(fingerprints(&tree, self.threads()).context("cannot read the files")?);
        Ok(found)
    }

    fn of_path(&self, from: &FilesFrom, source: &str) -> Result<Vec<Fingerprint>> {
        let context = self.context(from)?;
        let empty = Index::default();
        let request = CopyRequest {
            sources: vec![copy::CopySource::Path(escape(source))],
            dest: "/",
            from: context.root.clone(),
            ignore: context.ignore.as_ref(),
            target: &empty,
            owner: Owner::Context,
            chmod: None,
            unpack: Unpack::Never,
            exclude: &[],
            created: self.shop.now,
            spool: &self.shop.scratch_dir,
        };
        let tree = copy::copy(&request)?;
        let mut found = fingerprints(&tree, self.threads()).context("cannot read the files")?;
        // A mount shows the directory itself, too, which is not in the tree.
        let itself = resolve(&*context.root, Path::new(source), true)?.entry;
        if let Some(Entry { meta, kind: Kind::Dir, .. }) = itself {
            let mut maker = KeyMaker::new("directory");
            maker.input("mode", format!("{:o}", meta.mode));
            for (name, value) in &meta.xattrs {
                maker.input("xattr", name.as_encoded_bytes());
                maker.input("value", value);
            }
            found.push((format!("{}/.", named(source)), maker.finish().0.0));
        }
        Ok(found)
    }

    fn threads(&self) -> NonZeroUsize {
        NonZeroUsize::new(self.shop.layer_options.threads).unwrap_or(NonZeroUsize::MIN)
    }
}

impl Contents for Fingerprints<'_> {
    type Error = NoFingerprint;

    fn copied(&self, step: &CopyStep) -> Result<Vec<Fingerprint>, NoFingerprint> {
        self.once(format!("{step:?}"), || self.of_copy(step))
    }

    fn shown(&self, from: &FilesFrom, source: &str) -> Result<Vec<Fingerprint>, NoFingerprint> {
        self.once(format!("{from:?} {source}"), || self.of_path(from, source))
    }

    fn image(&self, key: &ImageKey) -> Result<Digest, NoFingerprint> {
        let image = self.images.get(key);
        let image = image.ok_or_else(|| NoFingerprint(anyhow!("{} is not known", key.name)))?;
        let layers: Vec<String> = image.layers.iter().map(|layer| layer.diff_id.hex()).collect();
        Ok(Digest::of(layers.join("\n").as_bytes()))
    }
}

/// What is from elsewhere and cannot be anything else tomorrow: its name says what it is.
pub(super) fn is_pinned(source: &Source) -> bool {
    match source {
        Source::File { checksum, .. } => checksum.is_some(),
        Source::Object { .. } => false,
        Source::Repository { reference, .. } => {
            let commits = [&reference.checksum, &reference.reference];
            commits.into_iter().flatten().any(|name| is_commit(name))
        }
    }
}

/// A whole commit's name: SHA-1 or SHA-256.
fn is_commit(name: &str) -> bool {
    matches!(name.len(), 40 | 64) && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn pin(source: &CopySource) -> Option<Fingerprint> {
    match source {
        CopySource::Remote { source, .. } if is_pinned(source) => {
            Some((source.to_string(), Digest::of(format!("{source:?}").as_bytes())))
        }
        _ => None,
    }
}

/// An absolute path as a tree has it.
fn named(path: &str) -> &str {
    path.trim_matches('/')
}

fn in_directory(dest: &str) -> String {
    if dest.ends_with('/') { dest.to_owned() } else { format!("{dest}/") }
}

impl Workshop {
    /// Which of these have to be fetched for their keys.
    pub fn unpinned<'s>(&self, sources: &[&'s Source]) -> Vec<&'s Source> {
        sources.iter().copied().filter(|source| !is_pinned(source)).collect()
    }
}
