//! The value of `RUN --mount`.
//!
//! Source: BuildKit's frontend/dockerfile/instructions/commands_runmount.go. As there, a key that
//! belongs to one type only must stand after that type.

use super::device::boolean;
use super::mount_words::{self, Words};
use crate::dockerfile::fields::{self, FieldsError};
use crate::dockerfile::suggest::did_you_mean;

/// Something that a RUN sees at a place of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Where, if it says so: absolute, or seen from WORKDIR.
    pub target: Option<String>,
    /// Whether the command may not write there.
    pub read_only: bool,
    /// What is there.
    pub kind: MountKind,
}

/// The types of mounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MountKind {
    /// Files of the context, a stage, an image or a named context.
    Bind {
        /// `from`, unexpanded; the context without.
        from: Option<String>,
        /// What of it; all without.
        source: Option<String>,
    },
    /// A directory that outlives the step.
    Cache {
        /// Its name, if it has one of its own.
        id: Option<String>,
        /// `from`, unexpanded: what is in it at first.
        from: Option<String>,
        /// What of that.
        source: Option<String>,
        /// What happens when two use it.
        sharing: Sharing,
        /// Of the directory when it is made.
        permissions: Permissions,
    },
    /// An empty directory that is gone afterwards.
    Tmpfs {
        /// At most so many bytes.
        size: Option<u64>,
    },
    /// A secret of the caller's.
    Secret {
        /// Its name.
        id: String,
        /// A variable that gets it.
        env: Option<String>,
        /// Whether it is an error that there is none.
        required: bool,
        /// Of the file.
        permissions: Permissions,
    },
    /// A socket of an SSH agent.
    Ssh {
        /// Which one: `default` unless it says so.
        id: String,
        /// Whether it is an error that there is none.
        required: bool,
        /// Of the socket.
        permissions: Permissions,
    },
}

/// What happens when two steps use the same cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sharing {
    /// Both write into it.
    #[default]
    Shared,
    /// The second gets another one.
    Private,
    /// The second waits.
    Locked,
}

/// `mode`, `uid`, `gid`, where they are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Permissions {
    /// Permission bits.
    pub mode: Option<u32>,
    /// The owner.
    pub uid: Option<u32>,
    /// The group.
    pub gid: Option<u32>,
}

/// Why a text is no mount. The wording is BuildKit's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MountError {
    /// It is no comma-separated list.
    #[error("failed to parse csv mounts: {0}")]
    Fields(#[from] FieldsError),
    /// A word that needs a value.
    #[error("invalid field '{0}' must be a key=value pair")]
    Field(String),
    /// An unknown key.
    #[error("unexpected key '{key}' in '{field}'{suggestion}")]
    Key {
        /// The key.
        key: String,
        /// The field that it stands in.
        field: String,
        /// ` (did you mean …?)`, or nothing.
        suggestion: String,
    },
    /// A key of another type.
    #[error("unexpected key '{key}' for mount type '{kind}'")]
    KeyOfType {
        /// The key.
        key: String,
        /// The type.
        kind: &'static str,
    },
    /// An unknown type.
    #[error("unsupported mount type {value:?}{suggestion}")]
    Type {
        /// As written.
        value: String,
        /// ` (did you mean …?)`, or nothing.
        suggestion: String,
    },
    /// An unknown kind of sharing.
    #[error("unsupported sharing value {value:?}{suggestion}")]
    Sharing {
        /// As written.
        value: String,
        /// ` (did you mean …?)`, or nothing.
        suggestion: String,
    },
    /// Neither true nor false, or no size.
    #[error("invalid value for {key}: {value}")]
    Value {
        /// The key.
        key: String,
        /// As written.
        value: String,
    },
    /// No number.
    #[error("invalid value {value} for {key}")]
    Number {
        /// The key.
        key: String,
        /// As written.
        value: String,
    },
    /// `mode`, `uid` or `gid` where nothing is made.
    #[error("{key} not allowed for {kind:?} type mounts")]
    NotAllowed {
        /// The key.
        key: &'static str,
        /// The type.
        kind: &'static str,
    },
    /// Keys that do not go together.
    #[error("{0}")]
    Combination(&'static str),
    /// `sharing` of something that is no cache.
    #[error("invalid cache sharing set for {0} mount")]
    SharingOfType(&'static str),
}

impl Mount {
    /// Checks what is known before any variable is: the keys.
    ///
    /// # Errors
    ///
    /// The text is no list, or a key is unknown or lacks its value.
    pub fn check(text: &str) -> Result<(), MountError> {
        for field in fields::split(text)? {
            let (key, value) = key_and_value(&field);
            match value {
                Some(_) if !mount_words::KEYS.contains(&key.as_str()) => {
                    let suggestion = did_you_mean(&key, mount_words::KEYS.iter().copied());
                    return Err(MountError::Key { key, field, suggestion });
                }
                None if !mount_words::SWITCHES.contains(&key.as_str()) => {
                    return Err(MountError::Field(field));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The value of `from`, unexpanded, if it has one.
    pub fn from_word(text: &str) -> Option<String> {
        let fields = fields::split(text).ok()?;
        let froms =
            fields.iter().map(|field| key_and_value(field)).filter(|(key, _)| key == "from");
        froms
            .filter_map(|(_, value)| value)
            .next_back()
            .filter(|v| !v.is_empty())
            .map(str::to_owned)
    }

    /// Reads a mount. `expand` is asked about every value but that of `from`.
    ///
    /// # Errors
    ///
    /// A key is unknown, a value is none of its key, or keys do not go together; or `expand` fails.
    pub fn parse<E: From<MountError>>(
        text: &str,
        mut expand: impl FnMut(&str) -> Result<String, E>,
    ) -> Result<Self, E> {
        Self::check(text)?;
        let mut words = Words::default();
        for field in fields::split(text).map_err(MountError::from)? {
            match key_and_value(&field) {
                (key, None) => words.switch(&key, true)?,
                (key, Some(from)) if key == "from" => words.from = from.to_owned(),
                (key, Some(value)) => words.set(&key, &expand(value)?)?,
            }
        }
        Ok(words.into_mount()?)
    }
}

/// The key in small letters, and what follows `=`.
fn key_and_value(field: &str) -> (String, Option<&str>) {
    match field.split_once('=') {
        Some((key, value)) => (key.to_lowercase(), Some(value)),
        None => (field.to_lowercase(), None),
    }
}

/// Go's strconv.ParseBool.
pub(super) fn truth(key: &str, value: &str) -> Result<bool, MountError> {
    boolean(value).ok_or_else(|| MountError::Value { key: key.to_owned(), value: value.to_owned() })
}
