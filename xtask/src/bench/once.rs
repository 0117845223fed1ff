//! One run: a disk and a registry that are new, a peer that builds, and what it took.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};

use super::case::{Build, Case};
use super::cgroup::{Cgroup, Hierarchy};
use super::disk::{Disk, Places, drop_page_cache};
use super::peer::{Cache, Job, Peer, Tools};
use super::processors;
use super::registry::{DEBIAN, IMAGE, PYTHON, Registry};
use super::results::Sample;
use super::steps::Steps;
use crate::step::quiet;

/// What all runs have in common.
#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) tools: Tools,
    /// The storage of a registry that has the base images.
    pub(crate) bases: PathBuf,
    /// For contexts.
    pub(crate) dir: PathBuf,
    /// For disks.
    pub(crate) places: Places,
    /// None if this machine has no control groups.
    pub(crate) hierarchy: Option<Hierarchy>,
    /// Runs so far.
    pub(crate) count: usize,
}

impl Bench {
    /// Has a peer do a case on a machine that has never seen either.
    ///
    /// # Errors
    /// If the peer fails, or its image is not what was to be built.
    pub(crate) fn once(
        &mut self,
        case: &Case,
        peer: Peer,
        look_inside: bool,
    ) -> anyhow::Result<Sample> {
        let context = case.context(&self.dir.join("contexts"))?;
        let store = self.places.disk("r", case.disks[1])?;
        let registry = Registry::with_bases(store, &self.bases)?;
        if case.build != Build::Cold {
            let disk = self.machine(case, &registry, &context)?;
            self.build(case, peer, &registry, disk.place(), Cache::Fill)
                .context("the build that fills the cache failed")?;
        }
        let disk = self.machine(case, &registry, &context)?;
        case.change(&disk.place().join("context"))?;
        let cache = if case.build == Build::Cold { Cache::None } else { Cache::Use };
        let mut sample = self.build(case, peer, &registry, disk.place(), cache)?;
        if peer != Peer::Limit {
            sample.layers = added(&registry, case)?;
            if look_inside {
                look(&registry, case, disk.place())?;
            }
        }
        Ok(sample)
    }

    /// A new disk with a checkout.
    fn machine(&self, case: &Case, registry: &Registry, context: &Path) -> anyhow::Result<Disk> {
        let disk = self.places.disk("d", case.disks[0])?;
        let checkout = disk.place().join("context");
        quiet(Command::new("cp").arg("-r").arg(context).arg(&checkout))?;
        fs::write(checkout.join("Dockerfile"), case.dockerfile(registry.host()))?;
        Ok(disk)
    }

    fn build(
        &mut self,
        case: &Case,
        peer: Peer,
        registry: &Registry,
        place: &Path,
        cache: Cache,
    ) -> anyhow::Result<Sample> {
        self.count += 1;
        let base = registry.layers(PYTHON)?;
        let (tools, host) = (&self.tools, registry.host());
        let job = Job { case, tools, place, host, cache, base: &base };
        peer.prepare(&job)?;
        let group = self.hierarchy.as_ref().map(|hierarchy| Cgroup::new(hierarchy, self.count));
        let group = group.transpose()?;
        let mut steps = Steps::new(group.as_ref(), place)?;
        drop_page_cache();
        let requests = registry.requests();
        let (watch, before) = (group.as_ref().map(Cgroup::watch), processors::of_children());
        steps.begin();
        let daemon = peer.build(&job, &mut steps);
        let wall = steps.elapsed();
        let cpu = match &group {
            Some(group) => group.cpu()?,
            None => processors::of_children() - before,
        };
        let memory = watch.map_or(0, |watch| watch.peak());
        // Stopped before its control group is removed, and whatever it has left is killed with it.
        drop(daemon?);
        let phases = steps.phases;
        let requests = registry.requests() - requests;
        Ok(Sample { wall, cpu, memory, phases, requests, layers: 0 })
    }
}

/// Compressed bytes of the layers above the base's. Some compress the base anew, so its layers are
/// counted and not compared.
fn added(registry: &Registry, case: &Case) -> anyhow::Result<u64> {
    let dockerfile = case.dockerfile("");
    let from = dockerfile.lines().rfind(|line| line.starts_with("FROM ")).unwrap_or_default();
    let base = if from.contains(DEBIAN) { DEBIAN } else { PYTHON };
    let below = registry.layers(base)?.len();
    let layers = registry.layers(&format!("{IMAGE}:1"))?;
    ensure!(layers.len() > below, "the image has no layer above its base's");
    Ok(layers[below..].iter().map(|(_, size)| size).sum())
}

/// Reads the image back.
fn look(registry: &Registry, case: &Case, place: &Path) -> anyhow::Result<()> {
    let image = registry.image(&format!("{IMAGE}:1"), &place.join("look"))?;
    case.check(&image.tree()?, &place.join("context")).context("the image is not right")
}
