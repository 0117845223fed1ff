//! `--secret`, `--ssh`, `--ulimit`, `--network`, `--allow`, `--cache-mount-dir`: Docker's syntax and,
//! where Docker has words for a mistake, its words. No message has a secret in it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileTypeExt as _;
use std::path::PathBuf;

use super::env::{self, Environment};
use super::error::CliError;
use super::mounts_flags::MountsFlags;
use super::resolve::given;
use crate::dockerfile::{closest, fields};
use crate::request::{NetworkChoice, RunChoice, Secret, UlimitChoice};
use crate::sandbox::{UlimitResource, UnknownUlimit};

const SECRET: &str = "write --secret id=ID,src=FILE or --secret id=ID,env=VARIABLE";

/// What the flags say.
pub(super) fn run_choice(flags: &MountsFlags, env: &Environment) -> Result<RunChoice, CliError> {
    flags.allow.iter().flat_map(|all| all.split(',')).try_for_each(allow)?;
    let cache_dir = given(flags.cache_mount_dir.clone());
    let cache_dir = cache_dir.or_else(|| env.get(env::KILN_CACHE_MOUNT_DIR).map(Into::into));
    let mut ulimits: Vec<UlimitChoice> = Vec::new();
    for text in &flags.ulimit {
        let limit = ulimit(text)?;
        ulimits.retain(|known| known.name != limit.name);
        ulimits.push(limit);
    }
    Ok(RunChoice {
        secrets: flags.secret.iter().map(|text| secret(text, env)).collect::<Result<_, _>>()?,
        agents: agents(&flags.ssh, env)?,
        ulimits,
        network: network(flags.network.as_deref())?,
        cache_dir: cache_dir.map(|dir| env.absolute(dir)),
    })
}

/// `id=ID[,src=FILE][,env=NAME][,type=file|env]`
fn secret(text: &str, env: &Environment) -> Result<(String, Secret), CliError> {
    let wrong = |message: String| CliError::new(format!("--secret: {message}"), SECRET);
    let (mut id, mut source, mut variable, mut kind) = Default::default();
    let fields = fields::split(text).map_err(|_| wrong("its quotes do not fit".to_owned()))?;
    for field in fields {
        // What has no `=` may be the secret itself.
        let (key, value) = field
            .split_once('=')
            .ok_or_else(|| wrong("every field must be a key=value pair".to_owned()))?;
        let place: &mut String = match key.to_lowercase().as_str() {
            "id" => &mut id,
            "src" | "source" => &mut source,
            "env" => &mut variable,
            "type" if matches!(value, "file" | "env") => &mut kind,
            "type" => return Err(wrong(format!("unsupported secret type {value:?}"))),
            key => {
                let meant = closest(key, ["id", "src", "source", "env", "type"]);
                let meant = meant.map(|key| format!(" (did you mean {key}?)")).unwrap_or_default();
                return Err(wrong(format!("unexpected key '{key}'{meant}")));
            }
        };
        value.clone_into(place);
    }
    if id.is_empty() {
        return Err(wrong("secret missing ID".to_owned()));
    }
    if kind == "env" && variable.is_empty() {
        variable = std::mem::take(&mut source);
    }
    if source.is_empty() && variable.is_empty() {
        // Docker's short form: a variable of that name, or else a file.
        match env.get_even_empty(&id) {
            Some(_) if kind != "file" => variable.clone_from(&id),
            _ => source.clone_from(&id),
        }
    }
    let found = if variable.is_empty() {
        file(&id, env.absolute(&source)).map_err(wrong)?
    } else {
        match env.get_even_empty(&variable) {
            Some(value) if value.len() as u64 > Secret::MAX_SIZE => return Err(too_big(&id)),
            Some(value) => Secret::Value(value.as_bytes().to_vec().into()),
            None => Secret::Unset(variable),
        }
    };
    Ok((id, found))
}

fn file(id: &str, path: PathBuf) -> Result<Secret, String> {
    let metadata = fs::metadata(&path)
        .map_err(|error| format!("secret {id}: failed to stat {}: {error}", path.display()))?;
    if metadata.is_dir() {
        return Err(format!("secret {id}: {} is a directory", path.display()));
    }
    if metadata.len() > Secret::MAX_SIZE {
        return Err(format!("secret {id} too big. max size 500KB"));
    }
    Ok(Secret::File(path))
}

fn too_big(id: &str) -> CliError {
    CliError::complete(format!("--secret: secret {id} too big. max size 500KB"))
}

