//! kiln as a user who is not root.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;
use std::process::{Command, Stdio};

use super::{Kiln, Outcome};

/// An account without privileges (`nobody`).
const UID: u32 = 65534;

/// Which ids the user may have in a user namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ids {
    /// 65536 of them, from /etc/subuid and /etc/subgid.
    Ranges,
    /// The user's own.
    One,
}

/// Runs a build as that user. /etc/subuid and /etc/subgid are changed in a mount namespace of its
/// own, so nothing of it is left. `setup` is shell text that root runs in there first.
pub fn run_as(kiln: Kiln, ids: Ids, setup: &str) -> Outcome {
    super::built::need_root();
    let (command, dir) = kiln.into_command();
    let program = reachable(Path::new(command.get_program()), dir.path());
    let mut table = tempfile::NamedTempFile::new_in(dir.path()).expect("a file");
    if ids == Ids::Ranges {
        writeln!(table, "{UID}:200000:65536").expect("written");
    }
    let readable = fs::Permissions::from_mode(0o644);
    fs::set_permissions(table.path(), readable).expect("readable for newuidmap");
    give(dir.path());
    let script = format!(
        "mount --bind \"$TABLE\" /etc/subuid && mount --bind \"$TABLE\" /etc/subgid || exit 99\n\
         {setup}\n\
         exec setpriv --reuid {UID} --regid {UID} --clear-groups -- \"$@\""
    );
    let mut shell = Command::new("unshare");
    shell.args(["--mount", "--propagation", "private", "sh", "-c", &script, "sh"]);
    shell.arg(program).args(command.get_args()).env_clear().stdin(Stdio::null());
    shell.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell.env("TABLE", table.path()).current_dir(dir.path());
    let outcome = Outcome::from(shell.output().expect("unshare and setpriv (package util-linux)"));
    let left = fs::read_dir(dir.path().join("tmp")).expect("a directory").count();
    assert_eq!(left, 0, "left behind: {left}\n{outcome}");
    outcome
}

/// The program under a path that every user can execute.
fn reachable(program: &Path, dir: &Path) -> std::path::PathBuf {
    let copy = dir.join("kiln");
    fs::copy(program, &copy).expect("a copy of kiln");
    copy
}

/// Gives a tree to the user.
fn give(path: &Path) {
    chown(path, Some(UID), Some(UID)).expect("chown");
    if path.symlink_metadata().expect("there").is_dir() {
        for entry in fs::read_dir(path).expect("a directory") {
            give(&entry.expect("an entry").path());
        }
    }
}
