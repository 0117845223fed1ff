//! kiln's own client for git over http and https, for where there is no program: one commit, without
//! its past, into a directory.
//!
//! | module | job |
//! |---|---|
//! | `transport`, `protocol`, `pkt` | from addresses to a pack: HTTP, the talk, its lines |
//! | `pack`, `delta`, `content`, `objects` | from a pack to objects: reading, resolving, finding |
//! | `id`, `tree` | what objects are called, and what they say |
//! | `checkout` | from objects to a directory |
//! | `modules`, `submodules` | repositories within |
//! | `git_dir` | `.git`, for who wants it |
//! | `budget` | what all of it may cost |
//! | `wrong` | what goes wrong |
//! | `testing` | a way in for tests |
//!
//! Everything that a server sends is a stranger's: an object is looked up by the SHA-1 of what came, so
//! that it is what the commit's name stands for; sizes, numbers and depths have limits; what is large
//! is in files. The pack is read once as it comes, and then by places.

mod budget;
mod checkout;
mod content;
mod delta;
mod git_dir;
mod id;
mod modules;
mod objects;
mod pack;
mod pkt;
mod protocol;
mod submodules;
pub mod testing;
#[cfg(test)]
mod tests;
mod transport;
mod tree;
mod wrong;

use std::cell::Cell;
use std::path::Path;
use std::rc::Rc;

use self::budget::Budget;
use self::git_dir::GitDir;
use self::id::{Id, Kind};
use self::objects::{Objects, pack_file};
use self::protocol::Session;
use self::wrong::{Wrong, unusable, words};
use super::auth::Remote;
use super::repository::{Attempt, Job, no_commit};
use super::resolve::{Wanted, candidates, choose, head_of, is_commit};
use crate::registry::RegistryError;
use crate::remote::{Fetcher, RemoteError};
use crate::rootfs::Root;

/// Tags that lead to tags.
const TAGS_MAX: usize = 16;
/// What a server says that gives out no single commits; the last is JGit's (`want … not valid`).
const NOT_ALONE: [&str; 3] = ["not our ref", "unadvertised object", "not valid"];

/// Fetching with kiln's own means.
pub(super) struct Own<'a> {
    pub(super) fetcher: &'a Fetcher,
    pub(super) job: &'a Job<'a>,
    /// Hears of bytes that came.
    pub(super) progress: &'a dyn Fn(u64, Option<u64>),
    /// Bytes of packs that are complete.
    received: Cell<u64>,
    /// Submodules so far.
    modules: Cell<usize>,
    budget: Rc<Budget>,
}

/// A repository at one commit.
struct Got {
    objects: Objects,
    pack: tempfile::NamedTempFile,
    /// As the server calls what was asked for: a tag's own name, if it is one.
    named: Id,
    commit: Id,
    tree: Id,
    time: Option<i64>,
    refs: Vec<(String, String)>,
    shallow: Vec<Id>,
}

/// What is known after everything is in its place.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) commit: String,
    /// Seconds since 1970.
    pub(super) time: Option<i64>,
    /// What was left undone, in sentences.
    pub(super) notes: Vec<String>,
}

impl<'a> Own<'a> {
    pub(super) fn new(
        fetcher: &'a Fetcher,
        job: &'a Job<'a>,
        progress: &'a dyn Fn(u64, Option<u64>),
    ) -> Self {
        Self {
            fetcher,
            job,
            progress,
            received: Cell::default(),
            modules: Cell::default(),
            budget: Rc::default(),
        }
    }

    /// Fetches, and checks out into the empty directory of the job.
    pub(super) fn all(&self, remote: &Remote) -> Result<Done, Attempt> {
        self.run(remote).map_err(|wrong| self.failed("fetch remote", "", wrong))
    }

    fn run(&self, remote: &Remote) -> Result<Done, Wrong> {
        let session = self.open(remote)?;
        let wanted = self.wanted(&session)?;
        let got = self.get(&session, &wanted, &self.job.shown)?;
        self.job.check(&got.named.to_string(), &got.commit.to_string())?;
        let (commit, time) = (got.commit.to_string(), got.time);
        let into = self.job.into;
        let root = Root::open(into)
            .map_err(|error| Wrong::Ours(RemoteError::io("check out into", into)(error.into())))?;
        let notes = self.unfold(got, remote, remote, &root, Path::new(""), 0)?;
        Ok(Done { commit, time, notes })
    }

