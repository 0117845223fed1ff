//! Image references: `python:3` → `docker.io/library/python:3`.
//!
//! Source: distribution/reference (grammar.md, normalize.go). Two deviations: all of Docker Hub's
//! host names are one registry here, and a first component with capitals and no dot is refused
//! with a sentence instead of being taken for a host that nobody has.

use std::fmt;
use std::str::FromStr;

use crate::digest::{Digest, DigestError};

/// How Docker Hub is called in references.
pub const HUB: &str = "docker.io";
/// The host that answers Docker Hub's registry protocol.
const HUB_HOST: &str = "registry-1.docker.io";
/// Longest `host/path`, from the grammar.
const NAME_MAX: usize = 255;
/// Longest tag, from the grammar.
const TAG_MAX: usize = 128;

/// What a user calls an image by. Normalised: made by parsing only, so that `registry` is lower
/// case and `repository` has its `library/`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Reference {
    /// `host[:port]`; `docker.io` for every name of Docker Hub.
    pub registry: String,
    /// Path in the registry.
    pub repository: String,
    /// The tag; `latest` where the text has neither tag nor digest.
    pub tag: Option<String>,
    /// The digest; decides where both are given.
    pub digest: Option<Digest>,
}

/// A repository of a registry; blobs and manifests live in one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Repository {
    /// `host[:port]`; `docker.io` for Docker Hub.
    pub registry: String,
    /// Path in the registry.
    pub name: String,
}

/// A text that is no image reference.
#[derive(Debug, thiserror::Error)]
pub enum ReferenceError {
    /// Nothing.
    #[error("the image name is empty")]
    Empty,
    /// `https://…` or `docker://…`.
    #[error("`{text}` is not an image name: leave out `{scheme}://`")]
    Scheme {
        /// What was given.
        text: String,
        /// Its scheme.
        scheme: String,
    },
    /// Capitals in the repository.
    #[error("`{text}` is not an image name: repositories are lower case; did you mean `{lower}`?")]
    Uppercase {
        /// What was given.
        text: String,
        /// The same with a valid name.
        lower: String,
    },
    /// A host or port that cannot be one.
    #[error("`{text}` is not an image name: `{host}` is no registry host")]
    Host {
        /// What was given.
        text: String,
        /// The part in question.
        host: String,
    },
    /// A path that the grammar does not allow.
    #[error(
        "`{text}` is not an image name: `{part}` is no repository name (lower-case letters and \
         digits, separated by one of . _ __ - or /)"
    )]
    Name {
        /// What was given.
        text: String,
        /// The part in question.
        part: String,
    },
    /// A tag that the grammar does not allow.
    #[error(
        "`{text}` is not an image name: `{tag}` is no tag (up to 128 letters, digits, . _ or -, \
         not starting with . or -)"
    )]
    Tag {
        /// What was given.
        text: String,
        /// The part in question.
        tag: String,
    },
    /// A digest that kiln cannot verify.
    #[error("`{text}` is not an image name: {source}")]
    Digest {
        /// What was given.
        text: String,
        /// What is wrong with the digest.
        source: DigestError,
    },
    /// More than 255 bytes.
    #[error("`{0}` is not an image name: it is longer than 255 characters")]
    Long(String),
    /// 64 hexadecimal digits, which Docker takes for an image id.
    #[error(
        "`{0}` looks like an image id; ids name images of a local Docker daemon, which kiln does \
         not use. Give the name of an image in a registry"
    )]
    Id(String),
}

impl Repository {
    /// The shortest text that means the same, as people write it: `python`.
    pub fn familiar(&self) -> String {
        match (self.registry.as_str(), self.name.strip_prefix("library/")) {
            (HUB, Some(official)) if !official.contains('/') => official.to_owned(),
            (HUB, _) => self.name.clone(),
            _ => format!("{}/{}", self.registry, self.name),
        }
    }
}

impl Reference {
    /// The repository that the image is in.
    pub fn repository(&self) -> Repository {
        Repository { registry: self.registry.clone(), name: self.repository.clone() }
    }

    /// The shortest text that means the same, as people write it: `python:3`.
    pub fn familiar(&self) -> String {
        let mut text = self.repository().familiar();
        self.push_version(&mut text);
        text
    }

    /// What a manifest is asked by: the digest where there is one, else the tag.
    pub fn version(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, Some(tag)) => tag.clone(),
            (None, None) => "latest".into(),
        }
    }

    fn push_version(&self, text: &mut String) {
        if let Some(tag) = &self.tag {
            text.push(':');
            text.push_str(tag);
        }
        if let Some(digest) = &self.digest {
            text.push('@');
            text.push_str(&digest.to_string());
        }
    }
}

