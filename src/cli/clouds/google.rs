//! Google's variables, as its libraries and gcloud read them.

use std::path::PathBuf;

use super::super::env::{self, Environment};
use super::text;
use crate::registry::{GoogleMetadata, GoogleSettings};

/// An access token: gcloud's variable, and that of Google's provider for Terraform.
const ACCESS_TOKENS: [&str; 2] = ["CLOUDSDK_AUTH_ACCESS_TOKEN", "GOOGLE_OAUTH_ACCESS_TOKEN"];
/// gcloud's: the file with an access token.
const ACCESS_TOKEN_FILE: &str = "CLOUDSDK_AUTH_ACCESS_TOKEN_FILE";
/// The file with credentials.
const APPLICATION_CREDENTIALS: &str = "GOOGLE_APPLICATION_CREDENTIALS";
/// gcloud's own directory; `~/.config/gcloud` if it is not set.
const CLOUDSDK_CONFIG: &str = "CLOUDSDK_CONFIG";
/// Where the metadata server is.
const METADATA_HOST: &str = "GCE_METADATA_HOST";
/// `true` where the metadata server must not be asked.
const NO_GCE_CHECK: &str = "NO_GCE_CHECK";
/// What takes the place of Cloud Storage.
const STORAGE_EMULATOR_HOST: &str = "STORAGE_EMULATOR_HOST";

/// What the environment says.
pub(super) fn settings(env: &Environment) -> GoogleSettings {
    let path = |name: &str| env.get(name).map(|value| env.absolute(value));
    let token = ACCESS_TOKENS.into_iter().find_map(|name| Some((name, text(env, name)?)));
    GoogleSettings {
        access_token: token.map(|(name, token)| (name.to_owned(), token.into())),
        access_token_file: path(ACCESS_TOKEN_FILE).map(|path| (ACCESS_TOKEN_FILE.to_owned(), path)),
        credentials_file: path(APPLICATION_CREDENTIALS),
        well_known_file: well_known_file(env),
        metadata: metadata(env),
        storage_emulator: text(env, STORAGE_EMULATOR_HOST),
    }
}

fn well_known_file(env: &Environment) -> Option<PathBuf> {
    let path = |name: &str| env.get(name).map(|value| env.absolute(value));
    let dir = path(CLOUDSDK_CONFIG).or_else(|| Some(path(env::HOME)?.join(".config/gcloud")));
    Some(dir?.join("application_default_credentials.json"))
}

fn metadata(env: &Environment) -> Option<GoogleMetadata> {
    let off = text(env, NO_GCE_CHECK).is_some_and(|value| value.eq_ignore_ascii_case("true"));
    match text(env, METADATA_HOST) {
        Some(host) => Some(GoogleMetadata::At(host)),
        None if off => None,
        None => Some(GoogleMetadata::Usual),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings_of(variables: &[(&str, &str)]) -> GoogleSettings {
        let variables = variables.iter().map(|(name, value)| (name.into(), value.into()));
        settings(&Environment::new("/here".into(), variables))
    }

    #[test]
    fn variables_become_paths_and_hosts() {
        let found = settings_of(&[
            ("HOME", "/home/u"),
            ("GOOGLE_APPLICATION_CREDENTIALS", "key.json"),
            ("CLOUDSDK_AUTH_ACCESS_TOKEN_FILE", "/token"),
            ("GOOGLE_OAUTH_ACCESS_TOKEN", "geheim"),
            ("STORAGE_EMULATOR_HOST", "127.0.0.1:9023"),
        ]);
        let expected = GoogleSettings {
            access_token: Some(("GOOGLE_OAUTH_ACCESS_TOKEN".into(), "geheim".into())),
            access_token_file: Some(("CLOUDSDK_AUTH_ACCESS_TOKEN_FILE".into(), "/token".into())),
            credentials_file: Some("/here/key.json".into()),
            well_known_file: Some(
                "/home/u/.config/gcloud/application_default_credentials.json".into(),
            ),
            metadata: Some(GoogleMetadata::Usual),
            storage_emulator: Some("127.0.0.1:9023".into()),
        };
        assert_eq!(found, expected);
        assert!(!format!("{found:?}").contains("geheim"));
    }

    #[test]
    fn the_metadata_server_can_be_elsewhere_or_nowhere() {
        let at = |host: &str| Some(GoogleMetadata::At(host.into()));
        assert_eq!(settings_of(&[("GCE_METADATA_HOST", "h:1")]).metadata, at("h:1"));
        assert_eq!(settings_of(&[("NO_GCE_CHECK", "True")]).metadata, None);
        assert_eq!(settings_of(&[("NO_GCE_CHECK", "0")]).metadata, Some(GoogleMetadata::Usual));
        let gcloud = settings_of(&[("CLOUDSDK_CONFIG", "gcloud"), ("HOME", "/home/u")]);
        let path = "/here/gcloud/application_default_credentials.json";
        assert_eq!(gcloud.well_known_file, Some(path.into()));
        assert_eq!(settings_of(&[]).well_known_file, None);
    }
}