    fn open(&self, remote: &Remote) -> Result<Session<'a>, Wrong> {
        Session::open(&self.fetcher.client, &remote.url, remote.authorization.as_ref())
    }

    fn wanted(&self, session: &Session<'_>) -> Result<Wanted, Wrong> {
        if let Some(wanted) = self.job.by_commit()? {
            return Ok(wanted);
        }
        let name = self.job.reference.reference.as_deref().filter(|name| *name != "HEAD");
        let found = match name {
            Some(name) if is_commit(name) => Some(Wanted::Commit(name.to_owned())),
            Some(name) => choose(name, &session.refs(&candidates(name))?),
            None => head_of(&session.refs(&["HEAD".to_owned()])?),
        };
        found.ok_or_else(|| self.job.no_ref(name.unwrap_or("HEAD")).into())
    }

    /// Receives what is wanted: alone if the server can, else out of all branches and tags. `place` says
    /// which repository it is.
    fn get(&self, session: &Session<'_>, wanted: &Wanted, place: &str) -> Result<Got, Wrong> {
        let (object, mut refs) = match wanted {
            Wanted::Ref { name, object } => (object, vec![(name.clone(), object.clone())]),
            Wanted::Commit(object) => (object, Vec::new()),
        };
        let Some(named) = Id::parse(object) else {
            return unusable(format!(
                "{object} is a name by SHA-256, which kiln reads with the program git: install git \
                 where kiln runs"
            ));
        };
        let ((mut objects, pack), shallow) =
            match self.receive(session, std::slice::from_ref(object), true) {
                Err(Wrong::Refused(said))
                    if refs.is_empty() && NOT_ALONE.iter().any(|words| said.contains(words)) =>
                {
                    refs = everything(session)?;
                    let mut wants: Vec<String> = refs.iter().map(|(_, id)| id.clone()).collect();
                    wants.sort_unstable();
                    wants.dedup();
                    if wants.is_empty() {
                        return Err(Wrong::Refused(said));
                    }
                    self.receive(session, &wants, false)?
                }
                outcome => outcome?,
            };
        let (commit, tree, time) = opened(&mut objects, named, place)?;
        Ok(Got { objects, pack, named, commit, tree, time, refs, shallow })
    }

    fn receive(
        &self,
        session: &Session<'_>,
        wants: &[String],
        alone: bool,
    ) -> Result<((Objects, tempfile::NamedTempFile), Vec<Id>), Wrong> {
        let (shallow, pack) = session.fetch(wants, alone)?;
        let before = self.received.get();
        let progress = |bytes| {
            self.received.set(before + bytes);
            (self.progress)(before + bytes, None);
        };
        let received = self.store(pack, &progress)?;
        Ok((received, shallow))
    }

    /// Receives a pack into a file of its own.
    fn store(
        &self,
        pack: impl std::io::Read,
        progress: &dyn Fn(u64),
    ) -> Result<(Objects, tempfile::NamedTempFile), Wrong> {
        let dir = self.job.beside();
        let file = pack_file(dir)?;
        let out = file.reopen().map_err(RemoteError::io("open", file.path()))?;
        let (budget, cancel) = (self.budget.clone(), &self.fetcher.cancel);
        let objects = Objects::receive(pack, out, dir, budget, cancel, progress)?;
        Ok((objects, file))
    }

    /// Checks out, with submodules and `.git` as the job says. `top` is where, in the root.
    fn unfold(
        &self,
        mut got: Got,
        remote: &Remote,
        first: &Remote,
        root: &Root,
        top: &Path,
        depth: usize,
    ) -> Result<Vec<String>, Wrong> {
        let out = checkout::check_out(&mut got.objects, got.tree, root, top, self.job.keep)?;
        let mut notes = Vec::new();
        if !out.beyond.is_empty() {
            notes.push(format!(
                "{}: .gitattributes wants {} of files, which only the program git does: they are as \
                 they are stored. Install git where kiln runs if that matters",
                crate::remote::without_secrets(&remote.url),
                out.beyond.join(", ")
            ));
        }
        let mut modules = Vec::new();
        if self.job.reference.submodules != Some(false) {
            let within = submodules::Within { own: self, remote, first, root, top, depth };
            modules = within.fetch(&out, &mut notes)?;
        }
        if self.job.keep {
            let (commit, dir) = (got.commit.to_string(), self.job.into.join(top));
            let git = GitDir {
                url: &remote.url,
                commit: &commit,
                refs: &got.refs,
                shallow: &got.shallow,
                made: &out.made,
                modules: &modules,
            };
            git.write(&dir, &got.objects, got.pack)?;
        }
        Ok(notes)
    }

    /// The same as a failure of the job; `of` names a submodule, and ends with a colon and a blank.
    fn failed(&self, action: &'static str, of: &str, wrong: Wrong) -> Attempt {
        let passing = wrong.may_pass();
        let error = match wrong {
            Wrong::Ours(error) | Wrong::Later(error) => error,
            Wrong::Http(RegistryError::Cancelled(stop)) => stop.into(),
            wrong => {
                let said = format!("{of}{}", words(wrong));
                RemoteError::Git { action, remote: self.job.shown.clone(), said }
            }
        };
        Attempt { error, passing }
    }
}

/// What a name stands for: the commit, through tags; its tree, and its time.
fn opened(objects: &mut Objects, named: Id, place: &str) -> Result<(Id, Id, Option<i64>), Wrong> {
    let mut commit = named;
    for _ in 0..TAGS_MAX {
        match objects.find(&commit) {
            None if commit == named => return Err(no_commit(&named.to_string(), place).into()),
            Some((_, Kind::Tag)) => {
                let content = objects.small(&commit, Kind::Tag)?;
                commit = tree::tag(content.bytes().unwrap_or_default())?.0;
            }
            _ => break,
        }
    }
    let content = objects.small(&commit, Kind::Commit)?;
    let tree::Commit { tree, time } = tree::commit(content.bytes().unwrap_or_default())?;
    Ok((commit, tree, time))
}

/// All branches and tags: under which name to keep them, and what they are.
fn everything(session: &Session<'_>) -> Result<Vec<(String, String)>, Wrong> {
    let refs = session.refs(&["refs/heads/".to_owned(), "refs/tags/".to_owned()])?;
    let kept = refs.into_iter().filter(|found| is_commit(&found.object)).filter_map(|found| {
        let branch = found.name.strip_prefix("refs/heads/");
        let name = match branch {
            Some(branch) => format!("refs/remotes/origin/{branch}"),
            None if found.name.starts_with("refs/tags/") => found.name,
            None => return None,
        };
        Some((name, found.object))
    });
    Ok(kept.collect())
}
