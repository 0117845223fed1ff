//! The value of `RUN --device`.
//!
//! Source: BuildKit's frontend/dockerfile/instructions/commands_rundevice.go.

use crate::dockerfile::fields;
use crate::dockerfile::suggest::did_you_mean;

/// A device that a RUN asks for, by its CDI name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in super::super) struct Device {
    pub name: String,
    pub required: bool,
}

/// Reads `name[,required[=bool]]`, where the name may be written `name=…`.
///
/// # Errors
///
/// A message for the author of the Dockerfile.
pub(in super::super) fn parse(value: &str) -> Result<Device, String> {
    let fields = fields::split(value).map_err(|error| error.to_string())?;
    let mut device = Device::default();
    for field in &fields {
        let (key, value) = match field.split_once('=') {
            Some((key, value)) => (key.to_lowercase(), Some(value)),
            None => (field.to_lowercase(), None),
        };
        match (key.as_str(), value) {
            ("required", None) => device.required = true,
            ("required", Some(text)) => {
                device.required =
                    boolean(text).ok_or_else(|| format!("invalid value for required: {text}"))?;
            }
            ("name", Some(name)) if device.name.is_empty() => device.name = name.to_owned(),
            ("name", Some(_)) => {
                return Err(format!("device name already set to {}", device.name));
            }
            // A CDI name has a `=` of its own: vendor.com/class=name.
            _ if device.name.is_empty() => device.name = field.clone(),
            (_, None) => {
                return Err(format!("invalid field '{field}' must be a key=value pair"));
            }
            (key, Some(_)) => {
                let suggestion = did_you_mean(key, ["name", "required"]);
                return Err(format!("unexpected key '{key}' in '{field}'{suggestion}"));
            }
        }
    }
    Ok(device)
}

/// Go's strconv.ParseBool.
fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}
