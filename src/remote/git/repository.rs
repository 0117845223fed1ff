//! A repository's files at one commit, in a directory: with the program git where there is one, since it
//! knows more (filters of .gitattributes, servers of files only, ssh), else with kiln's own client.

use std::fs;
use std::path::{Path, PathBuf};

use super::auth::Remote;
use super::command::Git;
use super::own::{Done, Own};
use super::program::{Program, has_no_helper};
use super::reference::{GitReference, MTime};
use super::resolve::{Wanted, is_commit};
use super::settle::{Settle, settle};
use super::trust::Trust;
use crate::context::leads_out;
use crate::layer::Kind;
use crate::remote::{Fetcher, RemoteError, is_http, without_secrets};
use crate::rootfs::{Root, resolve as follow};

/// A repository that was fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkout {
    /// The directory of the files, with `.git` if it was to stay. Links in it may lead anywhere.
    pub dir: PathBuf,
    /// The whole name of the commit.
    pub commit: String,
    /// What the user should know of it, in sentences.
    pub notes: Vec<String>,
}

/// What is to be fetched, and where to.
#[derive(Debug)]
pub(super) struct Job<'a> {
    pub(super) reference: &'a GitReference,
    /// The repository, without secrets.
    pub(super) shown: String,
    /// Whether `.git` stays.
    pub(super) keep: bool,
    /// The directory of the files.
    pub(super) into: &'a Path,
}

/// An attempt that failed.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) error: RemoteError,
    /// Whether another one may succeed.
    pub(super) passing: bool,
}

impl From<RemoteError> for Attempt {
    fn from(error: RemoteError) -> Self {
        Self { error, passing: false }
    }
}

impl Fetcher {
    /// Fetches a repository's files at what the reference names, into an empty directory. With
    /// `keep`, and without a subdirectory, `.git` stays beside them, with this one commit in it.
    /// `progress` hears of bytes, where kiln fetches them itself.
    ///
    /// Files have mode 0644 or 0755, directories 0755; their times are those of now, or of the
    /// commit. Submodules are fetched unless the reference says otherwise. What fails for a reason that
    /// may pass is tried again.
    ///
    /// # Errors
    /// A repository that cannot be read or does not have what is asked for, or no git where an address
    /// needs it.
    pub fn repository(
        &self,
        reference: &GitReference,
        keep: bool,
        into: &Path,
        progress: &dyn Fn(u64, Option<u64>),
    ) -> Result<Checkout, RemoteError> {
        let shown = without_secrets(&reference.remote);
        let subdir = reference.subdir.as_deref().map(|dir| dir.trim_matches('/'));
        let subdir = subdir.filter(|dir| !dir.is_empty() && *dir != ".");
        let job = Job { reference, shown, keep: keep && subdir.is_none(), into };
        let remote = self.authorized(&reference.address());
        let mut first = true;
        let done = self.client.again(
            |attempt: &Attempt| attempt.passing,
            || {
                if !std::mem::take(&mut first) {
                    job.start_over()?;
                }
                self.attempt(&job, &remote, progress)
            },
        );
        let done = done.map_err(|attempt| attempt.error)?;
        let time = done.time.filter(|_| reference.mtime == Some(MTime::Commit));
        settle(into, &Settle { keep: job.keep, time })?;
        let dir = match subdir {
            Some(subdir) => job.directory(subdir)?,
            None => into.to_owned(),
        };
        Ok(Checkout { dir, commit: done.commit, notes: done.notes })
    }

    fn attempt(
        &self,
        job: &Job<'_>,
        remote: &Remote,
        progress: &dyn Fn(u64, Option<u64>),
    ) -> Result<Done, Attempt> {
        let Some(program) = Git::program(&self.git) else {
            if is_http(&remote.url) {
                return Own::new(self, job, progress).all(remote);
            }
            return Err(RemoteError::NoGit { remote: job.shown.clone() }.into());
        };
        let hosts = job.into.with_extension("known_hosts");
        let trust = Trust::new(&self.client, &remote.url, &job.shown, job.into)?;
        let settings = &self.git;
        let git =
            Git::new(program, settings, remote, &trust, job.into, hosts.clone(), &self.cancel);
        let done = Program { git, job, url: &remote.url }.all();
        // ssh notes there whom it has met.
        _ = fs::remove_file(hosts);
        match done {
            Err(Attempt { error: RemoteError::Git { said, .. }, .. })
                if is_http(&remote.url) && has_no_helper(&said) =>
            {
                job.start_over()?;
                Own::new(self, job, progress).all(remote)
            }
            done => done,
        }
    }
}

impl Job<'_> {
    /// The commit, if it is wanted whatever the reference means now.
    pub(super) fn by_commit(&self) -> Result<Option<Wanted>, RemoteError> {
        let GitReference { checksum, fetch_by_commit, .. } = self.reference;
        if !fetch_by_commit {
            return Ok(None);
        }
        match checksum.as_deref().filter(|name| is_commit(name)) {
            Some(commit) => Ok(Some(Wanted::Commit(commit.to_owned()))),
            None => Err(RemoteError::Git {
                action: "fetch remote",
                remote: self.shown.clone(),
                said: "fetch-by-commit needs a checksum that is the whole name of the commit"
                    .into(),
            }),
        }
    }

    /// Compares what came with what was to come.
    pub(super) fn check(&self, named: &str, commit: &str) -> Result<(), RemoteError> {
        let Some(expected) = &self.reference.checksum else { return Ok(()) };
        if commit.starts_with(expected.as_str()) || named.starts_with(expected.as_str()) {
            return Ok(());
        }
        let found =
            if named == commit { commit.to_owned() } else { format!("{named} or {commit}") };
        Err(RemoteError::Commit { expected: expected.clone(), found })
    }

    pub(super) fn no_ref(&self, reference: &str) -> RemoteError {
        let short = reference.len() >= 7 && reference.bytes().all(|b| b.is_ascii_hexdigit());
        let hint = match short {
            true => "neither a branch nor a tag of that name; a commit needs all its 40 digits",
            false => "neither a branch nor a tag of that name",
        };
        missing(reference, &self.shown, hint)
    }

    /// Where files may be for a while.
    pub(super) fn beside(&self) -> &Path {
        self.into.parent().unwrap_or(self.into)
    }

    /// Empties the directory.
    fn start_over(&self) -> Result<(), RemoteError> {
        fs::remove_dir_all(self.into)
            .and_then(|()| fs::create_dir(self.into))
            .map_err(RemoteError::io("empty", self.into))
    }

    /// Links are followed, but not out of the repository.
    fn directory(&self, subdir: &str) -> Result<PathBuf, RemoteError> {
        let missing =
            || RemoteError::NoDirectory { remote: self.shown.clone(), subdir: subdir.to_owned() };
        if leads_out(Path::new(subdir)) {
            return Err(missing());
        }
        let root = Root::open(self.into).map_err(|_| missing())?;
        let found = follow(&root, Path::new(subdir), true).map_err(|_| missing())?;
        let is_dir = found.entry.as_ref().is_some_and(|entry| entry.kind == Kind::Dir);
        if is_dir { Ok(self.into.join(found.path)) } else { Err(missing()) }
    }
}

/// A repository has no such commit; `place` says which repository.
pub(super) fn no_commit(commit: &str, place: &str) -> RemoteError {
    missing(commit, place, "no commit of that name on a branch or tag")
}

fn missing(reference: &str, place: &str, hint: &str) -> RemoteError {
    RemoteError::NoRef {
        reference: reference.to_owned(),
        remote: place.to_owned(),
        hint: hint.to_owned(),
    }
}