impl Repository {
    /// The host to connect to; Docker Hub's is not the one in its references.
    pub(super) fn host(&self) -> &str {
        api_host(&self.registry)
    }
}

/// The host to connect to for a registry.
pub(super) fn api_host(registry: &str) -> &str {
    if registry == HUB { HUB_HOST } else { registry }
}

/// One name for each registry: lower case, Docker Hub's aliases as `docker.io`, no default port.
pub(super) fn canonical_registry(host: &str) -> String {
    let lower = host.to_ascii_lowercase();
    let host = lower.strip_suffix(":443").unwrap_or(&lower);
    match host {
        "index.docker.io" | "registry.hub.docker.com" | HUB_HOST => HUB.to_owned(),
        other => other.to_owned(),
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = format!("{}/{}", self.registry, self.repository);
        self.push_version(&mut text);
        f.write_str(&text)
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.name)
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        refuse_what_is_no_name(text)?;
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(parse_digest(text, digest)?)),
            None => (text, None),
        };
        let (name, tag) = split_tag(rest);
        if let Some(tag) = tag
            && !is_tag(tag)
        {
            return Err(ReferenceError::Tag { text: text.into(), tag: tag.into() });
        }
        let (host, path) = split_host(name);
        let registry = match host {
            Some(host) if is_host(host) => canonical_registry(host),
            Some(host) => {
                return Err(ReferenceError::Host { text: text.into(), host: host.into() });
            }
            None => HUB.to_owned(),
        };
        check_path(text, path)?;
        let official = registry == HUB && !path.contains('/');
        let repository = if official { format!("library/{path}") } else { path.to_owned() };
        if registry.len() + 1 + repository.len() > NAME_MAX {
            return Err(ReferenceError::Long(text.into()));
        }
        let tag = match (tag, digest) {
            (None, None) => Some("latest".to_owned()),
            (tag, _) => tag.map(str::to_owned),
        };
        Ok(Self { registry, repository, tag, digest })
    }
}

fn refuse_what_is_no_name(text: &str) -> Result<(), ReferenceError> {
    if text.is_empty() {
        return Err(ReferenceError::Empty);
    }
    if let Some((scheme, _)) = text.split_once("://") {
        return Err(ReferenceError::Scheme { text: text.into(), scheme: scheme.into() });
    }
    if text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return Err(ReferenceError::Id(text.into()));
    }
    Ok(())
}

fn parse_digest(text: &str, digest: &str) -> Result<Digest, ReferenceError> {
    digest.parse().map_err(|source| ReferenceError::Digest { text: text.into(), source })
}

/// A colon after the last slash starts a tag; one before it, a port.
fn split_tag(text: &str) -> (&str, Option<&str>) {
    let path = text.rfind('/').map_or(0, |slash| slash + 1);
    match text[path..].find(':') {
        Some(colon) => (&text[..path + colon], Some(&text[path + colon + 1..])),
        None => (text, None),
    }
}

/// The first component is a host when it cannot be part of a path: a dot, a colon, or `localhost`.
fn split_host(name: &str) -> (Option<&str>, &str) {
    match name.split_once('/') {
        Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => {
            (Some(host), path)
        }
        _ => (None, name),
    }
}

fn check_path(text: &str, path: &str) -> Result<(), ReferenceError> {
    let Some(part) = path.split('/').find(|part| !is_path_component(part)) else {
        return Ok(());
    };
    let lower = path.to_ascii_lowercase();
    if lower != path && lower.split('/').all(is_path_component) {
        return Err(ReferenceError::Uppercase {
            lower: text.replace(path, &lower),
            text: text.into(),
        });
    }
    Err(ReferenceError::Name { text: text.into(), part: part.into() })
}

/// `[a-z0-9]+` joined by `.`, `_`, `__` or any number of `-`.
pub(super) fn is_path_component(part: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let ends = part.starts_with(alphanumeric) && part.ends_with(alphanumeric);
    let separators = part.split(alphanumeric).filter(|run| !run.is_empty());
    ends && separators
        .into_iter()
        .all(|run| matches!(run, "." | "_" | "__") || run.bytes().all(|b| b == b'-'))
}

/// A word character, then up to 127 of them and `.` and `-`.
pub(super) fn is_tag(tag: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    tag.len() <= TAG_MAX
        && tag.bytes().next().is_some_and(word)
        && tag.bytes().all(|b| word(b) || b == b'.' || b == b'-')
}

