//! `RUN --mount`: what the Dockerfile asks for becomes what the sandbox is asked for.
//!
//! | module | job |
//! |---|---|
//! | `files` | `type=bind`: files of the context, a stage, an image |
//! | `laid` | a copy of such files in a directory of its own |
//! | `shelf` | what was made for one RUN and serves the next |
//! | `cache` | `type=cache`: directories that outlive a step, and who may use them |
//! | `upkeep` | how much such directories take, and less of it |
//! | `trips` | those that travel: brought here, saved |
//! | `lock` | locks on files, given up when the build stops |
//! | `secret` | `type=secret` |
//! | `agent` | `type=ssh`: a socket for one RUN, and what may be asked through it |

mod agent;
mod cache;
mod files;
mod laid;
mod lock;
mod secret;
mod shelf;
mod trips;
pub mod upkeep;

use std::path::Path;

use anyhow::Result;

use self::agent::Forwarded;
use self::cache::Held;
use super::copy::Foreign;
use super::workshop::Workshop;
use super::{Surroundings, source_of};
use crate::plan::{BindSource, FilesFrom, RunStep, StepMount};
use crate::sandbox::{Access, MountSource, RunMount};

pub use self::cache::Caches;
pub use self::shelf::Shelf;
pub use self::trips::{Travelling, bring_caches, note_platforms, save_caches};

/// The variable by which programs find an agent.
const AGENT: &str = "SSH_AUTH_SOCK";

/// What a RUN gets, as long as this value lives.
#[derive(Debug, Default)]
pub(super) struct Prepared {
    /// Outer ones first.
    pub(super) mounts: Vec<RunMount>,
    /// Variables; of those that the step has itself, only secrets are set anew.
    pub(super) env: Vec<(String, String)>,
    caches: Vec<Held>,
    agents: Vec<Forwarded>,
}

/// Makes everything ready that a RUN mounts. Waits for the stages that it takes files from, and for
/// others who use its caches.
pub(super) fn prepare(
    shop: &Workshop,
    step: &RunStep,
    around: &dyn Surroundings,
) -> Result<Prepared> {
    let mut ready = Prepared::default();
    // A stage may need a cache, so nobody waits for one while holding the other.
    let others = Others::wait(shop, step, around)?;
    ready.caches = cache::hold(shop, step, &others)?;
    for mount in &step.mounts {
        ready.add(shop, step, mount, &others)?;
    }
    // As in BuildKit, one that lies in another comes after it, whatever was written first.
    ready.mounts.sort_by(|a, b| a.target.cmp(&b.target));
    Ok(ready)
}

impl Prepared {
    /// The command has ended well.
    pub(super) fn succeeded(&self) {
        self.caches.iter().for_each(Held::succeeded);
    }

    fn add(
        &mut self,
        shop: &Workshop,
        step: &RunStep,
        mount: &StepMount,
        others: &Others,
    ) -> Result<()> {
        match mount {
            StepMount::Bind(bind) => {
                let access = if bind.read_only { Access::ReadOnly } else { Access::Discard };
                let source = files::shown(shop, bind, others)?;
                self.mount(&bind.target, source, access);
            }
            StepMount::Cache(cache) => {
                let access = if cache.read_only { Access::ReadOnly } else { Access::Keep };
                let source = MountSource::Path(cache::take(&mut self.caches, cache)?);
                self.mount(&cache.target, source, access);
            }
            StepMount::Tmpfs { target, size, read_only } => {
                let access = if *read_only { Access::ReadOnly } else { Access::Discard };
                self.mount(target, MountSource::Tmpfs { size: *size }, access);
            }
            StepMount::Script { target, text } => {
                let content = text.clone().into_bytes().into();
                let source = MountSource::File { content, mode: 0o755, uid: 0, gid: 0 };
                self.mount(target, source, Access::ReadOnly);
            }
            StepMount::Secret(secret) => {
                let Some(value) = secret::value(shop, secret)? else { return Ok(()) };
                if let Some(name) = &secret.env {
                    self.env.push((name.clone(), secret::text(secret, &value)?));
                }
                if let Some(target) = &secret.target {
                    let (mode, uid, gid) = (secret.mode, secret.uid, secret.gid);
                    let source = MountSource::File { content: value.into(), mode, uid, gid };
                    self.mount(target, source, Access::ReadOnly);
                }
            }
            StepMount::Ssh(ssh) => {
                let Some(forwarded) = agent::forward(shop, ssh)? else { return Ok(()) };
                let path = forwarded.socket().to_owned();
                let (mode, uid, gid) = (ssh.mode, ssh.uid, ssh.gid);
                self.mount(&ssh.target, MountSource::Socket { path, mode, uid, gid }, Access::Keep);
                self.agents.push(forwarded);
                let named = |(name, _): &(String, String)| name == AGENT;
                if !step.env.iter().chain(&self.env).any(named) {
                    self.env.push((AGENT.to_owned(), ssh.target.clone()));
                }
            }
        }
        Ok(())
    }

    fn mount(&mut self, target: &str, source: MountSource, access: Access) {
        self.mounts.push(RunMount { target: Path::new(target).to_owned(), source, access });
    }
}

/// The stages and images that a RUN's mounts take files from.
struct Others(Vec<(FilesFrom, Foreign)>);

impl Others {
    fn wait(shop: &Workshop, step: &RunStep, around: &dyn Surroundings) -> Result<Self> {
        let mut others: Vec<(FilesFrom, Foreign)> = Vec::new();
        for from in step.files_from() {
            if !others.iter().any(|(known, _)| known == from) {
                others.push((from.clone(), source_of(shop, from, around)?));
            }
        }
        Ok(Self(others))
    }

    /// Where the files are; nothing for the context.
    fn find(&self, from: &FilesFrom) -> Foreign {
        self.0.iter().find(|(known, _)| known == from).and_then(|(_, foreign)| foreign.clone())
    }

    /// What a source is by its content, and whose it is: the digests of its layers.
    fn identity(&self, source: &BindSource) -> String {
        let BindSource::Files(from) = source else { return "scratch".to_owned() };
        let Some((layers, _)) = self.find(from) else { return format!("{from:?}") };
        layers.iter().map(|layer| layer.diff_id.hex()).collect::<Vec<_>>().join(" ")
    }
}
