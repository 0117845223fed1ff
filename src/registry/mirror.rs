//! Where an image is looked for: mirrors first, then its own registry.
//!
//! kaniko's rule for `--registry-map`: the repository becomes `prefix/` + its name, `library/` kept.

use std::collections::HashMap;

use super::error::RegistryError;
use super::options::Options;
use super::reference::{
    HUB, Reference, Repository, canonical_registry, is_host, is_path_component,
};
use super::transport::Scheme;

/// `[http[s]://]host[:port][/prefix]`, read.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mirror {
    registry: String,
    prefix: String,
    scheme: Option<Scheme>,
}

/// All mirrors.
#[derive(Debug)]
pub(super) struct Mirrors {
    by_registry: HashMap<String, Vec<Mirror>>,
    no_fallback: bool,
}

impl Mirrors {
    /// Reads the mirrors of the options.
    pub(super) fn new(options: &Options) -> Result<Self, RegistryError> {
        let mut by_registry: HashMap<String, Vec<Mirror>> = HashMap::new();
        let hub = (HUB.to_owned(), options.mirrors.clone());
        for (registry, mirrors) in options.registry_map.iter().chain(std::iter::once(&hub)) {
            let mirrors = mirrors.iter().map(|text| parse(text)).collect::<Result<Vec<_>, _>>()?;
            by_registry.entry(canonical_registry(registry)).or_default().extend(mirrors);
        }
        Ok(Self { by_registry, no_fallback: options.no_default_fallback })
    }

    /// The schemes that the user spelled out.
    pub(super) fn schemes(&self) -> HashMap<String, Scheme> {
        let mirrors = self.by_registry.values().flatten();
        mirrors.filter_map(|mirror| Some((mirror.registry.clone(), mirror.scheme?))).collect()
    }

    /// The repositories to ask, in order; never empty.
    pub(super) fn places(&self, reference: &Reference) -> Vec<Repository> {
        let mirrors = self.by_registry.get(&reference.registry).map_or(&[][..], Vec::as_slice);
        let mut places: Vec<_> = mirrors
            .iter()
            .map(|mirror| Repository {
                registry: mirror.registry.clone(),
                name: format!("{}{}", mirror.prefix, reference.repository),
            })
            .collect();
        if places.is_empty() || !self.no_fallback {
            places.push(reference.repository());
        }
        places
    }
}

fn parse(text: &str) -> Result<Mirror, RegistryError> {
    let failed = |reason: &str| RegistryError::Option {
        what: "registry mirror",
        value: text.to_owned(),
        reason: format!("{reason}; write host[:port][/prefix]"),
    };
    let (scheme, rest) = match text.split_once("://") {
        Some(("http", rest)) => (Some(Scheme::Http), rest),
        Some(("https", rest)) => (Some(Scheme::Https), rest),
        Some(_) => return Err(failed("its scheme is neither http nor https")),
        None => (None, text),
    };
    let (host, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    if !is_host(host) {
        return Err(failed("it does not start with a host"));
    }
    let prefix = prefix.trim_matches('/');
    if !prefix.is_empty() && !prefix.split('/').all(is_path_component) {
        return Err(failed("its prefix is no repository path"));
    }
    let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
    Ok(Mirror { registry: canonical_registry(host), prefix, scheme })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(options: &Options, reference: &str) -> Vec<String> {
        let reference = reference.parse().expect("a reference");
        let mirrors = Mirrors::new(options).expect("mirrors");
        mirrors.places(&reference).iter().map(Repository::to_string).collect()
    }

    #[test]
    fn mirrors_come_first_and_the_registry_last() {
        let options = Options {
            mirrors: vec!["https://m.io".into(), "gitlab.com:443/group/proxy/".into()],
            registry_map: vec![
                ("index.docker.io".into(), vec!["first.io/x".into()]),
                ("ghcr.io".into(), vec!["http://10.0.0.1:5000".into()]),
            ],
            ..Options::default()
        };
        assert_eq!(
            places(&options, "python:3"),
            [
                "first.io/x/library/python",
                "m.io/library/python",
                "gitlab.com/group/proxy/library/python",
                "docker.io/library/python",
            ]
        );
        assert_eq!(places(&options, "ghcr.io/a/b"), ["10.0.0.1:5000/a/b", "ghcr.io/a/b"]);
        assert_eq!(places(&options, "quay.io/a/b"), ["quay.io/a/b"]);
        let strict = Options { no_default_fallback: true, ..options };
        assert_eq!(places(&strict, "ghcr.io/a/b"), ["10.0.0.1:5000/a/b"]);
        assert_eq!(places(&strict, "quay.io/a/b"), ["quay.io/a/b"]);
        let schemes = Mirrors::new(&strict).expect("mirrors").schemes();
        assert_eq!(schemes.get("10.0.0.1:5000"), Some(&Scheme::Http));
        assert_eq!((schemes.get("m.io"), schemes.len()), (Some(&Scheme::Https), 2));
    }

    #[test]
    fn docker_hub_is_known_by_all_its_names() {
        let names =
            ["docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"];
        for key in names {
            let options = Options {
                registry_map: vec![(key.into(), vec!["m.io/hub".into()])],
                no_default_fallback: true,
                ..Options::default()
            };
            for name in names {
                let found = places(&options, &format!("{name}/library/python:3"));
                assert_eq!(found, ["m.io/hub/library/python"], "{key} {name}");
            }
        }
        // And as a mirror of another registry.
        let options = Options {
            registry_map: vec![("r.io".into(), vec!["registry.hub.docker.com/team".into()])],
            ..Options::default()
        };
        assert_eq!(places(&options, "r.io/a"), ["docker.io/team/a", "r.io/a"]);
    }

    #[test]
    fn what_is_no_mirror_is_named() {
        for text in ["", "ftp://m.io", "https://", "m.io/Prefix", "m.io/x//y", "a b"] {
            let options = Options { mirrors: vec![text.into()], ..Options::default() };
            let error = Mirrors::new(&options).expect_err(text).to_string();
            assert!(error.contains("registry mirror") && error.contains(text), "{error}");
        }
    }
}
