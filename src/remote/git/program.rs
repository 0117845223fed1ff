//! A repository's files at one commit, with the `git` of this machine.

use std::fs;

use super::command::{Failed, Git};
use super::own::Done;
use super::reference::MTime;
use super::repository::{Attempt, Job};
use super::resolve::{Wanted, resolve};
use crate::remote::RemoteError;

/// What a server says that sends no single commits, or no history without its past (dumb HTTP).
const TRY_ALL: [&str; 4] = ["not our ref", "unadvertised object", "shallow", "--depth"];
/// What git says when a server could not be reached, or broke off; and the statuses that pass.
const PASSING: [&str; 18] = [
    "Could not resolve host",
    "Temporary failure in name resolution",
    "Connection refused",
    "Connection reset",
    "Connection timed out",
    "Failed to connect",
    "Operation too slow",
    "Empty reply from server",
    "unexpected disconnect",
    "early EOF",
    "transfer closed",
    "GnuTLS recv error",
    "Recv failure",
    "returned error: 429",
    "returned error: 500",
    "returned error: 502",
    "returned error: 503",
    "returned error: 504",
];

/// Fetching with the program.
pub(super) struct Program<'a> {
    pub(super) git: Git<'a>,
    pub(super) job: &'a Job<'a>,
    pub(super) url: &'a str,
}

