//! A repository's files at one commit, in a directory.

use std::fs;
use std::path::{Path, PathBuf};

use super::command::{Failed, Git};
use super::reference::{GitReference, MTime};
use super::resolve::{Wanted, is_commit, resolve};
use super::settle::{Settle, settle};
use crate::layer::Kind;
use crate::remote::{Fetcher, RemoteError};
use crate::rootfs::{Root, resolve as follow};

/// What a server says that sends no single commits, or no history without its past (dumb HTTP).
const TRY_ALL: [&str; 4] = ["not our ref", "unadvertised object", "shallow", "--depth"];

/// A repository that was fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkout {
    /// The directory of the files, with `.git` if it was to stay. Links in it may lead anywhere.
    pub dir: PathBuf,
    /// The whole name of the commit.
    pub commit: String,
}

impl Fetcher {
    /// Fetches a repository's files at what the reference names, into an empty directory. With
    /// `keep`, and without a subdirectory, `.git` stays beside them, with this one commit in it.
    ///
    /// Files have mode 0644 or 0755, directories 0755; their times are those of now, or of the
    /// commit. Submodules are fetched unless the reference says otherwise.
    ///
    /// # Errors
    /// A repository that cannot be read or does not have what is asked for, or no git.
    pub fn repository(
        &self,
        reference: &GitReference,
        keep: bool,
        into: &Path,
    ) -> Result<Checkout, RemoteError> {
        let shown = crate::remote::without_secrets(&reference.remote);
        let remote = self.authorized(&reference.address());
        let hosts = into.with_extension("known_hosts");
        let git = Git::find(&self.git, &remote, into, hosts.clone(), &self.cancel)
            .ok_or_else(|| RemoteError::NoGit { remote: shown.clone() })?;
        let fetch = Fetch { git, reference, shown, url: &remote.url };
        let done = fetch.all(keep, into);
        // ssh notes there whom it has met.
        _ = fs::remove_file(hosts);
        done
    }
}

struct Fetch<'a> {
    git: Git<'a>,
    reference: &'a GitReference,
    /// The repository, without secrets.
    shown: String,
    url: &'a str,
}

