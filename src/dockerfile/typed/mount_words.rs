//! The keys of `RUN --mount`, one after the other, and what they amount to.

use super::mount::{Mount, MountError, MountKind, Permissions, Sharing, truth};
use crate::dockerfile::suggest::did_you_mean;

/// All keys that take a value, as BuildKit suggests them.
pub(super) const KEYS: &[&str] = &[
    "type",
    "from",
    "source",
    "target",
    "readonly",
    "id",
    "sharing",
    "required",
    "size",
    "mode",
    "uid",
    "gid",
    "src",
    "dst",
    "destination",
    "ro",
    "rw",
    "readwrite",
    "env",
];

/// Those that may stand without one.
pub(super) const SWITCHES: &[&str] = &["readonly", "ro", "readwrite", "rw", "required"];

const TYPES: [(&str, Type); 5] = [
    ("bind", Type::Bind),
    ("cache", Type::Cache),
    ("tmpfs", Type::Tmpfs),
    ("secret", Type::Secret),
    ("ssh", Type::Ssh),
];

const SHARING: [(&str, Sharing); 3] =
    [("shared", Sharing::Shared), ("private", Sharing::Private), ("locked", Sharing::Locked)];

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Type {
    #[default]
    Bind,
    Cache,
    Tmpfs,
    Secret,
    Ssh,
}

impl Type {
    fn name(self) -> &'static str {
        TYPES.iter().find(|(_, kind)| *kind == self).map_or("bind", |(name, _)| name)
    }
}

/// What was said so far.
#[derive(Debug, Default)]
pub(super) struct Words {
    kind: Type,
    pub(super) from: String,
    source: String,
    target: String,
    id: String,
    read_only: Option<bool>,
    required: bool,
    size: Option<u64>,
    sharing: Option<Sharing>,
    permissions: Permissions,
    env: Option<String>,
}

impl Words {
    /// A key that needs no value.
    pub(super) fn switch(&mut self, key: &str, on: bool) -> Result<(), MountError> {
        match key {
            "readonly" | "ro" => self.read_only = Some(on),
            "readwrite" | "rw" => self.read_only = Some(!on),
            _ if matches!(self.kind, Type::Secret | Type::Ssh) => self.required = on,
            _ => return Err(self.other_type(key)),
        }
        Ok(())
    }

    /// A key and its value.
    pub(super) fn set(&mut self, key: &str, value: &str) -> Result<(), MountError> {
        match key {
            "type" => self.kind = kind(value)?,
            "source" | "src" => value.clone_into(&mut self.source),
            "target" | "dst" | "destination" => value.clone_into(&mut self.target),
            "id" => value.clone_into(&mut self.id),
            "sharing" => self.sharing = Some(sharing(value)?),
            "size" if self.kind != Type::Tmpfs => return Err(self.other_type(key)),
            "size" => {
                let no_size = || MountError::Value { key: key.to_owned(), value: value.to_owned() };
                // As in mount(2), 0 is no limit.
                self.size = Some(bytes(value).ok_or_else(no_size)?).filter(|size| *size > 0);
            }
            "mode" => self.permissions.mode = Some(number(key, value, 8)?),
            "uid" => self.permissions.uid = Some(number(key, value, 10)?),
            "gid" => self.permissions.gid = Some(number(key, value, 10)?),
            "env" => self.env = Some(value.to_owned()),
            "required" if !matches!(self.kind, Type::Secret | Type::Ssh) => {
                return Err(self.other_type(key));
            }
            _ => self.switch(key, truth(key, value)?)?,
        }
        Ok(())
    }

    fn other_type(&self, key: &str) -> MountError {
        MountError::KeyOfType { key: key.to_owned(), kind: self.kind.name() }
    }

    /// Makes a mount of it.
    pub(super) fn into_mount(self) -> Result<Mount, MountError> {
        self.check()?;
        let written = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let read_only = self.read_only.unwrap_or(!matches!(self.kind, Type::Cache | Type::Tmpfs));
        let (from, source) = (written(&self.from), written(&self.source));
        let Self { required, permissions, .. } = self;
        let kind = match self.kind {
            Type::Bind => MountKind::Bind { from, source },
            Type::Cache => MountKind::Cache {
                id: written(&self.id),
                from,
                source,
                sharing: self.sharing.unwrap_or_default(),
                permissions,
            },
            Type::Tmpfs => MountKind::Tmpfs { size: self.size },
            Type::Secret => {
                let id = source.or(written(&self.id));
                let id = id.unwrap_or_else(|| last_name(&self.target).to_owned());
                MountKind::Secret { id, env: self.env, required, permissions }
            }
            Type::Ssh => {
                let id = written(&self.id).unwrap_or_else(|| "default".to_owned());
                MountKind::Ssh { id, required, permissions }
            }
        };
        Ok(Mount { target: written(&self.target), read_only, kind })
    }