/// `name`, `a.b.c`, `1.2.3.4` or `[v6]`, each with an optional `:port`.
pub(super) fn is_host(host: &str) -> bool {
    let (name, port) = match host.rfind(':') {
        Some(colon) if !host.ends_with(']') => (&host[..colon], Some(&host[colon + 1..])),
        _ => (host, None),
    };
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let literal = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let name_is_valid = match literal {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => name.split('.').all(label),
    };
    name_is_valid && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHA: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn names_are_normalised_as_docker_does() {
        for (text, full, familiar) in [
            ("python", "docker.io/library/python:latest", "python:latest"),
            ("python:3", "docker.io/library/python:3", "python:3"),
            ("bitnami/redis", "docker.io/bitnami/redis:latest", "bitnami/redis:latest"),
            ("library/python:3", "docker.io/library/python:3", "python:3"),
            ("docker.io/python:3", "docker.io/library/python:3", "python:3"),
            ("index.docker.io/python:3", "docker.io/library/python:3", "python:3"),
            ("registry-1.docker.io/a/b:3", "docker.io/a/b:3", "a/b:3"),
            ("localhost/x", "localhost/x:latest", "localhost/x:latest"),
            ("localhost:5000/x:1", "localhost:5000/x:1", "localhost:5000/x:1"),
            ("localhost:5000", "docker.io/library/localhost:5000", "localhost:5000"),
            ("[::1]:5000/x", "[::1]:5000/x:latest", "[::1]:5000/x:latest"),
            ("10.0.0.1/a/b/c:v1_.-", "10.0.0.1/a/b/c:v1_.-", "10.0.0.1/a/b/c:v1_.-"),
            ("GHCR.io/a/b", "ghcr.io/a/b:latest", "ghcr.io/a/b:latest"),
            ("gitlab.com:443/g/p", "gitlab.com/g/p:latest", "gitlab.com/g/p:latest"),
            ("a.b/c__d/e---f/g.h_i", "a.b/c__d/e---f/g.h_i:latest", "a.b/c__d/e---f/g.h_i:latest"),
            ("q.io/a:TAG", "q.io/a:TAG", "q.io/a:TAG"),
        ] {
            let reference: Reference = text.parse().unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(reference.to_string(), full, "{text}");
            assert_eq!(reference.familiar(), familiar, "{text}");
            assert_eq!(full.parse::<Reference>().expect("the full form"), reference);
            assert_eq!(familiar.parse::<Reference>().expect("the short form"), reference);
        }
    }

    #[test]
    fn a_digest_needs_no_tag_and_keeps_one() {
        let pinned: Reference = format!("python@{SHA}").parse().expect("parses");
        assert_eq!((pinned.tag.as_deref(), pinned.version()), (None, SHA.to_owned()));
        let both: Reference = format!("r.io/a:1@{SHA}").parse().expect("parses");
        assert_eq!(both.to_string(), format!("r.io/a:1@{SHA}"));
        assert_eq!(both.version(), SHA);
    }

    #[test]
    fn hosts_differ_from_names_only_for_docker_hub() {
        let hub: Reference = "python".parse().expect("parses");
        assert_eq!(hub.repository().host(), "registry-1.docker.io");
        assert_eq!(hub.repository().to_string(), "docker.io/library/python");
        let other: Reference = "r.io:5050/a".parse().expect("parses");
        assert_eq!(other.repository().host(), "r.io:5050");
    }

    #[test]
    fn what_is_no_name_is_refused_with_a_reason() {
        for (text, reason) in [
            ("", "is empty"),
            ("https://r.io/a", "leave out `https://`"),
            ("r.io/App", "did you mean `r.io/app`?"),
            ("MyOrg/App:V1", "did you mean `myorg/app:V1`?"),
            ("a:", "`` is no tag"),
            ("a:.b", "`.b` is no tag"),
            ("a/", "`` is no repository name"),
            ("r.io//b", "`` is no repository name"),
            ("a..b", "`a..b` is no repository name"),
            ("-a", "`-a` is no repository name"),
            ("a b", "`a b` is no repository name"),
            ("a___b", "`a___b` is no repository name"),
            ("r.io:99999/a", "`r.io:99999` is no registry host"),
            ("-r.io/a", "`-r.io` is no registry host"),
            ("[::zz]:1/a", "is no registry host"),
            ("a@sha256:12", "is not a digest"),
            ("a@md5:12", "does not support"),
            (&SHA[7..], "looks like an image id"),
            (&format!("r.io/{}", "a".repeat(300)), "longer than 255"),
            (&format!("a:{}", "b".repeat(129)), "is no tag"),
        ] {
            let error = text.parse::<Reference>().expect_err(text).to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