impl Program<'_> {
    /// Fetches, and checks out into the empty directory of the job.
    pub(super) fn all(&self) -> Result<Done, Attempt> {
        let wanted = self.wanted()?;
        self.start(&wanted)?;
        let commit = self.fetch(&wanted)?;
        self.run("checkout remote", &["checkout", "--quiet", "--detach", &commit])?;
        if self.job.reference.submodules != Some(false) {
            let update = ["submodule", "--quiet", "update", "--init", "--recursive", "--depth=1"];
            self.run("update submodules for", &update)?;
        }
        let time = match self.job.reference.mtime {
            Some(MTime::Commit) => Some(self.commit_time(&commit)?),
            Some(MTime::Checkout) | None => None,
        };
        if self.job.keep {
            self.tidy()?;
        }
        Ok(Done { commit, time, notes: Vec::new() })
    }

    /// What is to be fetched. Where the commit itself is wanted, nobody asks what the name means.
    fn wanted(&self) -> Result<Wanted, Attempt> {
        if let Some(wanted) = self.job.by_commit()? {
            return Ok(wanted);
        }
        let name = self.job.reference.reference.as_deref();
        let found = resolve(&self.git, self.url, name);
        let found = found.map_err(|failed| self.failed("fetch remote", failed))?;
        found.ok_or_else(|| self.job.no_ref(name.unwrap_or("HEAD")).into())
    }

    fn start(&self, wanted: &Wanted) -> Result<(), Attempt> {
        let format = match wanted.has_long_names() {
            true => "--object-format=sha256",
            false => "--object-format=sha1",
        };
        self.run("fetch remote", &["init", "--quiet", format])?;
        self.run("fetch remote", &["remote", "add", "origin", self.url]).map(drop)
    }

    /// Fetches, and checks what came; the commit's name.
    fn fetch(&self, wanted: &Wanted) -> Result<String, Attempt> {
        let (spec, object) = match wanted {
            Wanted::Ref { name, .. } => (format!("+{name}:{name}"), name),
            Wanted::Commit(name) => (name.clone(), name),
        };
        let mut args =
            vec!["fetch", "--quiet", "--no-tags", "--update-head-ok", "--depth=1", "origin", &spec];
        match self.git.run(&args) {
            Err(Failed::Said(said)) if TRY_ALL.iter().any(|words| said.contains(words)) => {
                args.retain(|arg| *arg != "--depth=1");
                if let Wanted::Commit(_) = wanted {
                    args.truncate(args.len() - 1);
                    args.extend([
                        "+refs/heads/*:refs/remotes/origin/*",
                        "+refs/tags/*:refs/tags/*",
                    ]);
                }
                self.run("fetch remote", &args)?;
            }
            outcome => {
                outcome.map_err(|failed| self.failed("fetch remote", failed))?;
            }
        }
        let named = self.name_of(object)?;
        let commit = self.name_of(&format!("{object}^{{commit}}"))?;
        self.job.check(&named, &commit)?;
        Ok(commit)
    }

    fn name_of(&self, object: &str) -> Result<String, Attempt> {
        let args = ["rev-parse", "--verify", "--quiet", "--end-of-options", object];
        match self.git.run(&args) {
            Ok(name) => Ok(name.trim().to_owned()),
            Err(Failed::Broken(error)) => Err(error.into()),
            Err(Failed::Said(_)) => Err(self.job.no_ref(object).into()),
        }
    }

    /// Seconds since 1970.
    fn commit_time(&self, commit: &str) -> Result<i64, Attempt> {
        let said = self.run("read the commit of", &["show", "-s", "--format=%ct", commit, "--"])?;
        let no_time = |_| RemoteError::Git {
            action: "read the commit of",
            remote: self.job.shown.clone(),
            said: "it has no time".into(),
        };
        Ok(said.trim().parse().map_err(no_time)?)
    }

    /// Takes out of `.git` what tells of this machine and this hour.
    fn tidy(&self) -> Result<(), Attempt> {
        self.run("tidy", &["reflog", "expire", "--all", "--expire=now"])?;
        for name in ["FETCH_HEAD", "ORIG_HEAD"] {
            let path = self.job.into.join(".git").join(name);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(RemoteError::io("remove", path)(error).into());
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn run(&self, action: &'static str, args: &[&str]) -> Result<String, Attempt> {
        self.git.run(args).map_err(|failed| self.failed(action, failed))
    }

    fn failed(&self, action: &'static str, failed: Failed) -> Attempt {
        let said = match failed {
            Failed::Broken(error) => return error.into(),
            Failed::Said(said) => said,
        };
        let remote = self.job.shown.clone();
        let passing = PASSING.iter().any(|words| said.contains(words));
        let help = if has_no_helper(&said) {
            ". This git comes without its helper for http and https: install all of git where kiln runs"
        } else if said.contains("terminal prompts disabled") || said.contains("403") {
            ". The server wants other credentials; kiln shows it the secret GIT_AUTH_TOKEN or \
             GIT_AUTH_HEADER"
        } else if said.contains("Permission denied (publickey") {
            ". kiln offers the keys of the agent at SSH_AUTH_SOCK, and no others"
        } else if said.contains("transport 'file' not allowed")
            || said.contains("transport 'ext' not allowed")
        {
            ". Only http, https, ssh and git are fetched, in submodules as well"
        } else if said.contains("cannot run ssh") || said.contains("ssh: not found") {
            ". There is no ssh in PATH: install it where kiln runs, or write an https address, for a \
             private repository with the secret GIT_AUTH_TOKEN"
        } else if said.contains("Host key verification failed") {
            ". Its key is another than the one in ~/.ssh/known_hosts or /etc/ssh/ssh_known_hosts"
        } else {
            ""
        };
        let error = RemoteError::Git { action, remote, said: format!("{said}{help}") };
        Attempt { error, passing }
    }
}

/// Whether git says that its own program for http and https is missing, as in small images that have
/// only the one file `git`.
pub(super) fn has_no_helper(said: &str) -> bool {
    let unknown = ["'remote-http' is not a git command", "'remote-https' is not a git command"];
    let missing = ["remote helper for 'http'", "remote helper for 'https'"];
    unknown.iter().chain(&missing).any(|words| said.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_git_without_its_helper_is_known_by_its_words() {
        for (said, is_it) in [
            ("git: 'remote-https' is not a git command. See 'git --help'.", true),
            ("git: 'remote-http' is not a git command. See 'git --help'.", true),
            ("fatal: Unable to find remote helper for 'https'", true),
            ("fatal: Unable to find remote helper for 'ext'", false),
            ("fatal: unable to access 'https://h/': Could not resolve host: h", false),
        ] {
            assert_eq!(has_no_helper(said), is_it, "{said}");
        }
    }
}