    fn check(&self) -> Result<(), MountError> {
        let wrong = |message| Err(MountError::Combination(message));
        let kind = self.kind.name();
        let Permissions { mode, uid, gid } = self.permissions;
        if matches!(self.kind, Type::Bind | Type::Tmpfs) {
            let given = [("mode", mode), ("uid", uid), ("gid", gid)];
            if let Some((key, _)) = given.into_iter().find(|(_, value)| value.is_some()) {
                return Err(MountError::NotAllowed { key, kind });
            }
        }
        if self.kind == Type::Secret {
            if !self.from.is_empty() {
                return wrong("secret mount should not have a from");
            }
            if self.sharing.is_some() {
                return wrong("secret mount should not define sharing");
            }
            if self.source.is_empty() && self.target.is_empty() && self.id.is_empty() {
                return wrong("invalid secret mount. one of source, target required");
            }
            if !self.source.is_empty() && !self.id.is_empty() {
                return wrong("both source and id can't be set");
            }
            if self.env.as_ref().is_some_and(String::is_empty) {
                return wrong("invalid secret mount. env is empty");
            }
        }
        if self.kind == Type::Ssh && !self.source.is_empty() {
            return wrong("ssh does not support source");
        }
        if self.sharing.is_some() && self.kind != Type::Cache {
            return Err(MountError::SharingOfType(kind));
        }
        Ok(())
    }
}

fn kind(value: &str) -> Result<Type, MountError> {
    let small = value.to_lowercase();
    let found = TYPES.iter().find(|(name, _)| *name == small).map(|(_, kind)| *kind);
    found.ok_or_else(|| MountError::Type {
        value: value.to_owned(),
        suggestion: did_you_mean(value, TYPES.map(|(name, _)| name)),
    })
}

fn sharing(value: &str) -> Result<Sharing, MountError> {
    let small = value.to_lowercase();
    let found = SHARING.iter().find(|(name, _)| *name == small).map(|(_, sharing)| *sharing);
    found.ok_or_else(|| MountError::Sharing {
        value: value.to_owned(),
        suggestion: did_you_mean(value, SHARING.map(|(name, _)| name)),
    })
}

/// Digits of the base and nothing else, not even a sign.
fn number(key: &str, value: &str, base: u32) -> Result<u32, MountError> {
    let digits = !value.is_empty() && value.chars().all(|c| c.is_digit(base));
    let found = u32::from_str_radix(value, base).ok().filter(|_| digits);
    found.ok_or_else(|| MountError::Number { key: key.to_owned(), value: value.to_owned() })
}

/// The name of a path that ends with it, as Go's path.Base has it.
fn last_name(path: &str) -> &str {
    let trimmed = path.trim_end_matches('/');
    trimmed.rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or("/")
}

/// A size as Docker writes it: `64m`, `1.5 GiB`; units are powers of 1024 (docker/go-units).
fn bytes(text: &str) -> Option<u64> {
    let end = text.rfind(|c: char| c.is_ascii_digit() || c == '.' || c == ' ')? + 1;
    let (number, unit) = text.split_at(end);
    let number = number.strip_suffix(' ').unwrap_or(number);
    if number.starts_with('.') || number.ends_with('.') || number.contains(['-', '+', 'e', ' ']) {
        return None;
    }
    let power = match unit.to_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 1,
        "m" | "mb" | "mib" => 2,
        "g" | "gb" | "gib" => 3,
        "t" | "tb" | "tib" => 4,
        "p" | "pb" | "pib" => 5,
        _ => return None,
    };
    let unit = 1_u64 << (10 * power);
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(unit);
    }
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a fraction of a unit is no more exact than this; Go does the same"
    )]
    let size = (number.parse::<f64>().ok()? * unit as f64) as u64;
    Some(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_docker_s() {
        for (text, expected) in [
            ("64", Some(64)),
            ("64b", Some(64)),
            ("64m", Some(64 << 20)),
            ("64 MB", Some(64 << 20)),
            ("1.5GiB", Some(3 << 29)),
            ("0", Some(0)),
            ("", None),
            ("m", None),
            ("-1", None),
            ("1.", None),
            ("1x", None),
            ("1mbb", None),
            ("99999999999p", None),
        ] {
            assert_eq!(bytes(text), expected, "{text}");
        }
    }

    #[test]
    fn names_at_the_end_of_a_path() {
        for (path, name) in [("/a/b", "b"), ("/a/b/", "b"), ("b", "b"), ("/", "/")] {
            assert_eq!(last_name(path), name);
        }
    }
}
