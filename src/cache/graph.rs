//! The keys of a whole plan, before anything runs.
//!
//! A RUN's key follows from the key before it, its words, its environment and what its mounts are; a
//! COPY's from what it copies, by content and mode; `COPY --from` from the other stage's key. What
//! cannot change a result is in none: how commands are isolated, proxies, the values of secrets, what
//! is in caches, times of files.

use std::collections::BTreeMap;
use std::fmt::Debug;

use super::key::{Input, Key, KeyMaker};
use super::record::About;
use super::state::Manner;
use super::tree::Fingerprint;
use crate::digest::Digest;
use crate::plan::{
    Action, Base, BindSource, CacheMount, CopySource, CopyStep, FilesFrom, ImageKey, Plan, RunStep,
    Stage, StageId, StepMount, WorkdirStep,
};

/// Files that are told one by one in an explanation; of more, their directories are.
const TOLD: usize = 200;

/// What is said of the whole build and can change the result of a step.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings {
    /// How layers are written: compression, its level, the latest time in them.
    pub layers: Vec<Input>,
    /// What commands get beside the Dockerfile's word: hosts, limits, the network.
    pub commands: Vec<Input>,
}

/// What keys need to know of files; asked once for each step.
pub trait Contents {
    /// Why not is for people: such a step has no key, and no result of it is kept.
    type Error: Debug + std::fmt::Display;

    /// What a copy takes from outside of the build: the context, named contexts, elsewhere.
    fn copied(&self, step: &CopyStep) -> Result<Vec<Fingerprint>, Self::Error>;

    /// What is at and below a path of the context or of a named context.
    fn shown(&self, from: &FilesFrom, source: &str) -> Result<Vec<Fingerprint>, Self::Error>;

    /// The files of an image.
    fn image(&self, key: &ImageKey) -> Result<Digest, Self::Error>;
}

/// The keys of one stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageKeys {
    /// Of what it starts from; nothing where something below has no key.
    pub start: Option<Key>,
    /// Of its steps.
    pub steps: Vec<StepKey>,
    /// Of its files when all is done.
    pub end: Option<Key>,
}

/// The key of one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepKey {
    /// How it changes files.
    pub manner: Manner,
    /// Nothing where it changes none, or where [`StepKey::unknown`] says why it has no key.
    pub key: Option<Key>,
    /// The step and its inputs, for people.
    pub about: About,
    /// The stages that it takes files from, each once.
    pub sources: Vec<StageId>,
    /// Why it has no key.
    pub unknown: Option<String>,
}

/// Computes the keys of all stages.
pub fn keys<C: Contents>(
    plan: &Plan,
    settings: &Settings,
    contents: &C,
) -> BTreeMap<StageId, StageKeys> {
    let mut done: BTreeMap<StageId, StageKeys> = BTreeMap::new();
    for stage in &plan.stages {
        let keys = Scribe { settings, contents, done: &done, stage }.stage();
        done.insert(stage.id, keys);
    }
    done
}

/// Writes the keys of one stage.
struct Scribe<'a, C> {
    settings: &'a Settings,
    contents: &'a C,
    done: &'a BTreeMap<StageId, StageKeys>,
    stage: &'a Stage,
}

/// Why a step has no key; a sentence.
type Unknown = String;

