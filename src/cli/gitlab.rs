//! The one-line job: in a CI job of GitLab's, `kiln build` finds in the environment what the command
//! line leaves out, and says where it found it.
//!
//! Source: docs.gitlab.com/ci/variables/predefined_variables.

use super::Remark;
use super::env::{self, Environment};
use super::error::CliError;
use super::exports::Typed;
use super::flags::BuildFlags;

/// Longest tag that registries take (OCI distribution specification, "Pulling manifests").
const TAG_LENGTH: usize = 128;

/// Whether this is a job of GitLab's. `GITLAB_CI` alone does not say so: gitlab-ci-local, which runs
/// such jobs, sets it to `false`, and has all the other variables.
pub(super) fn is_job(env: &Environment) -> bool {
    let any = [env::GITLAB_CI, env::CI_COMMIT_REF_SLUG, env::CI_REGISTRY_IMAGE];
    env.get(env::CI_PROJECT_DIR).is_some() && any.iter().any(|name| env.get(name).is_some())
}

/// Fills in what was left out, and says so.
pub(super) fn fill(flags: &mut BuildFlags, env: &Environment) -> Result<Vec<Remark>, CliError> {
    let mut remarks = Vec::new();
    let mut say = |text: String| remarks.push(Remark::Note(format!("GitLab: {text}")));
    let source = &mut flags.source;
    if source.context.is_none() && source.directory.is_none() {
        let dir = env.get(env::CI_PROJECT_DIR).unwrap_or_default();
        say(format!("context {} from CI_PROJECT_DIR", dir.to_string_lossy()));
        source.context = Some(dir.to_owned());
    }
    if let (None, Some(file)) = (&source.file, env.get(env::DOCKERFILE_PATH)) {
        say(format!("Dockerfile {} from DOCKERFILE_PATH", file.to_string_lossy()));
        source.file = Some(file.to_owned());
    }
    let result = &mut flags.result;
    let given = |path: &Option<std::ffi::OsString>| path.as_ref().is_some_and(|p| !p.is_empty());
    let written = given(&result.tar_path) || given(&result.oci_layout_path);
    let stays_here = written || !flags.export.output.is_empty();
    let pushes = result.push || flags.export.output.iter().any(Typed::needs_a_name);
    let goes_elsewhere = result.no_push || (stays_here && !pushes);
    if result.tag.is_empty() && !goes_elsewhere {
        let (name, from) = destination(env)?;
        say(format!("destination {name} from {from}"));
        result.tag.push(name);
    }
    Ok(remarks)
}

/// The image's name, and the variables that it was made of.
fn destination(env: &Environment) -> Result<(String, String), CliError> {
    let Some(image) = env.text(env::CI_REGISTRY_IMAGE)? else {
        return Err(CliError::new(
            "there is no name to push the image to: CI_REGISTRY_IMAGE is not set, so the container \
             registry of this project is switched off",
            "switch it on (Settings > General > Visibility), or name the image with -t, or use \
             --no-push",
        ));
    };
    if let Some(tag) = env.text(env::CI_COMMIT_TAG)? {
        let valid = valid_tag(&tag);
        if valid.is_empty() {
            return Err(CliError::new(
                format!("CI_COMMIT_TAG is `{tag}`, of which no tag of an image can be made"),
                "name the image with -t",
            ));
        }
        let from = match valid == tag {
            true => "CI_REGISTRY_IMAGE and CI_COMMIT_TAG".to_owned(),
            false => format!("CI_REGISTRY_IMAGE and CI_COMMIT_TAG (`{tag}`)"),
        };
        return Ok((format!("{image}:{valid}"), from));
    }
    match env.text(env::CI_COMMIT_REF_SLUG)? {
        Some(slug) => {
            let from = "CI_REGISTRY_IMAGE and CI_COMMIT_REF_SLUG".to_owned();
            Ok((format!("{image}:{slug}"), from))
        }
        None => Err(CliError::new(
            format!("there is no tag for {image}: CI_COMMIT_REF_SLUG is not set"),
            format!("name the image with -t {image}:TAG"),
        )),
    }
}

/// A tag of an image as near to one of git as registries allow: `[A-Za-z0-9_.-]`, the first none of
/// `.` and `-`.
fn valid_tag(tag: &str) -> String {
    let valid = |c: char| if c.is_ascii_alphanumeric() || "_.-".contains(c) { c } else { '-' };
    let all: String = tag.chars().map(valid).collect();
    all.trim_start_matches(['.', '-']).chars().take(TAG_LENGTH).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_of_git_become_tags_of_images() {
        for (git, image) in [
            ("v1.2.3", "v1.2.3"),
            ("v1.0+build", "v1.0-build"),
            ("release/Größe_1", "release-Gr--e_1"),
            ("-.x", "x"),
            ("ß", ""),
        ] {
            assert_eq!(valid_tag(git), image, "{git}");
        }
        assert_eq!(valid_tag(&"x".repeat(200)).len(), 128);
    }
}
