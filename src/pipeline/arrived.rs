//! A context from elsewhere: brought into a directory that goes with the build.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::Ground;
use crate::context::{
    self, Archive, ContextError, DockerfileText, FromStdin, dockerfile_from_stdin, is_archive,
    read_as_dockerfile, read_dockerfile, subdirectory, unpack,
};
use crate::registry::Client;
use crate::remote::{Fetched, Source, without_secrets};
use crate::request::{DockerfileSource, Elsewhere, Request, dockerfile_at};
use crate::settings::{self, NamedBy};
use crate::work_dir::WorkDir;

/// With which BuildKit leaves `.git` in a context.
const KEEP_GIT_DIR: &str = "BUILDKIT_CONTEXT_KEEP_GIT_DIR";

/// A context that was brought here; removed when dropped.
#[derive(Debug)]
pub(super) struct Arrived {
    dir: PathBuf,
    /// Where it came instead of a context.
    dockerfile: Option<DockerfileText>,
    _around: WorkDir,
}

impl Arrived {
    /// Brings the context of a request here; nothing where it is a directory.
    pub(super) fn fetch(request: &Request, ground: &Ground) -> Result<Option<Self>> {
        let Some(from) = &request.elsewhere else { return Ok(None) };
        let around = WorkDir::for_files(request, &ground.reporter)?;
        let top = make(around.path(), "context")?;
        let found = match (from, from.remote(keeps_git_dir(request))) {
            (_, Some(remote)) => of_remote(request, ground, &remote, &around, top)?,
            (Elsewhere::Archive(archive), _) => {
                unpacked(archive, &archive.to_string(), ground, &top)?;
                (top, None)
            }
            _ => of_stdin(ground, top)?,
        };
        let (top, dockerfile) = found;
        let dir = match request.context.as_os_str().is_empty() {
            true => top,
            false => subdirectory(&from.to_string(), &top, &request.context)?,
        };
        Ok(Some(Self { dir, dockerfile, _around: around }))
    }

    /// The context.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The Dockerfile, where it came instead of a context.
    pub(super) fn take_dockerfile(&mut self) -> Option<DockerfileText> {
        self.dockerfile.take()
    }
}

type Found = (PathBuf, Option<DockerfileText>);

fn of_stdin(ground: &Ground, top: PathBuf) -> Result<Found> {
    let task = ground.reporter.start("read standard input");
    let came = stoppable(context::from_stdin(&top, &ground.cancel), ground)?;
    task.done();
    Ok(match came {
        FromStdin::Context => (top, None),
        FromStdin::Dockerfile(text) => (top, Some(text)),
    })
}

fn of_remote(
    request: &Request,
    ground: &Ground,
    remote: &Source,
    around: &WorkDir,
    top: PathBuf,
) -> Result<Found> {
    let fetched = fetch(request, ground, remote, &top)?;
    let Some(name) = &fetched.file else { return Ok((fetched.dir, None)) };
    let file = fetched.dir.join(name);
    if !is_archive(&file)? {
        let text = read_as_dockerfile(&file, remote.to_string().into())?;
        return Ok((top, Some(text)));
    }
    let dir = make(around.path(), "unpacked")?;
    unpacked(&Archive::File(file), &remote.to_string(), ground, &dir)?;
    Ok((dir, None))
}

/// Fetches before there is a build.
fn fetch(request: &Request, ground: &Ground, source: &Source, into: &Path) -> Result<Fetched> {
    let options = settings::registry_options(&request.registry);
    let client = Client::new(options, ground.cancel.clone())?;
    let fetcher =
        settings::fetcher(request, &client, NamedBy::User, &ground.reporter, &ground.cancel);
    let task = ground.reporter.start(&format!("fetch {source}"));
    let fetched = fetcher.fetch(source, into, &|done, total| task.progress(done, total))?;
    fetched.notes.iter().for_each(|note| ground.reporter.warning(note));
    task.done();
    Ok(fetched)
}

fn unpacked(archive: &Archive, name: &str, ground: &Ground, into: &Path) -> Result<()> {
    let task = ground.reporter.start(&format!("unpack the context from {name}"));
    stoppable(unpack(archive, into, &ground.cancel), ground)?;
    task.done();
    Ok(())
}

/// Of a build that was stopped, that is the error.
fn stoppable<T>(outcome: Result<T, ContextError>, ground: &Ground) -> Result<T> {
    if outcome.is_err() {
        ground.cancel.check()?;
    }
    Ok(outcome?)
}

fn make(parent: &Path, name: &str) -> Result<PathBuf> {
    let dir = parent.join(name);
    std::fs::create_dir(&dir)
        .with_context(|| format!("cannot make the directory {}", dir.display()))?;
    Ok(dir)
}

fn keeps_git_dir(request: &Request) -> bool {
    let value = request.build_args.get(KEEP_GIT_DIR).map(String::as_str);
    matches!(value, Some("1" | "t" | "T" | "true" | "TRUE" | "True"))
}

/// The Dockerfile of a request, where the context did not come instead of one.
pub(super) fn dockerfile(
    request: &Request,
    ground: &Ground,
    context: &Path,
) -> Result<DockerfileText> {
    match &request.dockerfile {
        DockerfileSource::Stdin => Ok(dockerfile_from_stdin()?),
        DockerfileSource::Address(address) => {
            let source = dockerfile_at(address);
            let around = WorkDir::for_files(request, &ground.reporter)?;
            let fetched = fetch(request, ground, &source, &make(around.path(), "dockerfile")?)?;
            let file = fetched.dir.join(fetched.file.unwrap_or_default());
            Ok(read_as_dockerfile(&file, without_secrets(address).into())?)
        }
        DockerfileSource::Path(_) | DockerfileSource::Default => {
            Ok(read_dockerfile(context, request.dockerfile.path())?)
        }
    }
}