impl<C: Contents> Scribe<'_, C> {
    fn stage(&self) -> StageKeys {
        let start = self.start();
        let mut before = start.clone();
        let mut steps = Vec::new();
        for step in &self.stage.steps {
            let mut written = StepKey {
                manner: manner(&step.action),
                key: None,
                about: About { step: step.line.clone(), inputs: Vec::new() },
                sources: sources(&step.action),
                unknown: None,
            };
            if written.manner != Manner::Nothing {
                match self.step(&step.action, written.manner, &before) {
                    Ok((key, inputs)) => {
                        (written.key, written.about.inputs) = (Some(key), inputs);
                        before = before.map(|before| after(before, key));
                    }
                    Err(why) => {
                        before = Err("a step before it has no key".into());
                        written.unknown = Some(why);
                    }
                }
            }
            steps.push(written);
        }
        StageKeys { start: start.ok(), steps, end: before.ok() }
    }

    fn start(&self) -> Result<Key, Unknown> {
        let mut maker = KeyMaker::new("base");
        match &self.stage.base {
            Base::Scratch => {}
            Base::Stage(id) => return self.end_of(*id),
            Base::Image(image) => maker.input("image", self.image(image)?.hex()),
            Base::Named(name) => {
                let from = FilesFrom::Named(name.clone());
                add_files(&mut maker, &self.shown(&from, "/")?);
            }
        }
        Ok(maker.finish().0)
    }

    fn step(
        &self,
        action: &Action,
        manner: Manner,
        before: &Result<Key, Unknown>,
    ) -> Result<(Key, Vec<Input>), Unknown> {
        let mut maker = KeyMaker::new(match action {
            Action::Metadata | Action::Cached => "nothing",
            Action::Run(_) => "run",
            Action::Copy(_) => "copy",
            Action::Workdir(_) => "workdir",
        });
        if manner != Manner::Links {
            let name = match &self.stage.base {
                Base::Image(image) => format!("the base {} or a step before it", image.name),
                _ => "a step before it".to_owned(),
            };
            maker.input_called("below", name, before.clone()?.0.hex());
        }
        self.settings.layers.iter().for_each(|it| maker.input(&it.name, &it.value));
        match action {
            Action::Metadata | Action::Cached => {}
            Action::Run(run) => self.run(&mut maker, run)?,
            Action::Copy(copy) => self.copy(&mut maker, copy)?,
            Action::Workdir(WorkdirStep { path, user }) => {
                maker.input("the path", path);
                maker.input("USER", user);
            }
        }
        Ok(maker.finish())
    }

    fn run(&self, maker: &mut KeyMaker, run: &RunStep) -> Result<(), Unknown> {
        maker.input("the platform", self.stage.platform.to_string());
        maker.input("the command", framed(&run.args));
        for (name, value) in &run.env {
            maker.input(format!("the variable {name}"), value);
        }
        maker.input("WORKDIR", &run.cwd);
        maker.input("USER", &run.user);
        maker.input("--network", format!("{:?}", run.network));
        self.settings.commands.iter().for_each(|it| maker.input(&it.name, &it.value));
        run.mounts.iter().try_for_each(|mount| self.mount(maker, mount))
    }

    fn mount(&self, maker: &mut KeyMaker, mount: &StepMount) -> Result<(), Unknown> {
        match mount {
            StepMount::Bind(bind) => {
                let what = format!("the mount at {}", bind.target);
                maker.input(&what, framed(&["bind", &bind.source, yes(bind.read_only)]));
                self.bound(maker, &what, &bind.from, &bind.source)
            }
            StepMount::Cache(cache) => {
                // Not its name: what is in it is no input.
                let CacheMount { target, source, read_only, mode, uid, gid, .. } = cache;
                let what = format!("the cache at {target}");
                let owner = format!("{mode:?} {uid:?} {gid:?}");
                maker.input(&what, framed(&[source.as_str(), yes(*read_only), &owner]));
                match &cache.seed {
                    Some(seed) => self.bound(maker, &what, seed, source),
                    None => Ok(()),
                }
            }
            StepMount::Tmpfs { target, size, read_only } => {
                let size = format!("{size:?}");
                maker.input(format!("the tmpfs at {target}"), framed(&[&size, yes(*read_only)]));
                Ok(())
            }
            StepMount::Secret(secret) => {
                // Not its value.
                maker.input(format!("the secret {}", secret.id), format!("{secret:?}"));
                Ok(())
            }
            StepMount::Ssh(ssh) => {
                maker.input(format!("the agent {}", ssh.id), format!("{ssh:?}"));
                Ok(())
            }
            StepMount::Script { target, text } => {
                maker.input(format!("the script {target}"), text);
                Ok(())
            }
        }
    }

    fn bound(
        &self,
        maker: &mut KeyMaker,
        what: &str,
        from: &BindSource,
        source: &str,
    ) -> Result<(), Unknown> {
        match from {
            BindSource::Nothing => maker.input(what, "nothing"),
            BindSource::Files(from) => match from {
                FilesFrom::Context | FilesFrom::Named(_) => {
                    add_files(maker, &self.shown(from, source)?);
                }
                other => self.taken(maker, other)?,
            },
        }
        Ok(())
    }

    fn copy(&self, maker: &mut KeyMaker, copy: &CopyStep) -> Result<(), Unknown> {
        let CopyStep { is_add, sources, dest, chown, chmod, link, parents, exclude, .. } = copy;
        maker.input("the destination", dest);
        maker.input("--chown", framed_option(chown));
        maker.input("--chmod", framed_option(chmod));
        let unpack = format!("{:?}", copy.unpack);
        maker.input("the flags", framed(&[yes(*is_add), yes(*link), yes(*parents), &unpack]));
        maker.input("--exclude", framed(exclude));
        let inline = |source: &&CopySource| matches!(source, CopySource::Inline { .. });
        for source in sources.iter().filter(inline) {
            if let CopySource::Inline { name, body } = source {
                maker.input(format!("the heredoc {name}"), body);
            }
        }
        match &copy.from {
            FilesFrom::Context | FilesFrom::Named(_) => {
                let files = self.contents.copied(copy).map_err(|error| error.to_string())?;
                add_files(maker, &files);
            }
            other => {
                let paths = sources.iter().map(CopySource::shown);
                maker.input("the sources", framed(&paths.collect::<Vec<_>>()));
                self.taken(maker, other)?;
            }
        }
        Ok(())
    }

    /// What another stage or image has.
    fn taken(&self, maker: &mut KeyMaker, from: &FilesFrom) -> Result<(), Unknown> {
        match from {
            FilesFrom::Stage(id) => {
                let name = format!("the stage {}", id.0);
                maker.input_called("stage", name, self.end_of(*id)?.0.hex());
            }
            FilesFrom::Image(image) => {
                let name = format!("the image {}", image.name);
                maker.input_called("image", name, self.image(image)?.hex());
            }
            FilesFrom::Nothing => maker.input("scratch", ""),
            FilesFrom::Context | FilesFrom::Named(_) => {}
        }
        Ok(())
    }

    fn end_of(&self, id: StageId) -> Result<Key, Unknown> {
        let end = self.done.get(&id).and_then(|keys| keys.end);
        end.ok_or_else(|| "a step of the stage that it needs has no key".into())
    }

    fn image(&self, image: &ImageKey) -> Result<Digest, Unknown> {
        self.contents.image(image).map_err(|error| error.to_string())
    }

    fn shown(&self, from: &FilesFrom, source: &str) -> Result<Vec<Fingerprint>, Unknown> {
        self.contents.shown(from, source).map_err(|error| error.to_string())
    }
}

