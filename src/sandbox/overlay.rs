//! The options of overlay mounts (kernel: Documentation/filesystems/overlayfs.rst).

use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::mount::MountFlags;

use super::error::SandboxError;
use super::spec::Overlay;

/// mount(2) copies one page of options, with its zero byte.
const MAX_OPTIONS: usize = 4095;

/// Lets the kernel skip every fsync on the upper file system (Linux 5.10): after a crash the layer is
/// built again anyway.
const VOLATILE: &str = "volatile";

/// Directories to put on one another. All relative to one working directory, to be short.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stack<'a> {
    /// Lowest first.
    pub lowers: &'a [PathBuf],
    /// The upper and the work directory, if it can be written to.
    pub upper: Option<(&'a Path, &'a Path)>,
    /// In a user namespace the overlay's own attributes are user.overlay.*, since trusted.* needs
    /// CAP_SYS_ADMIN on the host (Linux 5.11).
    pub userxattr: bool,
}

impl Stack<'_> {
    /// The options for mount(2).
    pub fn options(&self) -> Result<Overlay, SandboxError> {
        let mut options = Vec::from(b"lowerdir=");
        for (position, lower) in self.lowers.iter().rev().enumerate() {
            if position > 0 {
                options.push(b':');
            }
            options.extend_from_slice(plain(lower)?);
        }
        if let Some((upper, work)) = self.upper {
            options.extend_from_slice(b",upperdir=");
            options.extend_from_slice(plain(upper)?);
            options.extend_from_slice(b",workdir=");
            options.extend_from_slice(plain(work)?);
        }
        // nofollow: the upper directory has to be complete by itself, and a redirect that an image
        // brought along is not to be believed. metacopy and index: as Docker, whole files only.
        // xino: st_ino and st_dev as on the file system below.
        options.extend_from_slice(b",redirect_dir=nofollow,metacopy=off,index=off,xino=off");
        if self.userxattr {
            options.extend_from_slice(b",userxattr");
        }
        let longest = options.len() + 1 + VOLATILE.len();
        if longest > MAX_OPTIONS {
            return Err(SandboxError::Request(format!(
                "the names of its {} layers are {longest} bytes together and mount(2) takes \
                 {MAX_OPTIONS}",
                self.lowers.len()
            )));
        }
        Ok(Overlay {
            options: OsString::from_vec(options),
            optional: if self.upper.is_some() { VOLATILE.to_owned() } else { String::new() },
        })
    }
}

/// A name that needs no escape in the options.
fn plain(path: &Path) -> Result<&[u8], SandboxError> {
    let bytes = path.as_os_str().as_bytes();
    if bytes.is_empty() || bytes.iter().any(|byte| b",:\\\0".contains(byte)) {
        return Err(SandboxError::Request(format!(
            "a layer's directory cannot be called `{}`",
            path.display()
        )));
    }
    Ok(bytes)
}

impl Overlay {
    /// Mounts it on `target`, from the directory that its names are relative to.
    pub fn mount(&self, target: &str, flags: MountFlags) -> io::Result<()> {
        if !self.optional.is_empty() {
            let mut all = self.options.clone();
            all.push(",");
            all.push(&self.optional);
            match mount(target, flags, &all) {
                // The answer to an option that is not known, but also to others.
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => {}
                result => return result,
            }
        }
        mount(target, flags, &self.options)
    }
}

fn mount(target: &str, flags: MountFlags, options: &OsStr) -> io::Result<()> {
    let options = CString::new(options.as_bytes())?;
    rustix::mount::mount("overlay", target, "overlay", flags, &*options)?;
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn stack(lowers: &[PathBuf]) -> Stack<'_> {
        Stack { lowers, upper: Some((Path::new("u"), Path::new("w"))), userxattr: true }
    }

    #[test]
    fn the_lowest_layer_comes_last() {
        let lowers = ["a".into(), "b".into(), "c".into()];
        let options = stack(&lowers).options().unwrap().options.into_string().unwrap();
        assert!(options.starts_with("lowerdir=c:b:a,upperdir=u,workdir=w,"), "{options}");
        assert!(options.ends_with(",userxattr"), "{options}");
    }

    #[test]
    fn names_that_the_kernel_would_read_otherwise_are_refused() {
        for name in ["a:b", "a,b", "a\\b", ""] {
            assert!(stack(&[name.into()]).options().is_err(), "{name}");
        }
    }

    #[test]
    fn more_than_a_page_is_refused_with_the_numbers() {
        let lowers: Vec<PathBuf> = (0..500).map(|n| format!("layers/{n}").into()).collect();
        let error = stack(&lowers).options().unwrap_err().to_string();
        assert!(error.contains("500 layers") && error.contains("4095"), "{error}");
        assert!(stack(&lowers[..130]).options().is_ok());
    }
}
