//! An object of a cloud's store.

use std::path::{Path, PathBuf};

use super::http::{create, dress};
use super::{Fetcher, RemoteError};
use crate::registry::{FileAt, Object};

impl Fetcher {
    /// Downloads an object into a directory, under this name, as [`Fetcher::file`] does a file.
    ///
    /// # Errors
    /// No object, no right to read it, or a disk that is full.
    pub fn object(
        &self,
        object: &Object,
        dir: &Path,
        name: &str,
        progress: &dyn Fn(u64, Option<u64>),
    ) -> Result<PathBuf, RemoteError> {
        let (path, file) = create(dir, name)?;
        let done = self
            .client
            .download(FileAt::Object(object), &file, progress)
            .map_err(|error| RemoteError::http(object.to_string(), "", error))?;
        dress(&file, done.last_modified).map_err(RemoteError::io("set mode and time of", &path))?;
        Ok(path)
    }
}
