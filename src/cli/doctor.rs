//! What `kiln doctor` is asked about.

use super::env::{self, Environment};
use super::error::CliError;
use super::flags::DoctorFlags;
use super::{credentials, resolve};
use crate::registry::{HUB, Reference, ReferenceError, Repository};
use crate::request::DoctorRequest;

pub(super) fn request(flags: DoctorFlags, env: &Environment) -> Result<DoctorRequest, CliError> {
    let mut repositories = Vec::new();
    // First those that were asked for, then those that every build has to do with.
    for name in &flags.names {
        repositories.push(repository(name)?);
    }
    let gitlab = env.get(env::CI_REGISTRY).map(|host| host.to_string_lossy().into_owned());
    let always = gitlab.into_iter().chain([HUB.to_owned()]);
    repositories.extend(always.map(|registry| Repository { registry, name: String::new() }));
    let mut known = Vec::new();
    repositories.retain(|repository| {
        let is_new = !known.contains(repository);
        known.push(repository.clone());
        is_new
    });
    Ok(DoctorRequest {
        work_dir: resolve::given(flags.work_dir).map(|dir| env.absolute(dir)),
        temp_dir: resolve::temp_dir(env),
        context: env.absolute(resolve::given(flags.context).unwrap_or_else(|| ".".into())),
        repositories,
        credentials: credentials::sources(env),
    })
}

/// A registry, or an image. `app:1` could be either and is an image, as for a build; `host:5000/` is
/// a registry.
fn repository(name: &str) -> Result<Repository, CliError> {
    let host = name.strip_suffix('/').unwrap_or(name);
    let bare = host.split(':').next().unwrap_or_default();
    let is_host = !host.contains('/') && (bare.contains('.') || bare == "localhost");
    if is_host || host != name && !host.contains('/') {
        // As part of an image's name: Docker Hub has several hosts, and no host has every character.
        let Reference { registry, .. } = reference(&format!("{host}/image"))?;
        return Ok(Repository { registry, name: String::new() });
    }
    let Reference { registry, repository, .. } = reference(name)?;
    Ok(Repository { registry, name: repository })
}

fn reference(name: &str) -> Result<Reference, CliError> {
    name.parse().map_err(|error: ReferenceError| CliError::complete(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_is_told_from_an_image() {
        let rows = [
            ("registry.example", "registry.example", ""),
            ("registry.example:5000", "registry.example:5000", ""),
            ("localhost", "localhost", ""),
            ("db:5000/", "db:5000", ""),
            ("db:5000/app:1", "db:5000", "app"),
            ("index.docker.io", "docker.io", ""),
            ("node:20", "docker.io", "library/node"),
            ("group/app:1", "docker.io", "group/app"),
            ("registry.example/group/app", "registry.example", "group/app"),
        ];
        for (typed, registry, name) in rows {
            let expected = Repository { registry: registry.into(), name: name.into() };
            assert_eq!(repository(typed), Ok(expected), "{typed}");
        }
        assert!(repository("https://registry.example/a").is_err());
    }
}
