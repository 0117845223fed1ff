//! The last process: it gives up what the command must not have and becomes it.

use std::convert::Infallible;
use std::ffi::{CString, NulError};
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Gid, Mode, OFlags, Uid, fchown, open};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit, umask};
use rustix::thread::{CapabilitySet, set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use super::capability;
use super::error::{During, SandboxError};
use super::request::UserSpec;
use super::root::{Kind, Root};
use super::spec::Spec;
use super::ulimit::Ulimit;
use crate::sys;

/// Docker's soft limit of open files, where the hard limit allows it.
const OPEN_FILES: u64 = 1_048_576;

/// Runs the command in the present root with at most the `kept` capabilities. `last` is done when all
/// else is, just before the program is executed. Returns only if that is not possible.
pub(super) fn become_command(
    spec: &Spec,
    kept: CapabilitySet,
    last: impl FnOnce() -> Result<(), SandboxError>,
) -> Result<Infallible, SandboxError> {
    // Its own session: no terminal of kiln's to read from or to be stopped by.
    rustix::process::setsid().during("start a session")?;
    umask(Mode::from_raw_mode(0o022));
    raise_open_files();
    // While root, with all capabilities, so that no directory on the way can refuse.
    own_output(&spec.user);
    enter_directory(&spec.cwd)?;
    // While CAP_SYS_RESOURCE is there.
    spec.ulimits.iter().try_for_each(Ulimit::set)?;
    // The bounding set while CAP_SETPCAP is there; the ids while CAP_SETUID is; then the rest.
    capability::bound(kept).during("limit the capabilities")?;
    become_user(&spec.user, spec.single_id)?;
    capability::lower(kept).during("drop capabilities")?;
    sys::signal::reset();
    sys::process::close_on_exec().during("close kiln's files")?;
    last()?;
    execute(spec)
}

fn raise_open_files() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let possible = maximum.map_or(OPEN_FILES, |maximum| maximum.min(OPEN_FILES));
    if current.is_some_and(|current| current < possible) {
        // At worst it stays as it is.
        setrlimit(Resource::Nofile, Rlimit { current: Some(possible), maximum }).ok();
    }
}

/// Lets the user open /dev/stdout and /dev/stderr by name, which is a question of the pipe's owner.
/// runc does the same. A pipe that cannot be given away can still be written to.
fn own_output(user: &UserSpec) {
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    fchown(io::stdout().as_fd(), Some(uid), Some(gid)).ok();
    fchown(io::stderr().as_fd(), Some(uid), Some(gid)).ok();
}

/// By way of [`Root`], which does not follow the links in /proc that lead to the roots and working
/// directories of processes: this one still has the right to follow them, and where /proc had to be
/// the host's, they lead out of here.
fn enter_directory(path: &str) -> Result<(), SandboxError> {
    let enter = || -> io::Result<()> {
        let root = open("/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let directory = Root::new(root).ensure(Path::new(path), Kind::Directory)?;
        rustix::process::fchdir(directory)?;
        Ok(())
    };
    enter().during(format!("change to the working directory `{path}`"))
}

fn become_user(user: &UserSpec, single_id: bool) -> Result<(), SandboxError> {
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    let change = || -> rustix::io::Result<()> {
        // With one mapped id the kernel refuses setgroups(2) (user_namespaces(7)).
        if !single_id {
            let groups: Vec<Gid> = user.groups.iter().map(|gid| Gid::from_raw(*gid)).collect();
            set_thread_groups(&groups)?;
        }
        set_thread_res_gid(gid, gid, gid)?;
        set_thread_res_uid(uid, uid, uid)
    };
    change().map_err(|error| SandboxError::User {
        uid: user.uid,
        gid: user.gid,
        source: error.into(),
    })
}

fn execute(spec: &Spec) -> Result<Infallible, SandboxError> {
    let program = spec.args.first().map_or("", String::as_str);
    let strings = || -> Result<_, NulError> {
        let args =
            spec.args.iter().map(|arg| CString::new(&**arg)).collect::<Result<Vec<_>, _>>()?;
        let env = spec.env.iter().map(|(name, value)| CString::new(format!("{name}={value}")));
        Ok((args, env.collect::<Result<Vec<_>, _>>()?))
    };
    let (args, env) = strings().during("pass on a string with a zero byte")?;

    // As execvp(3), but with the PATH of the command: a name that is not there is looked for further
    // on, and "permission denied" is the answer only if nothing better comes.
    let mut refused = io::Error::from_raw_os_error(libc::ENOENT);
    let mut exists = false;
    for candidate in candidates(program, &spec.env) {
        let path = CString::new(candidate.as_os_str().as_encoded_bytes())
            .during("pass on a string with a zero byte")?;
        let error = sys::process::execve(&path, &args, &env);
        match error.raw_os_error() {
            Some(libc::ENOENT | libc::ENOTDIR) if !candidate.exists() => {}
            Some(libc::EACCES) => {
                exists = true;
                refused = error;
            }
            _ => {
                exists = true;
                refused = error;
                break;
            }
        }
    }
    Err(SandboxError::Command { program: program.to_owned(), exists, reason: refused })
}

fn candidates(program: &str, env: &[(String, String)]) -> Vec<PathBuf> {
    if program.contains('/') {
        return vec![PathBuf::from(program)];
    }
    if program.is_empty() {
        return Vec::new();
    }
    let path = env.iter().find(|(name, _)| name == "PATH").map_or("", |(_, value)| value);
    path.split(':')
        .map(|directory| if directory.is_empty() { "." } else { directory })
        .map(|directory| Path::new(directory).join(program))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_looked_up_in_the_path_of_the_command() {
        let env = |path: &str| vec![("PATH".to_owned(), path.to_owned())];
        let rows: [(&str, &str, &[&str]); 5] = [
            ("/bin/sh", "/usr/bin", &["/bin/sh"]),
            ("./x", "/usr/bin", &["./x"]),
            ("sh", "/usr/bin:/bin", &["/usr/bin/sh", "/bin/sh"]),
            ("sh", ":/bin", &["./sh", "/bin/sh"]),
            ("", "/bin", &[]),
        ];
        for (program, path, expected) in rows {
            let expected: Vec<PathBuf> = expected.iter().map(PathBuf::from).collect();
            assert_eq!(candidates(program, &env(path)), expected, "{program} in {path}");
        }
    }
}
