//! The value of `RUN --device`.
//!
//! Source: BuildKit's frontend/dockerfile/instructions/commands_rundevice.go.

use crate::dockerfile::fields::{self, FieldsError};
use crate::dockerfile::suggest::did_you_mean;

/// A device that a RUN asks for, by its CDI name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Device {
    /// `vendor.com/class=name`, or `vendor.com/class` for any of them.
    pub name: String,
    /// Whether the RUN fails without it.
    pub required: bool,
}

/// Why a text names no device. The wording is BuildKit's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// It is no comma-separated list.
    #[error("failed to parse csv devices: {0}")]
    Fields(#[from] FieldsError),
    /// Two names.
    #[error("device name already set to {0}")]
    Named(String),
    /// A value that is neither true nor false.
    #[error("invalid value for required: {0}")]
    Required(String),
    /// A word that is neither the name nor `required`.
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
}

impl Device {
    /// Reads `name[,required[=bool]]`, where the name may be written `name=…`.
    ///
    /// # Errors
    ///
    /// A field is unknown, or the name stands twice.
    pub fn parse(value: &str) -> Result<Self, DeviceError> {
        let mut device = Self::default();
        for field in fields::split(value)? {
            let (key, value) = match field.split_once('=') {
                Some((key, value)) => (key.to_lowercase(), Some(value)),
                None => (field.to_lowercase(), None),
            };
            match (key.as_str(), value) {
                ("required", None) => device.required = true,
                ("required", Some(text)) => {
                    device.required =
                        boolean(text).ok_or_else(|| DeviceError::Required(text.to_owned()))?;
                }
                ("name", Some(name)) if device.name.is_empty() => device.name = name.to_owned(),
                ("name", Some(_)) => return Err(DeviceError::Named(device.name)),
                // A CDI name has a `=` of its own: vendor.com/class=name.
                _ if device.name.is_empty() => device.name = field,
                (_, None) => return Err(DeviceError::Field(field)),
                (_, Some(_)) => {
                    let suggestion = did_you_mean(&key, ["name", "required"]);
                    return Err(DeviceError::Key { key, field, suggestion });
                }
            }
        }
        Ok(device)
    }
}

/// Go's strconv.ParseBool.
pub(super) fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}
