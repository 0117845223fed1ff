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
use crate::plan::{
    self, Action, BindMount, BindSource, CopySource, CopyStep, FilesFrom, ImageKey, StepMount,
};
use crate::remote::Source;
use crate::rootfs::copy::{self, Chmod, CopyRequest, Owner, Unpack, copy_all};
use crate::rootfs::glob::{escape, has_meta};
use crate::rootfs::{Index, Users, resolve};

/// The files of a build, and its images.
#[derive(Debug)]
pub struct Fingerprints<'a> {
    shop: &'a Workshop,
    images: &'a BTreeMap<ImageKey, Arc<BaseImage>>,
    /// Stages often copy the same.
    known: Mutex<HashMap<String, Vec<Fingerprint>>>,
    /// By the same names.
    stamps: Mutex<HashMap<String, Digest>>,
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
        Self { shop, images, known: Mutex::default(), stamps: Mutex::default() }
    }

    fn once(
        &self,
        name: String,
        make: impl FnOnce() -> Result<(Vec<Fingerprint>, Digest)>,
    ) -> Result<Vec<Fingerprint>, NoFingerprint> {
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known().get(&name) {
            return Ok(found.clone());
        }
        let (made, stamp) = make().map_err(NoFingerprint)?;
        known().insert(name.clone(), made.clone());
        self.stamps.lock().unwrap_or_else(PoisonError::into_inner).insert(name, stamp);
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

    fn of_copy(&self, step: &CopyStep) -> Result<(Vec<Fingerprint>, Digest)> {
        let (mut found, tree) = self.tree_of_copy(step)?;
        let stamp = stamp(&tree);
        found.extend(fingerprints(&tree, self.threads()).context("cannot read the files")?);
        Ok((found, stamp))
    }

    /// What a copy takes, onto an image that has nothing; and what else its key depends on.
    fn tree_of_copy(&self, step: &CopyStep) -> Result<(Vec<Fingerprint>, Tree)> {
        let context = self.context(&step.from)?;
        let (pinned, others) = step.sources.iter().partition::<Vec<_>, _>(|it| pin(it).is_some());
        let mut found: Vec<Fingerprint> = pinned.into_iter().filter_map(pin).collect();
        let step = CopyStep { sources: others.into_iter().cloned().collect(), ..step.clone() };
        if step.sources.is_empty() {
            return Ok((found, Tree::new()));
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
        Ok((found, tree))
    }

    /// Each archive by itself: of two that have the same name both are unpacked, one after the other.
    fn of_archives(&self, step: &CopyStep) -> Result<Vec<Fingerprint>> {
        let context = self.context(&step.from)?;
        let mut found = Vec::new();
        for (number, source) in step.sources.iter().enumerate() {
            let CopySource::Path(written) = source else { continue };
            for path in copy::source_paths(&*context.root, written)? {
                let shown = path.to_string_lossy().into_owned();
                // What is hidden is not copied, and told by nobody.
                let Ok((prints, _)) = self.of_path(&step.from, &format!("/{shown}")) else {
                    continue;
                };
                let all: Vec<String> = prints.iter().map(|(_, digest)| digest.hex()).collect();
                found.push((format!("{number} {shown}"), Digest::of(all.join(" ").as_bytes())));
            }
        }
        Ok(found)
    }

    fn of_path(&self, from: &FilesFrom, source: &str) -> Result<(Vec<Fingerprint>, Digest)> {
        let tree = self.tree_of_path(from, source)?;
        let stamp = stamp(&tree);
        let mut found = fingerprints(&tree, self.threads()).context("cannot read the files")?;
        // A mount shows the directory itself, too, which is not in the tree.
        found.extend(self.itself(from, source)?);
        Ok((found, stamp))
    }

    fn tree_of_path(&self, from: &FilesFrom, source: &str) -> Result<Tree> {
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
        Ok(copy::copy(&request)?)
    }

    /// The directory at a path, without what is in it.
    fn itself(&self, from: &FilesFrom, source: &str) -> Result<Option<Fingerprint>> {
        let context = self.context(from)?;
        let itself = resolve(&*context.root, Path::new(source), true)?.entry;
        let Some(Entry { meta, kind: Kind::Dir, .. }) = itself else { return Ok(None) };
        let mut maker = KeyMaker::new("directory");
        maker.input("mode", format!("{:o}", meta.mode));
        for (name, value) in &meta.xattrs {
            maker.input("xattr", name.as_encoded_bytes());
            maker.input("value", value);
        }
        Ok(Some((format!("{}/.", named(source)), maker.finish().0.0)))
    }

    /// What could be seen, without reading it, of the files that a step takes from this machine, when
    /// its key was made.
    pub fn stamp_of(&self, action: &Action) -> Option<Digest> {
        let known = self.stamps.lock().unwrap_or_else(PoisonError::into_inner);
        let of = |name: &String| known.get(name).copied();
        let all: Option<Vec<Digest>> = names(action).iter().map(of).collect();
        all.filter(|all| !all.is_empty()).map(joined)
    }

    fn threads(&self) -> NonZeroUsize {
        NonZeroUsize::new(self.shop.layer_options.threads).unwrap_or(NonZeroUsize::MIN)
    }
}

impl Contents for Fingerprints<'_> {
    type Error = NoFingerprint;

    fn copied(&self, step: &CopyStep) -> Result<Vec<Fingerprint>, NoFingerprint> {
        self.once(name_of_copy(step), || {
            let (mut found, stamp) = self.of_copy(step)?;
            if step.unpack != plan::Unpack::Never && may_be_several(step) {
                found.extend(self.of_archives(step)?);
            }
            Ok((found, stamp))
        })
    }

    fn shown(&self, from: &FilesFrom, source: &str) -> Result<Vec<Fingerprint>, NoFingerprint> {
        self.once(name_of_path(from, source), || self.of_path(from, source))
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

/// Whether two sources can have one name.
fn may_be_several(step: &CopyStep) -> bool {
    let is_pattern =
        |source: &CopySource| matches!(source, CopySource::Path(path) if has_meta(path.as_bytes()));
    step.sources.len() > 1 || step.sources.iter().any(is_pattern)
}

fn name_of_copy(step: &CopyStep) -> String {
    format!("{step:?}")
}

fn name_of_path(from: &FilesFrom, source: &str) -> String {
    format!("{from:?} {source}")
}

/// What the fingerprints of a step's files are known by.
fn names(action: &Action) -> Vec<String> {
    match action {
        Action::Copy(copy) if is_here(&copy.from) => vec![name_of_copy(copy)],
        _ => bound(action).map(|(from, source)| name_of_path(from, source)).collect(),
    }
}

/// The files of this machine that a RUN sees.
fn bound(action: &Action) -> impl Iterator<Item = (&FilesFrom, &str)> {
    let mounts = match action {
        Action::Run(run) => &run.mounts[..],
        _ => &[],
    };
    let bound = mounts.iter().filter_map(|mount| match mount {
        StepMount::Bind(BindMount { from: BindSource::Files(from), source, .. }) => {
            Some((from, source.as_str()))
        }
        _ => None,
    });
    bound.filter(|(from, _)| is_here(from))
}

fn is_here(from: &FilesFrom) -> bool {
    matches!(from, FilesFrom::Context | FilesFrom::Named(_))
}

/// A digest of what can be seen of files without reading them: times are in it.
fn stamp(tree: &Tree) -> Digest {
    let mut maker = KeyMaker::new("stamp");
    for node in tree.values() {
        maker.input("", format!("{:?}", node.entry));
    }
    maker.finish().0.0
}

fn joined(stamps: Vec<Digest>) -> Digest {
    let all: Vec<String> = stamps.iter().map(Digest::hex).collect();
    Digest::of(all.join(" ").as_bytes())
}

impl Workshop {
    /// The same as [`Fingerprints::stamp_of`], now: another one if somebody has changed the files.
    pub fn stamp(&self, action: &Action) -> Option<Digest> {
        let images = BTreeMap::new();
        let prints = Fingerprints::new(self, &images);
        let stamps: Result<Vec<Digest>> = match action {
            Action::Copy(copy) => prints.tree_of_copy(copy).map(|(_, tree)| vec![stamp(&tree)]),
            _ => bound(action)
                .map(|(from, source)| Ok(stamp(&prints.tree_of_path(from, source)?)))
                .collect(),
        };
        stamps.ok().map(joined)
    }

    /// Which of these have to be fetched for their keys.
    pub fn unpinned<'s>(&self, sources: &[&'s Source]) -> Vec<&'s Source> {
        sources.iter().copied().filter(|source| !is_pinned(source)).collect()
    }
}