/// The key of the files after a step.
fn after(before: Key, step: Key) -> Key {
    let mut maker = KeyMaker::new("after");
    maker.input("", before.0.hex());
    maker.input("", step.0.hex());
    maker.finish().0
}

fn manner(action: &Action) -> Manner {
    match action {
        Action::Metadata | Action::Cached => Manner::Nothing,
        Action::Run(_) => Manner::Runs,
        Action::Workdir(_) => Manner::Copies,
        Action::Copy(copy) if copy.is_independent() => Manner::Links,
        Action::Copy(_) => Manner::Copies,
    }
}

fn sources(action: &Action) -> Vec<StageId> {
    let froms: Vec<&FilesFrom> = match action {
        Action::Metadata | Action::Cached | Action::Workdir(_) => Vec::new(),
        Action::Run(run) => run.files_from().collect(),
        Action::Copy(copy) => vec![&copy.from],
    };
    let mut stages = Vec::new();
    for from in froms {
        if let FilesFrom::Stage(id) = from
            && !stages.contains(id)
        {
            stages.push(*id);
        }
    }
    stages
}

/// Adds files, so that a difference can be told: each by its name, or many by their directories.
fn add_files(maker: &mut KeyMaker, files: &[Fingerprint]) {
    for (name, digest) in told(files) {
        maker.input(name, digest.hex());
    }
}

fn told(files: &[Fingerprint]) -> Vec<Fingerprint> {
    if files.len() <= TOLD {
        return files.iter().map(|(path, digest)| (format!("/{path}"), *digest)).collect();
    }
    let longest = files.iter().map(|(path, _)| path.split('/').count()).max().unwrap_or(1);
    let depths = (1..longest).rev();
    let grouped = depths.map(|depth| group(files, depth)).find(|groups| groups.len() <= TOLD);
    grouped.unwrap_or_else(|| group(files, 0))
}

/// Joins all below one directory that many levels down.
fn group(files: &[Fingerprint], depth: usize) -> Vec<Fingerprint> {
    let mut groups: Vec<(String, KeyMaker)> = Vec::new();
    for (path, digest) in files {
        let top: Vec<&str> = path.split('/').take(depth).collect();
        let name = format!("/{}", top.join("/"));
        if groups.last().is_none_or(|(last, _)| *last != name) {
            groups.push((name, KeyMaker::new("files")));
        }
        if let Some((_, maker)) = groups.last_mut() {
            maker.input(path, digest.hex());
        }
    }
    groups.into_iter().map(|(name, maker)| (name, maker.finish().0.0)).collect()
}

fn yes(is: bool) -> &'static str {
    if is { "yes" } else { "no" }
}

/// Texts one after the other, with their lengths, so that none can pass for two.
fn framed<T: AsRef<str>>(texts: &[T]) -> Vec<u8> {
    let frame = |text: &T| {
        let text = text.as_ref().as_bytes();
        [&(text.len() as u64).to_le_bytes()[..], text].concat()
    };
    texts.iter().flat_map(frame).collect()
}

fn framed_option(text: &Option<String>) -> Vec<u8> {
    framed(text.as_slice())
}