impl Fetch<'_> {
    fn all(&self, keep: bool, into: &Path) -> Result<Checkout, RemoteError> {
        let wanted = self.wanted()?;
        self.start(&wanted)?;
        let commit = self.fetch(&wanted)?;
        self.run("checkout remote", &["checkout", "--quiet", "--detach", &commit])?;
        if self.reference.submodules != Some(false) {
            let update = ["submodule", "--quiet", "update", "--init", "--recursive", "--depth=1"];
            self.run("update submodules for", &update)?;
        }
        let time = match self.reference.mtime {
            Some(MTime::Commit) => Some(self.commit_time(&commit)?),
            Some(MTime::Checkout) | None => None,
        };
        let subdir = self.reference.subdir.as_deref().map(|dir| dir.trim_matches('/'));
        let subdir = subdir.filter(|dir| !dir.is_empty() && *dir != ".");
        let keep = keep && subdir.is_none();
        if keep {
            self.tidy(into)?;
        }
        settle(into, &Settle { keep, time })?;
        let dir = match subdir {
            Some(subdir) => self.directory(into, subdir)?,
            None => into.to_owned(),
        };
        Ok(Checkout { dir, commit })
    }

    /// What is to be fetched. Where the commit itself is wanted, nobody asks what the name means.
    fn wanted(&self) -> Result<Wanted, RemoteError> {
        let GitReference { reference, checksum, fetch_by_commit, .. } = self.reference;
        if *fetch_by_commit {
            return match checksum.as_deref().filter(|name| is_commit(name)) {
                Some(commit) => Ok(Wanted::Commit(commit.to_owned())),
                None => Err(RemoteError::Git {
                    action: "fetch remote",
                    remote: self.shown.clone(),
                    said: "fetch-by-commit needs a checksum that is the whole name of the commit"
                        .into(),
                }),
            };
        }
        let found = resolve(&self.git, self.url, reference.as_deref());
        let found = found.map_err(|failed| self.failed("fetch remote", failed))?;
        found.ok_or_else(|| self.no_ref(reference.as_deref().unwrap_or("HEAD")))
    }

    fn no_ref(&self, reference: &str) -> RemoteError {
        let short = reference.len() >= 7 && reference.bytes().all(|b| b.is_ascii_hexdigit());
        let hint = match short {
            true => "neither a branch nor a tag of that name; a commit needs all its 40 digits",
            false => "neither a branch nor a tag of that name",
        };
        RemoteError::NoRef {
            reference: reference.to_owned(),
            remote: self.shown.clone(),
            hint: hint.to_owned(),
        }
    }

    fn start(&self, wanted: &Wanted) -> Result<(), RemoteError> {
        let format = match wanted.has_long_names() {
            true => "--object-format=sha256",
            false => "--object-format=sha1",
        };
        self.run("fetch remote", &["init", "--quiet", format])?;
        self.run("fetch remote", &["remote", "add", "origin", self.url]).map(drop)
    }

    /// Fetches, and checks what came; the commit's name.
    fn fetch(&self, wanted: &Wanted) -> Result<String, RemoteError> {
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
        let Some(expected) = &self.reference.checksum else { return Ok(commit) };
        if commit.starts_with(expected.as_str()) || named.starts_with(expected.as_str()) {
            return Ok(commit);
        }
        let found = if named == commit { commit } else { format!("{named} or {commit}") };
        Err(RemoteError::Commit { expected: expected.clone(), found })
    }

    fn name_of(&self, object: &str) -> Result<String, RemoteError> {
        let args = ["rev-parse", "--verify", "--quiet", "--end-of-options", object];
        match self.git.run(&args) {
            Ok(name) => Ok(name.trim().to_owned()),
            Err(Failed::Broken(error)) => Err(error),
            Err(Failed::Said(_)) => Err(self.no_ref(object)),
        }
    }

    /// Seconds since 1970.
    fn commit_time(&self, commit: &str) -> Result<i64, RemoteError> {
        let said = self.run("read the commit of", &["show", "-s", "--format=%ct", commit, "--"])?;
        said.trim().parse().map_err(|_| RemoteError::Git {
            action: "read the commit of",
            remote: self.shown.clone(),
            said: "it has no time".into(),
        })
    }

    /// Takes out of `.git` what tells of this machine and this hour.
    fn tidy(&self, into: &Path) -> Result<(), RemoteError> {
        self.run("tidy", &["reflog", "expire", "--all", "--expire=now"])?;
        for name in ["FETCH_HEAD", "ORIG_HEAD"] {
            let path = into.join(".git").join(name);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(RemoteError::io("remove", path)(error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Links are followed, but not out of the repository.
    fn directory(&self, top: &Path, subdir: &str) -> Result<PathBuf, RemoteError> {
        let missing =
            || RemoteError::NoDirectory { remote: self.shown.clone(), subdir: subdir.to_owned() };
        let root = Root::open(top).map_err(|_| missing())?;
        let found = follow(&root, Path::new(subdir), true).map_err(|_| missing())?;
        let is_dir = found.entry.as_ref().is_some_and(|entry| entry.kind == Kind::Dir);
        if is_dir { Ok(top.join(found.path)) } else { Err(missing()) }
    }

    fn run(&self, action: &'static str, args: &[&str]) -> Result<String, RemoteError> {
        self.git.run(args).map_err(|failed| self.failed(action, failed))
    }

    fn failed(&self, action: &'static str, failed: Failed) -> RemoteError {
        let said = match failed {
            Failed::Broken(error) => return error,
            Failed::Said(said) => said,
        };
        let remote = self.shown.clone();
        let help = if said.contains("terminal prompts disabled") || said.contains("403") {
            ". The server wants other credentials; kiln shows it the secret GIT_AUTH_TOKEN or \
             GIT_AUTH_HEADER"
        } else if said.contains("Permission denied (publickey") {
            ". kiln offers the keys of the agent at SSH_AUTH_SOCK, and no others"
        } else if said.contains("transport 'file' not allowed")
            || said.contains("transport 'ext' not allowed")
        {
            ". Only http, https, ssh and git are fetched, in submodules as well"
        } else {
            ""
        };
        RemoteError::Git { action, remote, said: format!("{said}{help}") }
    }
}