/// `ID[=SOCKET]`, where a missing socket is that of the user's agent.
fn agents(typed: &[String], env: &Environment) -> Result<BTreeMap<String, PathBuf>, CliError> {
    let mut agents = BTreeMap::new();
    for text in typed {
        let (id, path) = match text.split_once('=') {
            Some((id, path)) => (id, Some(path).filter(|path| !path.is_empty())),
            None => (text.as_str(), None),
        };
        let id = if id.is_empty() { "default" } else { id };
        let socket = match path {
            Some(path) => env.absolute(path),
            None => match env.get(env::SSH_AUTH_SOCK) {
                Some(path) => env.absolute(path),
                None => {
                    return Err(CliError::new(
                        format!("--ssh {text}: invalid empty ssh agent socket"),
                        "start an agent (`eval $(ssh-agent); ssh-add`), which sets SSH_AUTH_SOCK, or \
                         name its socket: --ssh ID=SOCKET",
                    ));
                }
            },
        };
        check_socket(text, &socket)?;
        if agents.insert(id.to_owned(), socket).is_some() {
            return Err(CliError::new(
                format!("--ssh: duplicate agent ID {id:?}"),
                "give each its own id: --ssh ID=SOCKET",
            ));
        }
    }
    Ok(agents)
}

fn check_socket(text: &str, path: &std::path::Path) -> Result<(), CliError> {
    let shown = path.display();
    match fs::metadata(path) {
        Ok(found) if found.file_type().is_socket() => Ok(()),
        Ok(_) => Err(CliError::new(
            format!("--ssh {text}: {shown} is not a socket, and kiln reads no keys from files"),
            format!(
                "put the key into an agent, `eval $(ssh-agent); ssh-add {shown}`, and write --ssh ID"
            ),
        )),
        Err(error) => {
            let help = match error.kind() {
                // Docker takes several keys, separated by commas.
                io::ErrorKind::NotFound if text.contains(',') => {
                    "name one socket; keys go into an agent: `eval $(ssh-agent); ssh-add KEY`"
                }
                _ => "write --ssh ID=SOCKET with the socket of an agent",
            };
            Err(CliError::new(format!("--ssh {text}: {shown}: {error}"), help))
        }
    }
}

/// `NAME=SOFT[:HARD]`; -1 is no limit.
fn ulimit(text: &str) -> Result<UlimitChoice, CliError> {
    let wrong =
        |why: String| CliError::new(format!("--ulimit {text}: {why}"), "write NAME=SOFT[:HARD]");
    let invalid = || wrong("invalid ulimit argument".to_owned());
    let (name, values) = text.split_once('=').ok_or_else(invalid)?;
    let resource: UlimitResource = name.parse().map_err(|error: UnknownUlimit| {
        let names: Vec<&str> = UlimitResource::ALL.iter().map(|one| one.name()).collect();
        CliError::new(
            format!("--ulimit {text}: {error}"),
            format!("the names are {}", names.join(", ")),
        )
    })?;
    let limit = |text: &str| match text {
        "-1" => Some(None),
        text => text.parse::<u64>().ok().map(Some),
    };
    let (soft, hard) = values.split_once(':').unwrap_or((values, values));
    let (soft, hard) = (limit(soft).ok_or_else(invalid)?, limit(hard).ok_or_else(invalid)?);
    let above = match (soft, hard) {
        (Some(soft), Some(hard)) => soft > hard,
        (None, Some(_)) => true,
        (_, None) => false,
    };
    if above {
        let why = "ulimit soft limit must be less than or equal to hard limit";
        return Err(wrong(why.to_owned()));
    }
    Ok(UlimitChoice { name: resource.name().to_owned(), soft, hard })
}

fn network(typed: Option<&str>) -> Result<NetworkChoice, CliError> {
    match typed {
        // What a command has without a word is the network that kiln itself has.
        None | Some("" | "default" | "host") => Ok(NetworkChoice::Host),
        Some("none") => Ok(NetworkChoice::None),
        Some(other) => Err(CliError::new(
            format!("--network: there is no network {other:?} for a build"),
            "use default, host or none",
        )),
    }
}

/// What Docker's users have to allow before a RUN may ask for it.
fn allow(word: &str) -> Result<(), CliError> {
    match word.trim() {
        // Every RUN has it.
        "network.host" | "" => Ok(()),
        "security.insecure" => Err(CliError::new(
            "--allow security.insecure: kiln never gives a RUN more rights than its own RUN has",
            "leave it out; what needs RUN --security=insecure has to be made elsewhere",
        )),
        other => Err(CliError::new(
            format!("--allow: invalid entitlement {other:?}"),
            "kiln knows network.host",
        )),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests;
