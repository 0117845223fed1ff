//! RUN: a command in the stage's files; what it changed becomes a layer.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};

use super::files::Files;
use super::layers::ImageLayer;
use super::mounts::Prepared;
use super::placeholders;
use super::workshop::Workshop;
use crate::event::Task;
use crate::layer::writer::Hear;
use crate::layer::{Entry, LayerWriter, Whiteout};
use crate::plan::{NetworkMode, RunStep};
use crate::rootfs::diff::SinkError;
use crate::rootfs::{ChangeSink, DiffStats, Overlay, Process, Users, diff_upper};
use crate::sandbox::{
    LayeredRoot, Namespaces, Network, RunReport, RunRequest, RunStatus, Sandbox, UserSpec,
};

/// A command that ended badly.
#[derive(Debug, thiserror::Error)]
#[error("process \"{}\" did not complete successfully: {}", shortened(command), describe(.status))]
pub struct RunFailed {
    /// Program and arguments.
    pub command: String,
    /// How it ended.
    pub status: RunStatus,
}

impl RunFailed {
    /// What kiln exits with: the command's own code, or 128 + signal as shells do.
    pub fn exit_code(&self) -> u8 {
        let code = match self.status {
            RunStatus::Exited(code) => code,
            RunStatus::Signaled(signal) => 128 + signal,
        };
        u8::try_from(code).unwrap_or(1)
    }
}

/// The command, or its beginning: the Dockerfile's lines are shown anyway.
fn shortened(command: &str) -> String {
    const SHOWN: usize = 200;
    match command.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &command[..end]),
        None => command.to_owned(),
    }
}

fn describe(status: &RunStatus) -> String {
    match status {
        RunStatus::Exited(code) => format!("exit code: {code}"),
        RunStatus::Signaled(9) => {
            "killed by signal 9 (often the machine's out-of-memory killer)".into()
        }
        RunStatus::Signaled(signal) => format!("killed by signal {signal}"),
    }
}

/// Runs the command; nothing where it changed no file.
pub(super) fn run(
    shop: &Workshop,
    files: &mut Files<'_>,
    step: &RunStep,
    mounts: &Prepared,
    task: &Task,
) -> Result<Option<Arc<ImageLayer>>> {
    match &shop.sandbox {
        Sandbox::Namespaces(namespaces) => on_overlay(shop, namespaces, files, step, mounts, task),
        Sandbox::Chroot(_) | Sandbox::Inplace(_) => in_directory(shop, files, step, mounts, task),
        Sandbox::None(unable) => Err(unable.clone().into()),
    }
}

/// On an overlay, whose upper directory then is what the command changed.
fn on_overlay(
    shop: &Workshop,
    namespaces: &Namespaces,
    files: &mut Files<'_>,
    step: &RunStep,
    mounts: &Prepared,
    task: &Task,
) -> Result<Option<Arc<ImageLayer>>> {
    let dirs = files.unpack()?;
    let request = request(shop, files, step, mounts)?;
    let (upper, work) = (shop.new_layer_dir()?, shop.new_layer_dir()?);
    shop.root_like(&shop.open_root(&shop.layers_dir.join(&upper))?, files.view()?)?;
    let root = LayeredRoot {
        base: shop.layers_dir.clone(),
        lowers: dirs.iter().map(PathBuf::from).collect(),
        upper: upper.clone().into(),
        work: work.into(),
    };
    let output = |stream, bytes: &[u8]| task.output(stream, bytes);
    let report = namespaces.run(&root, &request, &output, &shop.cancel)?;
    succeeded(shop, step, &report)?;
    let changed = shop.open_root(&shop.layers_dir.join(&upper))?;
    let exclude: BTreeSet<PathBuf> = report.placeholders.iter().cloned().collect();
    let style = Overlay { userxattr: namespaces.userxattr() };
    let hear = files.hear();
    let view = files.view()?;
    let layer = write_layer(shop, hear, Some(upper), |sink| {
        Ok(diff_upper(&changed, view, style, &exclude, sink)?)
    })?;
    if let Some(layer) = &layer {
        placeholders::remove(shop, &changed, &report.placeholders)?;
        files.push(layer.clone(), None)?;
    }
    Ok(layer)
}

