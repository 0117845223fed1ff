//! The image config: what a container of the image runs, and how the image came to be.
//!
//! Source: OCI image-spec config.md, and the fields that Docker adds (Healthcheck, Shell, OnBuild).
//! Fields that kiln does not know are kept as they are.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::platform::Platform;
use crate::digest::Digest;

/// PATH of an image that sets none, as BuildKit adds it.
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// An image's config document.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ImageConfig {
    /// When the image was made, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// Who made it.
    #[serde(default, skip_serializing_if = "is_blank")]
    pub author: Option<String>,
    /// Processor.
    #[serde(default)]
    pub architecture: String,
    /// Variant of the processor.
    #[serde(default, skip_serializing_if = "is_blank")]
    pub variant: Option<String>,
    /// Operating system.
    #[serde(default)]
    pub os: String,
    /// Defaults for containers.
    #[serde(default, deserialize_with = "null_is_default")]
    pub config: ContainerConfig,
    /// The layers.
    #[serde(default)]
    pub rootfs: RootFs,
    /// One entry for each instruction.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_default")]
    pub history: Vec<History>,
    /// Fields that kiln does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// Defaults for containers of the image.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ContainerConfig {
    /// `user[:group]`, by name or number.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// Keys are `port/protocol`.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub exposed_ports: BTreeMap<String, Value>,
    /// `NAME=value`, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_default")]
    pub env: Vec<String>,
    /// What runs before `Cmd`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    /// Arguments, or the command where there is no entrypoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cmd: Option<Vec<String>>,
    /// How to see that it lives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<HealthConfig>,
    /// Keys are paths.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub volumes: BTreeMap<String, Value>,
    /// Where it starts.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub working_dir: String,
    /// Instructions for builds on top of the image.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_default")]
    pub on_build: Vec<String>,
    /// Free text.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub labels: BTreeMap<String, String>,
    /// What ends it, instead of SIGTERM.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub stop_signal: String,
    /// What runs shell forms, instead of `/bin/sh -c`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shell: Option<Vec<String>>,
    /// Fields that kiln does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A health check; durations in nanoseconds, 0 for the default.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct HealthConfig {
    /// `["NONE"]`, `["CMD", …]` or `["CMD-SHELL", line]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_default")]
    pub test: Vec<String>,
    /// Between two checks.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub interval: u64,
    /// For one check.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub timeout: u64,
    /// In which failures do not count.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub start_period: u64,
    /// Between two checks in the start period.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub start_interval: u64,
    /// Failures in a row that make it unhealthy.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub retries: u64,
    /// Fields that kiln does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// The layers' uncompressed digests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootFs {
    /// Always `layers`.
    #[serde(rename = "type", default = "layers")]
    pub kind: String,
    /// Lowest first.
    #[serde(default, deserialize_with = "null_is_default")]
    pub diff_ids: Vec<Digest>,
}

impl Default for RootFs {
    fn default() -> Self {
        Self { kind: layers(), diff_ids: Vec::new() }
    }
}

fn layers() -> String {
    "layers".into()
}

/// How one step changed the image.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct History {
    /// RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// The instruction.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub created_by: String,
    /// Who.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub author: String,
    /// Which builder.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub comment: String,
    /// Whether the step added no layer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub empty_layer: bool,
    /// Fields that kiln does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl ImageConfig {
    /// The config of `FROM scratch`.
    pub fn scratch(platform: &Platform) -> Self {
        Self {
            architecture: platform.architecture.clone(),
            os: platform.os.clone(),
            variant: platform.variant.clone(),
            config: ContainerConfig {
                env: vec![format!("PATH={DEFAULT_PATH}")],
                working_dir: "/".into(),
                ..ContainerConfig::default()
            },
            ..Self::default()
        }
    }

    /// Adds an entry to the history for each layer that has none. OCI does not ask for them, and
    /// tools that append layers write none; but where there is any history, Buildah insists on an
    /// entry for each layer ("history lists 6 non-empty layers, but we have 8").
    pub fn complete_history(&mut self) {
        let told = self.history.iter().filter(|entry| !entry.empty_layer).count();
        let missing = self.rootfs.diff_ids.len().saturating_sub(told);
        let entry = History { created: self.created.clone(), ..History::default() };
        self.history.extend(std::iter::repeat_n(entry, missing));
    }

    /// Whom the image is for.
    pub fn platform(&self) -> Platform {
        Platform {
            os: self.os.clone(),
            architecture: self.architecture.clone(),
            os_version: None,
            variant: self.variant.clone(),
            other: Map::new(),
        }
    }
}

impl ContainerConfig {
    /// The value of an environment variable; the last one wins.
    pub fn env(&self, name: &str) -> Option<&str> {
        self.env.iter().rev().find_map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (key == name).then_some(value)
        })
    }

    /// Sets an environment variable in its old place, or at the end.
    pub fn set_env(&mut self, name: &str, value: &str) {
        let pair = format!("{name}={value}");
        let key = |pair: &String| pair.split('=').next() == Some(name);
        match self.env.iter().position(key) {
            Some(place) => self.env[place] = pair,
            None => self.env.push(pair),
        }
    }
}

/// Docker writes `null` where Go holds a nil map or slice.
fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

fn is_blank(text: &Option<String>) -> bool {
    text.as_deref().is_none_or(str::is_empty)
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dockers_nulls_and_unknown_fields_are_read() {
        let text = r#"{"architecture":"amd64","os":"linux","config":{"Env":null,"Cmd":null,
            "Labels":null,"ArgsEscaped":true,"Healthcheck":{"Test":["NONE"]},"Shell":["/bin/bash"]},
            "rootfs":{"type":"layers","diff_ids":null},"container":"abc"}"#;
        let config: ImageConfig = serde_json::from_str(text).expect("parses");
        assert_eq!(config.config.other.get("ArgsEscaped"), Some(&Value::Bool(true)));
        assert_eq!(config.other.get("container"), Some(&Value::String("abc".into())));
        assert_eq!(config.config.shell.as_deref(), Some(&["/bin/bash".to_owned()][..]));
        let again: ImageConfig =
            serde_json::from_slice(&serde_json::to_vec(&config).expect("json")).expect("parses");
        assert_eq!(config, again);
    }

    #[test]
    fn layers_without_history_get_one() {
        let empty = History { empty_layer: true, ..History::default() };
        let known = History { created_by: "COPY".into(), ..History::default() };
        let mut config = ImageConfig { created: Some("then".into()), ..ImageConfig::default() };
        config.rootfs.diff_ids = vec![Digest::of(b""); 2];
        config.history = vec![empty.clone(), known.clone()];
        config.complete_history();
        let added = History { created: Some("then".into()), ..History::default() };
        assert_eq!(config.history, [empty, known, added]);
        let before = config.clone();
        config.complete_history();
        assert_eq!(config, before);
    }

    #[test]
    fn env_keeps_its_place() {
        let mut config = ContainerConfig::default();
        config.set_env("A", "1");
        config.set_env("B", "2");
        config.set_env("A", "3");
        assert_eq!(config.env, ["A=3", "B=2"]);
        assert_eq!(config.env("A"), Some("3"));
    }
}
