//! The repository of the cache where none is named: below that of the image.

use super::env::{self, Environment};
use super::error::CliError;
use super::{Remark, gitlab};
use crate::registry::{HUB, Reference};
use crate::request::CachePlace;

/// A repository that was made up.
#[derive(Debug)]
pub(super) struct Inferred {
    pub(super) place: CachePlace,
    /// Whether it is the one of the project.
    pub(super) from_gitlab: bool,
}

/// `…/cache` below the first name, as kaniko has it; on GitLab below the project's repository, since
/// there are only two levels more (docs.gitlab.com/user/packages/container_registry, "Naming
/// convention for your container images").
pub(super) fn inferred(
    names: &[String],
    pushes: bool,
    env: &Environment,
) -> Result<Inferred, CliError> {
    let name_one = "name one: --cache-repo registry.example/app/cache";
    let Some(first) = names.first() else {
        return Err(CliError::new(
            "there is no name that the repository of the cache could be made of",
            format!("{name_one}, or name the image with -t"),
        ));
    };
    if !pushes {
        return Err(CliError::new(
            "--cache with --no-push does not say where the cache is",
            format!("{name_one}, which is written all the same; or only read it: --no-push-cache"),
        ));
    }
    if let Some(place) = of_gitlab(&names[..1], env) {
        return Ok(Inferred { place, from_gitlab: true });
    }
    let reference: Reference =
        first.parse().map_err(|error| CliError::complete(format!("{error}")))?;
    if reference.registry == HUB {
        // hub.docker.com has users and their repositories, and nothing below.
        return Err(CliError::new(
            "--cache does not know where the cache is: on Docker Hub there is no repository below \
             another",
            "name one beside the image's: --cache-repo NAME/app-cache",
        ));
    }
    let place =
        CachePlace::Registry(format!("{}/{}/cache", reference.registry, reference.repository));
    Ok(Inferred { place, from_gitlab: false })
}

/// The cache of the project whose job this is, if the image goes to its registry. Without a name it
/// would go there.
pub(super) fn of_gitlab(names: &[String], env: &Environment) -> Option<CachePlace> {
    if !gitlab::is_job(env) {
        return None;
    }
    let image = env.get(env::CI_REGISTRY_IMAGE)?.to_str()?;
    let project: Reference = image.parse().ok()?;
    let is_below = |name: &String| {
        let Ok(Reference { registry, repository, .. }) = name.parse() else { return false };
        let rest = repository.strip_prefix(&project.repository);
        registry == project.registry
            && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let belongs = names.is_empty() || names.iter().any(is_below);
    belongs.then(|| CachePlace::Registry(format!("{image}/cache")))
}

/// Says so.
pub(super) fn note(place: &CachePlace) -> Remark {
    let name = match place {
        CachePlace::Registry(name) => name.clone(),
        CachePlace::Layout { dir, .. } => dir.display().to_string(),
    };
    Remark::Note(format!("GitLab: cache {name} from {}", env::CI_REGISTRY_IMAGE))
}
