//! Other people's command-line tools.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

/// Runs a program to its end; its standard output. It must be there and succeed.
#[track_caller]
pub fn run<S: AsRef<OsStr>>(program: &str, args: impl IntoIterator<Item = S>) -> String {
    let mut command = Command::new(program);
    command.args(args);
    output(command)
}

/// The same for a command that is set up already.
#[track_caller]
pub fn output(mut command: Command) -> String {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = match command.output() {
        Ok(output) => output,
        Err(error) => panic!("cannot run {name}: {error}; install it with: apt-get install {name}"),
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{out}{err}", output.status);
    out
}

/// A program in another root, with nothing in its environment but what the caller adds.
pub fn in_root(root: &Path, program: &str) -> Command {
    // By its path: without PATH it would be looked for in /bin and /usr/bin.
    let mut command = Command::new("/usr/sbin/chroot");
    command.arg(root).arg(program).env_clear();
    command
}
