//! What `kiln doctor` is asked about.

use super::env::{self, Environment};
use super::error::CliError;
use super::flags::DoctorFlags;
use super::{clouds, credentials, gitlab, resolve};
use crate::registry::{HUB, Reference, ReferenceError, Repository};
use crate::request::DoctorRequest;

pub(super) fn request(flags: DoctorFlags, env: &Environment) -> Result<DoctorRequest, CliError> {
    // As a build does.
    let project = env.get(env::CI_PROJECT_DIR).filter(|_| gitlab::is_job(env));
    let context = || project.map_or_else(|| ".".into(), ToOwned::to_owned);
    let mut repositories = Vec::new();
    // First those that were asked for, then those that every build has to do with.
    for name in &flags.names {
        repositories.push(repository(name)?);
    }
    repositories.extend(of_gitlab(env));
    repositories.push(Repository { registry: HUB.to_owned(), name: String::new() });
    let mut known = Vec::new();
    repositories.retain(|repository| {
        let is_new = !known.contains(repository);
        known.push(repository.clone());
        is_new
    });
    Ok(DoctorRequest {
        work_dir: resolve::given(flags.work_dir).map(|dir| env.absolute(dir)),
        temp_dir: resolve::temp_dir(env),
        context: env.absolute(resolve::given(flags.context).unwrap_or_else(context)),
        repositories,
        credentials: credentials::sources(env),
        clouds: clouds::settings(env),
    })
}

/// Where a job of GitLab's pushes to: credentials can be for one project alone. What is no name of a
/// registry is a build's to complain about.
fn of_gitlab(env: &Environment) -> Option<Repository> {
    let text = |name| env.get(name).and_then(|value| value.to_str());
    let image = text(env::CI_REGISTRY_IMAGE).and_then(|image| repository(image).ok());
    image.or_else(|| text(env::CI_REGISTRY).and_then(|host| repository(&format!("{host}/")).ok()))
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

    #[test]
    fn a_job_of_gitlabs_has_to_do_with_its_own_registry() {
        let ask = |names: &[&str], variables: &[(&str, &str)]| {
            let flags = DoctorFlags {
                names: names.iter().map(|name| (*name).to_owned()).collect(),
                work_dir: Some("w".into()),
                context: None,
                json: false,
            };
            let variables = variables.iter().map(|(name, value)| (name.into(), value.into()));
            let request = request(flags, &Environment::new("/here".into(), variables));
            let request = request.expect("a request");
            assert_eq!(request.work_dir.as_deref(), Some("/here/w".as_ref()));
            let names = request.repositories.iter().map(|r| format!("{}/{}", r.registry, r.name));
            (request.context, names.collect::<Vec<_>>())
        };
        let names = ["docker.io", "r.example/a"];
        let expected = vec!["docker.io/".to_owned(), "r.example/a".to_owned()];
        assert_eq!(ask(&names, &[]), ("/here".into(), expected));
        let registry = ("CI_REGISTRY", "r.example:5000");
        assert_eq!(ask(&[], &[registry]).1, ["r.example:5000/", "docker.io/"]);
        let image = ("CI_REGISTRY_IMAGE", "r.example:5000/group/app");
        let (context, names) = ask(&[], &[registry, image, ("CI_PROJECT_DIR", "/builds/app")]);
        assert_eq!(context, std::path::Path::new("/builds/app"));
        assert_eq!(names, ["r.example:5000/group/app", "docker.io/"]);
    }
}
