//! Files that the build is to write: what is wrong with their places is said before it begins.

use std::ffi::OsString;
use std::path::Path;

use rustix::fs::{Access, access};

use super::env::Environment;
use super::error::CliError;
use super::export_flags::ExportFlags;
use super::flags::ResultFlags;

/// Refuses paths that no file can be written to. Missing directories are made when it is written.
pub(super) fn check(
    result: &ResultFlags,
    export: &ExportFlags,
    env: &Environment,
) -> Result<(), CliError> {
    let files = [
        ("--digest-file", &result.digest_file),
        ("--image-name-with-digest-file", &result.image_name_with_digest_file),
        ("--image-name-tag-with-digest-file", &result.image_name_tag_with_digest_file),
        ("--tar-path", &result.tar_path),
        ("--iidfile", &export.iidfile),
        ("--metadata-file", &export.metadata_file),
    ];
    for (flag, path) in files {
        check_path(flag, path.as_ref(), env, |path| {
            path.is_dir().then(|| "it is a directory".to_owned())
        })?;
    }
    check_path("--oci-layout-path", result.oci_layout_path.as_ref(), env, |path| {
        (path.exists() && !path.is_dir()).then(|| "it is not a directory".to_owned())
    })
}

fn check_path(
    flag: &str,
    typed: Option<&OsString>,
    env: &Environment,
    problem: impl Fn(&Path) -> Option<String>,
) -> Result<(), CliError> {
    let Some(typed) = typed.filter(|typed| !typed.is_empty()) else { return Ok(()) };
    let path = env.absolute(typed);
    // One that is there is written in place: a Pod's /dev/termination-log, in a directory that is not
    // writable. An archive is put together beside its place.
    let in_place = flag != "--tar-path" && access(&path, Access::WRITE_OK).is_ok();
    match problem(&path).or_else(|| problem_above(&path).filter(|_| !in_place)) {
        None => Ok(()),
        Some(why) => Err(CliError::complete(format!(
            "{flag} cannot be written to {}: {why}",
            path.display()
        ))),
    }
}

/// What keeps a file out of the directory that is, or would be made, for it.
fn problem_above(path: &Path) -> Option<String> {
    let there = path.ancestors().skip(1).find(|ancestor| ancestor.exists())?;
    if !there.is_dir() {
        return Some(format!("{} is not a directory", there.display()));
    }
    let refused = access(there, Access::WRITE_OK | Access::EXEC_OK).err()?;
    Some(format!("{} is not writable: {refused}", there.display()))
}
