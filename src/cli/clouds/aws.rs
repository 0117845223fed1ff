//! Amazon's variables, as its own tools read them
//! (<https://docs.aws.amazon.com/sdkref/latest/guide/environment-variables.html>), and kaniko's for S3.

use super::super::env::{self, Environment};
use crate::registry::{AwsContainer, AwsMetadata, AwsSettings, AwsWebIdentity, StaticKeys};

/// What the environment says.
pub(super) fn settings(env: &Environment) -> AwsSettings {
    let text = |name: &str| env.get(name).map(|value| value.to_string_lossy().into_owned());
    let is_true = |name: &str| text(name).is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let path = |name: &str| env.get(name).map(|value| env.absolute(value));
    let home = path(env::HOME).map(|home| home.join(".aws"));
    let below = |rest: &str| home.as_ref().map(|home| home.join(rest));
    let first = |names: [&str; 2]| names.into_iter().find_map(&text);
    let keys = || {
        Some(StaticKeys {
            id: text(env::AWS_ACCESS_KEY_ID)?,
            secret: text(env::AWS_SECRET_ACCESS_KEY)?.into(),
            token: text(env::AWS_SESSION_TOKEN).map(Into::into),
        })
    };
    let web_identity = || {
        Some(AwsWebIdentity {
            token_file: path(env::AWS_WEB_IDENTITY_TOKEN_FILE)?,
            role: text(env::AWS_ROLE_ARN)?,
            session: text(env::AWS_ROLE_SESSION_NAME),
        })
    };
    let container = || {
        let full = || text(env::AWS_CONTAINER_CREDENTIALS_FULL_URI).map(Ok);
        Some(AwsContainer {
            uri: text(env::AWS_CONTAINER_CREDENTIALS_RELATIVE_URI).map(Err).or_else(full)?,
            token: text(env::AWS_CONTAINER_AUTHORIZATION_TOKEN).map(Into::into),
            token_file: path(env::AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE),
        })
    };
    let mode = text(env::AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE);
    let mut endpoints: std::collections::BTreeMap<String, String> = env
        .beginning_with(env::AWS_ENDPOINT_URL)
        .filter_map(|(rest, value)| {
            let service = if rest.is_empty() { rest } else { rest.strip_prefix('_')? };
            Some((service.to_owned(), value.to_string_lossy().into_owned()))
        })
        .collect();
    if let Some(own) = text(env::S3_ENDPOINT) {
        endpoints.entry("S3".to_owned()).or_insert(own);
    }
    let legacy = text(env::AWS_STS_REGIONAL_ENDPOINTS);
    AwsSettings {
        keys: keys(),
        web_identity: web_identity(),
        profile: first([env::AWS_PROFILE, env::AWS_DEFAULT_PROFILE]),
        credentials_file: path(env::AWS_SHARED_CREDENTIALS_FILE).or_else(|| below("credentials")),
        config_file: path(env::AWS_CONFIG_FILE).or_else(|| below("config")),
        container: container(),
        metadata: AwsMetadata {
            disabled: is_true(env::AWS_EC2_METADATA_DISABLED),
            endpoint: text(env::AWS_EC2_METADATA_SERVICE_ENDPOINT),
            ipv6: mode.is_some_and(|mode| mode.eq_ignore_ascii_case("ipv6")),
        },
        region: first([env::AWS_REGION, env::AWS_DEFAULT_REGION]),
        endpoints,
        use_fips: is_true(env::AWS_USE_FIPS_ENDPOINT),
        legacy_sts: legacy.is_some_and(|mode| mode.eq_ignore_ascii_case("legacy")),
        path_style: is_true(env::S3_FORCE_PATH_STYLE),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn of(variables: &[(&str, &str)]) -> AwsSettings {
        let variables = variables.iter().map(|(name, value)| (name.into(), value.into()));
        settings(&Environment::new("/here".into(), variables))
    }

    #[test]
    fn variables_become_settings() {
        let all = of(&[
            ("HOME", "/home/u"),
            ("AWS_ACCESS_KEY_ID", "AKID"),
            ("AWS_SECRET_ACCESS_KEY", "geheim"),
            ("AWS_WEB_IDENTITY_TOKEN_FILE", "token"),
            ("AWS_ROLE_ARN", "arn"),
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://localhost/x"),
            ("AWS_CONFIG_FILE", "/c"),
            ("AWS_DEFAULT_REGION", "eu-west-1"),
            ("AWS_ENDPOINT_URL", "http://all"),
            ("AWS_ENDPOINT_URL_ECR_PUBLIC", "http://public"),
            ("S3_ENDPOINT", "http://s3"),
            ("S3_FORCE_PATH_STYLE", "true"),
            ("AWS_STS_REGIONAL_ENDPOINTS", "legacy"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
        ]);
        assert_eq!(all.keys.as_ref().map(|keys| keys.id.as_str()), Some("AKID"));
        assert!(!format!("{all:?}").contains("geheim"));
        let identity = all.web_identity.expect("both are set");
        assert_eq!(identity.token_file, PathBuf::from("/here/token"));
        assert_eq!(all.container.expect("set").uri, Ok("http://localhost/x".into()));
        assert_eq!(all.credentials_file, Some("/home/u/.aws/credentials".into()));
        assert_eq!(all.config_file, Some("/c".into()));
        assert_eq!(all.region.as_deref(), Some("eu-west-1"));
        let endpoints: Vec<_> =
            all.endpoints.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let expected = [("", "http://all"), ("ECR_PUBLIC", "http://public"), ("S3", "http://s3")];
        assert_eq!(endpoints, expected);
        assert!(all.path_style && all.legacy_sts && all.metadata.disabled && !all.use_fips);
        let half = of(&[("AWS_ACCESS_KEY_ID", "AKID"), ("AWS_ROLE_ARN", "arn")]);
        assert_eq!((half.keys, half.web_identity, half.container), (None, None, None));
        let own = of(&[("AWS_ENDPOINT_URL_S3", "http://a"), ("S3_ENDPOINT", "http://b")]);
        assert_eq!(own.endpoints["S3"], "http://a");
    }
}
