//! Files that are there whole or not at all.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::finished::ExportError;

/// Fills a file, which gets its name when it is whole. A pipe or a device that is there already is
/// written to. Directories that are missing are made.
pub fn write_whole<E: From<ExportError>>(
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> Result<(), E>,
) -> Result<(), E> {
    if fs::metadata(path).is_ok_and(|meta| !meta.is_file() && !meta.is_dir()) {
        let file = fs::OpenOptions::new().write(true).open(path);
        let mut file = file.map_err(|error| ExportError::io("write", path, error))?;
        return fill(&mut file);
    }
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)
            .map_err(|error| ExportError::io("create the directory", dir, error))?;
    }
    let mut failure = None;
    let replaced = replace_file(path, |file| {
        fill(file).map_err(|error| {
            failure = Some(error);
            io::Error::other("incomplete")
        })
    });
    failure.map_or(replaced.map_err(E::from), Err)
}

/// Writes a file beside its place and renames it, so that nobody sees a half.
pub(super) fn replace_file(
    path: &Path,
    fill: impl FnOnce(&mut File) -> io::Result<()>,
) -> Result<(), ExportError> {
    let failed = |error| ExportError::io("write", path, error);
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new()
        .prefix(".kiln-")
        // The umask still applies.
        .permissions(PermissionsExt::from_mode(0o666))
        .tempfile_in(dir)
        .map_err(failed)?;
    fill(file.as_file_mut()).map_err(failed)?;
    // A rename may reach the disk before the data does.
    file.as_file().sync_all().map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}
