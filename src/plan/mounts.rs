//! `RUN --mount`: values expanded, defaults filled in, targets made absolute.
//!
//! Source: BuildKit's frontend/dockerfile/dockerfile2llb/convert_runmount.go, convert_secrets.go and
//! convert_ssh.go.

use super::run_step::{BindMount, BindSource, CacheMount, SecretMount, SshMount, StepMount};
use super::steps::Draft;
use super::text::clean;
use super::transfer::named_in_from;
use crate::dockerfile::{Located, Mount, MountError, MountKind, Node, Permissions, Run};

/// What `from` may name beside stages and images: an empty root.
pub(super) const NOTHING: &str = "scratch";

/// Prefixes the names of all caches (a build argument of BuildKit's).
const CACHE_NAMESPACE: &str = "BUILDKIT_CACHE_MOUNT_NS";

/// Mode of a secret's file that does not say.
const SECRET_MODE: u32 = 0o400;
/// Mode of an agent's socket that does not say.
const SSH_MODE: u32 = 0o600;

/// The mounts of a RUN.
pub(super) fn mounts(draft: &Draft<'_>, run: &Run, node: &Node) -> Result<Vec<StepMount>, Located> {
    let mut all = Vec::new();
    for text in &run.mounts {
        let mount = Mount::parse(text, |word| draft.word(word, node).map_err(Failure::Word))
            .map_err(|failure| failure.located(draft, node))?;
        let agents = all.iter().filter(|mount| matches!(mount, StepMount::Ssh(_))).count();
        all.push(Making { draft, node, agents }.mount(mount)?);
    }
    Ok(all)
}

enum Failure {
    Word(Located),
    Mount(MountError),
}

impl From<MountError> for Failure {
    fn from(error: MountError) -> Self {
        Self::Mount(error)
    }
}

impl Failure {
    fn located(self, draft: &Draft<'_>, node: &Node) -> Located {
        match self {
            Self::Word(error) => error,
            Self::Mount(error) => draft.error(node, error.to_string()),
        }
    }
}

/// What one mount is seen from.
struct Making<'a> {
    draft: &'a Draft<'a>,
    node: &'a Node,
    /// How many agents the mounts before it have.
    agents: usize,
}

impl Making<'_> {
    fn mount(&self, mount: Mount) -> Result<StepMount, Located> {
        let Mount { target: written, read_only, kind } = mount;
        let target = |default: &str| self.target(written.as_deref().unwrap_or(default));
        Ok(match kind {
            MountKind::Bind { from, source } => StepMount::Bind(BindMount {
                target: target("")?,
                from: match from {
                    Some(word) => self.named(&word)?,
                    None => BindSource::Files(super::FilesFrom::Context),
                },
                source: inside(source.as_deref()),
                read_only,
            }),
            MountKind::Cache { id, from, source, sharing, permissions } => {
                let id = id.unwrap_or_else(|| go_clean(written.as_deref().unwrap_or_default()));
                let Permissions { mode, uid, gid } = permissions;
                StepMount::Cache(CacheMount {
                    target: target("")?,
                    id: format!("{}/{id}", self.cache_namespace()),
                    sharing,
                    seed: from.map(|word| self.named(&word)).transpose()?,
                    source: inside(source.as_deref()),
                    read_only,
                    mode,
                    uid,
                    gid,
                })
            }
            MountKind::Tmpfs { size } => StepMount::Tmpfs { target: target("")?, size, read_only },
            MountKind::Secret { id, env, required, permissions } => {
                let default = format!("/run/secrets/{}", base_name(&id));
                let is_file = env.is_none() || written.is_some();
                StepMount::Secret(SecretMount {
                    target: is_file.then(|| target(&default)).transpose()?,
                    id,
                    env,
                    required,
                    mode: permissions.mode.unwrap_or(SECRET_MODE),
                    uid: permissions.uid.unwrap_or_default(),
                    gid: permissions.gid.unwrap_or_default(),
                })
            }
            MountKind::Ssh { id, required, permissions } => StepMount::Ssh(SshMount {
                target: target(&format!("/run/buildkit/ssh_agent.{}", self.agents))?,
                id,
                required,
                mode: permissions.mode.unwrap_or(SSH_MODE),
                uid: permissions.uid.unwrap_or_default(),
                gid: permissions.gid.unwrap_or_default(),
            }),
        })
    }

    /// Seen from WORKDIR; not even `/` itself can be covered.
    fn target(&self, written: &str) -> Result<String, Located> {
        let target = match written.starts_with('/') {
            true => clean(written),
            false => clean(&format!("{}/{written}", self.draft.workdir_now())),
        };
        if target == "/" {
            return Err(self.draft.error(self.node, format!("invalid mount target {target:?}")));
        }
        Ok(target)
    }

    fn named(&self, word: &str) -> Result<BindSource, Located> {
        if word == NOTHING {
            return Ok(BindSource::Nothing);
        }
        named_in_from(self.draft, word, self.node).map(BindSource::Files)
    }

    fn cache_namespace(&self) -> &str {
        self.draft.inputs.args.get(CACHE_NAMESPACE).map_or("", String::as_str)
    }
}

/// A source, absolute and without a way out.
fn inside(source: Option<&str>) -> String {
    clean(source.unwrap_or("/"))
}

/// Go's path.Base of an id that is not empty.
fn base_name(id: &str) -> &str {
    id.trim_end_matches('/').rsplit('/').next().unwrap_or(id)
}

/// Go's path.Clean: a relative path stays relative, and an empty one is `.`.
fn go_clean(path: &str) -> String {
    if path.starts_with('/') {
        return clean(path);
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => _ = parts.pop(),
            _ => parts.push(part),
        }
    }
    if parts.is_empty() { ".".to_owned() } else { parts.join("/") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_cleaned_as_go_does() {
        for (path, expected) in [
            ("", "."),
            ("/root/.cache/", "/root/.cache"),
            ("a//b/./c/..", "a/b"),
            ("../a/..", ".."),
            ("/..", "/"),
        ] {
            assert_eq!(go_clean(path), expected, "{path}");
        }
    }
}
