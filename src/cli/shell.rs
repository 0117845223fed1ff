//! A CI runner gives a container its shell as the command, which an entrypoint then sees as its
//! arguments: `kiln sh -c 'if [ -x /bin/bash ] …'`. kiln steps aside.

use std::ffi::{OsStr, OsString};
use std::path::Path;

/// Where a shell may be besides PATH; the last one is that of kaniko's debug image.
const PLACES: [&str; 2] = ["/bin/sh", "/busybox/sh"];

/// A shell to become.
#[derive(Debug, PartialEq, Eq)]
pub struct Shell {
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Programs to try, in this order.
    pub programs: Vec<OsString>,
}

impl Shell {
    /// What the process exits with where there is no shell, as shells do.
    pub const MISSING: u8 = 127;

    /// The shell that the first argument names, if it does.
    pub(super) fn wanted(args: &[OsString]) -> Option<Self> {
        let (first, rest) = args.split_first()?;
        let is_path = first.to_str()?.contains('/');
        let name = Path::new(first).file_name()?.to_str()?;
        // A relative path may be a context directory.
        let absolute = !is_path || Path::new(first).is_absolute();
        (["sh", "bash", "ash", "dash"].contains(&name) && absolute)
            .then(|| Self { args: rest.to_vec(), programs: programs(first, name) })
    }

    /// Why none of them could be started.
    pub fn missing(&self) -> String {
        let looked: Vec<_> = self.programs.iter().map(|path| path.to_string_lossy()).collect();
        format!(
            "there is no shell here: looked for {}; use an image that has one",
            looked.join(", ")
        )
    }
}

/// The one that was asked for; every job that asks for bash also runs in sh.
fn programs(typed: &OsStr, name: &str) -> Vec<OsString> {
    let mut programs = vec![typed.to_owned()];
    let beside = Path::new(typed).with_file_name("sh").into_os_string();
    let usual = PLACES.iter().map(OsString::from);
    for program in [OsString::from(name), beside, "sh".into()].into_iter().chain(usual) {
        if !programs.contains(&program) {
            programs.push(program);
        }
    }
    programs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_shell_is_a_shell() {
        let wanted = |line: &str| {
            let args: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            Shell::wanted(&args)
        };
        let shell = wanted("/bin/bash -c true").expect("a shell");
        assert_eq!(shell.args, ["-c", "true"]);
        assert_eq!(shell.programs, ["/bin/bash", "bash", "/bin/sh", "sh", "/busybox/sh"]);
        assert_eq!(wanted("sh").expect("a shell").programs, ["sh", "/bin/sh", "/busybox/sh"]);
        for line in ["build", "./sh", "x/bash", "--sh", "-c sh", "/bin/shred", ""] {
            assert_eq!(wanted(line), None, "{line}");
        }
    }
}