/// In the stage's directory, which is compared with what it was before.
fn in_directory(
    shop: &Workshop,
    files: &mut Files<'_>,
    step: &RunStep,
    mounts: &Prepared,
    task: &Task,
) -> Result<Option<Arc<ImageLayer>>> {
    let request = request(shop, files, step, mounts)?;
    let directory = files.directory()?;
    directory.ready()?;
    let output = |stream, bytes: &[u8]| task.output(stream, bytes);
    let report = match &shop.sandbox {
        Sandbox::Inplace(inplace) => inplace.run(&request, &output, &shop.cancel)?,
        Sandbox::Chroot(chroot) => {
            chroot.run(&directory.as_chroot()?, &request, &output, &shop.cancel)?
        }
        other => bail!("isolation `{}` has no directory to run in", other.name()),
    };
    succeeded(shop, step, &report)?;
    let hear = files.hear();
    let directory = files.directory()?;
    let layer = write_layer(shop, hear, None, |sink| directory.changes(sink))?;
    if let Some(layer) = &layer {
        directory.count_layer(shop, layer)?;
        files.push(layer.clone(), None)?;
    }
    Ok(layer)
}

fn request(
    shop: &Workshop,
    files: &mut Files<'_>,
    step: &RunStep,
    mounts: &Prepared,
) -> Result<RunRequest> {
    let process = Users::load(files.view()?)?.process(&step.user)?;
    Ok(RunRequest {
        args: step.args.clone(),
        env: environment(step, mounts, &process),
        cwd: step.cwd.clone(),
        user: UserSpec { uid: process.uid, gid: process.gid, groups: process.groups },
        hostname: "buildkitsandbox".into(),
        hosts: shop.hosts.clone(),
        shm_size: shop.shm_size,
        network: match step.network {
            Some(NetworkMode::None) => Network::None,
            Some(NetworkMode::Host) => Network::Host,
            Some(NetworkMode::Default) | None => shop.commands.network,
        },
        mounts: mounts.mounts.clone(),
        ulimits: shop.commands.ulimits.clone(),
    })
}

fn succeeded(shop: &Workshop, step: &RunStep, report: &RunReport) -> Result<()> {
    shop.cancel.check()?;
    if report.status == RunStatus::Exited(0) {
        return Ok(());
    }
    let command = step.args.join(" ");
    Err(RunFailed { command, status: report.status }.into())
}

/// The step's variables, those of its mounts, and HOME from the user's entry unless the image sets it.
fn environment(step: &RunStep, mounts: &Prepared, process: &Process) -> Vec<(String, String)> {
    let mut env = step.environment();
    for (name, value) in &mounts.env {
        env.retain(|(known, _)| known != name);
        env.push((name.clone(), value.clone()));
    }
    if !env.iter().any(|(name, _)| name == "HOME") {
        env.push(("HOME".into(), process.home.clone()));
    }
    env
}

/// Writes what `changes` finds as a layer; nothing where it finds nothing. `dir` holds its files, if
/// they are in overlay's form.
fn write_layer(
    shop: &Workshop,
    hear: Hear<'_>,
    dir: Option<String>,
    changes: impl FnOnce(&mut Changes<'_>) -> Result<DiffStats>,
) -> Result<Option<Arc<ImageLayer>>> {
    let what = "cannot store what RUN changed";
    let writer = LayerWriter::telling(&shop.blobs, &shop.layer_options, hear).context(what)?;
    let mut sink = Changes { writer, shop };
    let stats = changes(&mut sink).context(what)?;
    if stats.entries + stats.whiteouts == 0 {
        return Ok(None);
    }
    for path in &stats.reserved {
        shop.reporter.warning(&format!(
            "`/{}` is not in the image: a name that begins with .wh. means a deletion there",
            path.display()
        ));
    }
    let layer = sink.writer.finish().context(what)?;
    Ok(Some(Arc::new(ImageLayer::built(&layer, dir))))
}

struct Changes<'a> {
    writer: LayerWriter<'a>,
    shop: &'a Workshop,
}

impl Changes<'_> {
    /// Whether the path, relative to the image's root, is at or below one that is left out.
    fn ignores(&self, path: &Path) -> bool {
        let path = Path::new("/").join(path);
        self.shop.ignore_paths.iter().any(|ignored| path.starts_with(ignored))
    }
}

impl ChangeSink for Changes<'_> {
    fn file(&mut self, entry: &Entry, content: &mut dyn std::io::Read) -> Result<(), SinkError> {
        self.shop.cancel.check()?;
        if self.ignores(&entry.path) {
            return Ok(());
        }
        Ok(self.writer.append(entry, content)?)
    }

    fn whiteout(&mut self, whiteout: &Whiteout) -> Result<(), SinkError> {
        let (Whiteout::Remove(path) | Whiteout::Opaque(path) | Whiteout::Ignored(path)) = whiteout;
        if self.ignores(path) {
            return Ok(());
        }
        Ok(self.writer.whiteout(whiteout, self.shop.now)?)
    }
}
