//! A context that comes as an archive: unpacked into a directory that goes with the build.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::Ground;
use crate::context::{subdirectory, unpack};
use crate::request::Request;
use crate::work_dir::WorkDir;

/// The unpacked context; removed when dropped.
#[derive(Debug)]
pub(super) struct Unpacked {
    dir: PathBuf,
    _around: WorkDir,
}

impl Unpacked {
    /// Unpacks the archive of a request; nothing where its context is a directory.
    pub(super) fn from_archive(request: &Request, ground: &Ground) -> Result<Option<Self>> {
        let Some(archive) = &request.archive else { return Ok(None) };
        let around = WorkDir::for_files(request, &ground.reporter)?;
        let top = around.path().join("context");
        std::fs::create_dir(&top)
            .with_context(|| format!("cannot make the directory {}", top.display()))?;
        let task = ground.reporter.start(&format!("unpack the context from {archive}"));
        if let Err(error) = unpack(archive, &top, &ground.cancel) {
            ground.cancel.check()?;
            return Err(error.into());
        }
        task.done();
        let dir = subdirectory(archive, &top, &request.context)?;
        Ok(Some(Self { dir, _around: around }))
    }

    /// The context.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }
}
