//! Platforms: `os/architecture[/variant]`, normalised as containerd does.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// An operating system and a processor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// `amd64`, `arm64`, …
    pub architecture: String,
    /// `linux`.
    pub os: String,
    /// Only Windows has one.
    #[serde(rename = "os.version", default, skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    /// `v7` of arm, `v8` of arm64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// Fields that kiln has no use for, and that stay: `os.features` of Windows, Docker's `features`.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// Names that stand alone for a platform whose rest is this machine's, as with Docker.
const SYSTEMS: [&str; 4] = ["linux", "windows", "freebsd", "darwin"];
/// The same, of processors; in their normal form.
const PROCESSORS: [&str; 10] = [
    "amd64", "386", "arm64", "arm", "ppc64le", "riscv64", "s390x", "loong64", "mips64le", "mips64",
];

/// A text that is no platform.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{0}` is not a platform: write os/architecture or os/architecture/variant, e.g. linux/arm64"
)]
pub struct PlatformError(String);

impl Platform {
    /// The platform that this program was compiled for.
    pub fn host() -> Self {
        let (architecture, variant) = normalise(std::env::consts::ARCH, None);
        Self { os: "linux".into(), architecture, os_version: None, variant, other: Map::new() }
    }

    /// Whether an image for `self` runs where `wanted` was asked for.
    pub fn satisfies(&self, wanted: &Platform) -> bool {
        let own = normalise(&self.architecture, self.variant.as_deref());
        let other = normalise(&wanted.architecture, wanted.variant.as_deref());
        self.os == wanted.os && own == other
    }
}

/// containerd's platforms.Normalize: aliases of names, and variants that mean the default.
fn normalise(architecture: &str, variant: Option<&str>) -> (String, Option<String>) {
    let lower = architecture.to_ascii_lowercase();
    let (architecture, variant) = match (lower.as_str(), variant) {
        ("x86_64" | "x86-64" | "amd64", variant) => ("amd64", variant.filter(|v| *v != "v1")),
        ("i386" | "i686" | "x86", _) => ("386", None),
        ("aarch64" | "arm64", None | Some("8" | "v8")) => ("arm64", None),
        ("aarch64" | "arm64", variant) => ("arm64", variant),
        ("armhf", _) => ("arm", Some("v7")),
        ("armel", _) => ("arm", Some("v6")),
        ("arm", None | Some("7")) => ("arm", Some("v7")),
        ("arm", Some("6")) => ("arm", Some("v6")),
        ("arm", Some("5")) => ("arm", Some("v5")),
        ("powerpc64le" | "ppc64le", variant) => ("ppc64le", variant),
        (other, variant) => (other, variant),
    };
    (architecture.to_owned(), variant.map(str::to_owned))
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.as_ref().map_or(Ok(()), |variant| write!(f, "/{variant}"))
    }
}

impl FromStr for Platform {
    type Err = PlatformError;

    fn from_str(text: &str) -> Result<Self, PlatformError> {
        let parts: Vec<&str> = text.split('/').collect();
        let host = Self::host();
        let (os, architecture, variant) = match parts[..] {
            [os] if SYSTEMS.contains(&os.to_ascii_lowercase().as_str()) => {
                (os, host.architecture.as_str(), host.variant.as_deref())
            }
            [one] if PROCESSORS.contains(&normalise(one, None).0.as_str()) => ("linux", one, None),
            [os, architecture] => (os, architecture, None),
            [os, architecture, variant] => (os, architecture, Some(variant)),
            _ => return Err(PlatformError(text.to_owned())),
        };
        let is_name = |part: &&str| {
            !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
        };
        if !parts.iter().all(is_name) {
            return Err(PlatformError(text.to_owned()));
        }
        let (architecture, variant) = normalise(architecture, variant);
        let os = os.to_ascii_lowercase();
        Ok(Self { os, architecture, os_version: None, variant, other: Map::new() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases_mean_the_same() {
        for (left, right, same) in [
            ("linux/x86_64", "linux/amd64", true),
            ("amd64", "linux/amd64", true),
            ("arm64", "linux/aarch64", true),
            ("windows", "linux/amd64", false),
            ("linux/arm64/v8", "linux/aarch64", true),
            ("linux/arm", "linux/arm/v7", true),
            ("linux/arm/v6", "linux/arm/v7", false),
            ("windows/amd64", "linux/amd64", false),
        ] {
            let (left, right): (Platform, Platform) =
                (left.parse().expect("parses"), right.parse().expect("parses"));
            assert_eq!(left.satisfies(&right), same, "{left} {right}");
        }
    }

    #[test]
    fn what_kiln_does_not_know_survives() {
        let text = r#"{"architecture":"amd64","os":"windows","os.version":"10.0.20348.1","features":["sse4"],"os.features":["win32k"]}"#;
        let platform: Platform = serde_json::from_str(text).expect("parses");
        assert_eq!(serde_json::to_string(&platform).expect("json"), text);
    }

    #[test]
    fn what_is_no_platform_is_refused() {
        for text in ["", "z80", "linux/", "a/b/c/d", "linux/amd64,linux/arm64", "li nux/arm"] {
            assert!(text.parse::<Platform>().is_err(), "{text}");
        }
    }
}
