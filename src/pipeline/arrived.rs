//! A context from elsewhere: brought into a directory that goes with the build.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::Ground;
use crate::context::{
    self, Archive, Came, ContextError, DockerfileText, FromStdin, dockerfile_from_stdin,
    dockerfile_of, read_as_dockerfile, read_dockerfile, subdirectory, unpack,
};
use crate::registry::Client;
use crate::remote::{Fetched, Fetcher, RemoteFile, Source, without_secrets};
use crate::request::{CONTEXT_FILE, DockerfileSource, Elsewhere, Request, dockerfile_at};
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
        let found = match from {
            Elsewhere::Archive(archive) => {
                unpacked(archive, &archive.to_string(), ground, &top)?;
                (top, None)
            }
            Elsewhere::Stdin => of_stdin(ground, top)?,
            Elsewhere::Repository(reference) => {
                let remote = Source::repository((**reference).clone(), keeps_git_dir(request));
                (fetch(request, ground, &remote, &top)?.dir, None)
            }
            Elsewhere::Address(address) => {
                of_file(request, ground, RemoteFile::Address(address), top)?
            }
            Elsewhere::Object(object) => of_file(request, ground, RemoteFile::Object(object), top)?,
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

/// Unpacks an archive while it arrives. Anything else is a Dockerfile, and the context's one file.
fn of_file(
    request: &Request,
    ground: &Ground,
    file: RemoteFile<'_>,
    top: PathBuf,
) -> Result<Found> {
    let fetcher = fetcher(request, ground)?;
    let name = file.to_string();
    let task = ground.reporter.start(&format!("fetch {name}"));
    let progress = |done, total| task.progress(done, total);
    let mut bytes = fetcher.open(file, &progress)?;
    let came = context::from_stream(&name, &mut bytes, &top, &ground.cancel);
    // Whatever unpacking says of it, this is why.
    if let Some(failure) = bytes.take_failure() {
        ground.cancel.check()?;
        return Err(failure.into());
    }
    let dockerfile = match stoppable(came, ground)? {
        Came::Context => None,
        Came::File(text) => {
            bytes.keep(&text, &top, CONTEXT_FILE)?;
            Some(dockerfile_of(text, name.into())?)
        }
    };
    task.done();
    Ok((top, dockerfile))
}

/// Fetches before there is a build.
fn fetch(request: &Request, ground: &Ground, source: &Source, into: &Path) -> Result<Fetched> {
    let fetcher = fetcher(request, ground)?;
    let task = ground.reporter.start(&format!("fetch {source}"));
    let fetched = fetcher.fetch(source, into, &|done, total| task.progress(done, total))?;
    fetched.notes.iter().for_each(|note| ground.reporter.warning(note));
    task.done();
    Ok(fetched)
}

fn fetcher(request: &Request, ground: &Ground) -> Result<Fetcher> {
    let options = settings::registry_options(&request.registry);
    let client = Client::new(options, ground.cancel.clone())?;
    Ok(settings::fetcher(request, &client, NamedBy::User, &ground.reporter, &ground.cancel))
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
