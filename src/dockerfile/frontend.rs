//! `# syntax=`: which frontend a file is written for. kiln is one itself, and runs no other.

use super::ParseError;
use super::directives::detect_syntax;

/// Repositories of the Dockerfile frontend. Companies mirror them, so only the end of a name counts.
const OWN: [&str; 2] = ["docker/dockerfile", "docker/dockerfile-upstream"];

/// BuildKit's name for the frontend that is built in.
const BUILT_IN: &str = "dockerfile.v0";

/// Refuses a text for another frontend than the Dockerfile's, whatever its version: it need not even
/// be a Dockerfile. `chosen` is the build argument `BUILDKIT_SYNTAX`, which counts more than the file.
///
/// # Errors
///
/// The frontend is an image that would have to be run.
pub fn check_frontend(text: &str, chosen: Option<&str>) -> Result<(), ParseError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let (name, span) = match chosen.map(str::trim).filter(|chosen| !chosen.is_empty()) {
        Some(chosen) => (chosen.to_owned(), 0..0),
        None => match detect_syntax(text) {
            Some(found) => found,
            None => return Ok(()),
        },
    };
    if name == BUILT_IN || is_own(&name) {
        return Ok(());
    }
    let place = match chosen {
        Some(_) => "the build argument BUILDKIT_SYNTAX",
        None => "`# syntax=`",
    };
    Err(ParseError {
        message: format!(
            "{place} names the frontend `{name}`, and kiln cannot run frontends: it speaks the \
             language of docker/dockerfile itself"
        ),
        span,
        help: Some(
            "if the file is an ordinary Dockerfile, write `# syntax=docker/dockerfile:1` or leave \
             the line out, or pass --build-arg BUILDKIT_SYNTAX=dockerfile.v0"
                .into(),
        ),
    })
}

/// Whether an image is a frontend for Dockerfiles: `[host/…/]docker/dockerfile[:tag][@digest]`.
fn is_own(image: &str) -> bool {
    let name = image.split('@').next().unwrap_or(image);
    // A colon before a slash belongs to the host's port.
    let name = match name.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name,
        _ => name,
    };
    OWN.iter().any(|own| {
        name.strip_suffix(own).is_some_and(|host| host.is_empty() || host.ends_with('/'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dockerfile_frontend_is_built_in_whatever_its_version() {
        for (syntax, fits) in [
            ("docker/dockerfile", true),
            ("docker/dockerfile:1", true),
            ("docker/dockerfile:1.7-labs", true),
            ("docker.io/docker/dockerfile:1.26@sha256:00", true),
            ("docker/dockerfile-upstream:master", true),
            ("registry.example:5000/mirror/docker/dockerfile:1", true),
            ("dockerfile.v0", true),
            ("docker/dockerfile2:1", false),
            ("evildocker/dockerfile", false),
            ("ghcr.io/example/nix", false),
            ("localhost:5000", false),
        ] {
            let text = format!("# syntax={syntax}\nFROM a");
            assert_eq!(check_frontend(&text, None).is_ok(), fits, "{syntax}");
            assert_eq!(check_frontend("FROM a", Some(syntax)).is_ok(), fits, "{syntax}");
        }
        assert!(check_frontend("FROM a", None).is_ok());
    }

    #[test]
    fn the_argument_counts_more_than_the_file_and_an_error_points_to_the_name() {
        let text = "# syntax=other/one:2\nFROM a";
        assert!(check_frontend(text, Some("dockerfile.v0")).is_ok());
        let error = check_frontend(text, None).expect_err("another frontend");
        assert_eq!(&text[error.span.clone()], "other/one:2");
        assert!(error.message.contains("`other/one:2`"), "{error}");
        assert!(check_frontend("{\"syntax\": \"a/b\"}", None).is_err());
    }
}
