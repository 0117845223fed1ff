//! What is likely behind a refusal, where a registry's habits are known.

use reqwest::header::HeaderMap;

use super::failure::Asked;
use crate::registry::auth::Credentials;
use crate::registry::reference::{HUB, api_host};

/// The user of a job of GitLab's.
const JOB_USER: &str = "gitlab-ci-token";

/// The likely reason of a 401 or 403, starting with `. `; may be empty.
pub(super) fn refusal(asked: &Asked<'_>) -> &'static str {
    let pushes = may_push(asked.scope);
    let user = match &asked.found.credentials {
        Some(Credentials::Basic { user, .. }) => user.as_str(),
        _ => "",
    };
    let host = asked.host;
    match () {
        // https://docs.gitlab.com/ci/jobs/ci_job_token/ and
        // https://docs.gitlab.com/user/packages/container_registry/protected_container_tags/
        () if user == JOB_USER && pushes => {
            ". The token of a GitLab job may push only to the registry of its own project \
             (CI_REGISTRY_IMAGE), and not to a tag that a rule protects from it"
        }
        () if user == JOB_USER => {
            ". The token of a GitLab job may read other projects only where they allow it (their \
             settings, CI/CD, job token permissions)"
        }
        // https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-push-iam.html
        () if host.contains(".dkr.ecr.") && pushes => {
            ". On Amazon ECR the repository must exist, and the role needs the ecr: actions \
             InitiateLayerUpload, UploadLayerPart, CompleteLayerUpload, BatchCheckLayerAvailability \
             and PutImage for it"
        }
        // https://docs.github.com/packages/working-with-a-github-packages-registry/working-with-the-container-registry
        () if host == "ghcr.io" && pushes => {
            ". On ghcr.io a token needs `write:packages`, and a job of GitHub Actions \
             `permissions: packages: write`"
        }
        () if is_hub(host) && pushes && asked.scope.starts_with("repository:library/") => {
            ". A name without an account is one of Docker Hub's own images: write ACCOUNT/NAME"
        }
        () => "",
    }
}

/// Whether one of the scopes has the action; the names of repositories are people's.
fn may_push(scopes: &str) -> bool {
    let actions = scopes.split(' ').filter_map(|scope| scope.rsplit_once(':'));
    actions.flat_map(|(_, actions)| actions.split(',')).any(|action| action == "push")
}

fn is_hub(host: &str) -> bool {
    host == api_host(HUB) || host == "auth.docker.io"
}

/// What a registry says of its limit, starting with `; `; may be empty. Docker Hub's headers:
/// `100;w=21600` is 100 requests in so many seconds, and the source is an address or account
/// (<https://docs.docker.com/docker-hub/usage/pulls/>).
pub(super) fn limit(headers: &HeaderMap) -> String {
    let text = |name: &str| {
        let text = headers.get(name).and_then(|text| text.to_str().ok()).unwrap_or_default();
        super::clean(text)
    };
    let count = |text: String| -> Option<(u64, Option<u64>)> {
        let (count, window) = text.split_once(";w=").unwrap_or((&text, ""));
        Some((count.trim().parse().ok()?, window.trim().parse().ok()))
    };
    let mut said = Vec::new();
    if let Some((count, window)) = count(text("ratelimit-limit")) {
        let window = window.map(|seconds| match seconds {
            s if s > 0 && s % 3600 == 0 => format!(" in {} h", s / 3600),
            s => format!(" in {s} s"),
        });
        said.push(format!("its limit is {count}{}", window.unwrap_or_default()));
    }
    if let Some((left, _)) = count(text("ratelimit-remaining")) {
        said.push(format!("{left} are left"));
    }
    let source = text("docker-ratelimit-source");
    if !source.is_empty() {
        said.push(format!("counted for `{source}`"));
    }
    if said.is_empty() { String::new() } else { format!("; {}", said.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::auth::Found;
    use reqwest::header::HeaderValue;

    #[test]
    fn limits_are_told_as_far_as_they_are_known() {
        for (given, expected) in [
            (&[][..], ""),
            (&[("ratelimit-limit", "100;w=21600")], "; its limit is 100 in 6 h"),
            (
                &[
                    ("ratelimit-limit", "200;w=90"),
                    ("ratelimit-remaining", "0;w=90"),
                    ("docker-ratelimit-source", "192.0.2.7"),
                ],
                "; its limit is 200 in 90 s, 0 are left, counted for `192.0.2.7`",
            ),
            (&[("ratelimit-limit", "many")], ""),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in given {
                headers.insert(*name, HeaderValue::from_static(value));
            }
            assert_eq!(limit(&headers), expected);
        }
    }

    #[test]
    fn known_registries_have_known_reasons() {
        let job = || Credentials::Basic { user: JOB_USER.into(), password: "secret".into() };
        for (host, scope, credentials, part) in [
            ("r.example", "repository:a/b:pull,push", Some(job()), "own project"),
            ("r.example", "repository:a/b:pull", Some(job()), "job token permissions"),
            ("r.example", "repository:a/pushgateway:pull", Some(job()), "job token permissions"),
            ("r.example", "repository:a:pull repository:b:pull,push", Some(job()), "own project"),
            ("1.dkr.ecr.eu-west-1.amazonaws.com", "repository:a:pull,push", None, "PutImage"),
            ("ghcr.io", "repository:a/b:pull,push", None, "packages: write"),
            ("registry-1.docker.io", "repository:library/b:pull,push", None, "ACCOUNT/NAME"),
        ] {
            let found = Found { credentials, source: "x".into() };
            let asked = Asked { host, action: "push", what: "", scope, found: &found };
            let hint = refusal(&asked);
            assert!(hint.contains(part) && hint.starts_with(". "), "{host}: {hint}");
        }
        let found = Found { credentials: None, source: "x".into() };
        let scope = "repository:a/b:pull,push";
        let asked = Asked { host: "r.example", action: "push", what: "", scope, found: &found };
        assert_eq!(refusal(&asked), "");
    }
}
