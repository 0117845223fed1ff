//! Google's registries and Cloud Storage.
//!
//! Who this machine is, is found in the order of Application Default Credentials
//! (cloud.google.com/docs/authentication/application-default-credentials): the file that
//! `GOOGLE_APPLICATION_CREDENTIALS` names, the file that `gcloud auth application-default login`
//! writes, the metadata server. A finished token in a variable comes before all of them.

mod credentials;
mod external;
mod impersonation;
mod metadata;
mod service_account;
mod storage;
mod user;

use std::path::PathBuf;

use super::ask::bearer_header;
use super::file::{shown, small_text};
use super::token::{Found, Kept, Lack, Token};
use super::{CloudAnswer, CloudLogin, SignedGet};
use crate::registry::auth::{Credentials, Secret};
use crate::registry::transport::Pool;

/// The user of a login whose password is an access token
/// (cloud.google.com/artifact-registry/docs/docker/authentication).
const USER: &str = "oauth2accesstoken";
/// What a token is good for; what the account may do is up to its roles.
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
/// The one purpose that tokens are kept for.
const CLOUD_PLATFORM: &str = "cloud-platform";

/// What the environment says. Paths are absolute.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GoogleSettings {
    /// An access token, and the variable that has it.
    pub access_token: Option<(String, Secret)>,
    /// The file with an access token, and the variable that names it.
    pub access_token_file: Option<(String, PathBuf)>,
    /// `GOOGLE_APPLICATION_CREDENTIALS`.
    pub credentials_file: Option<PathBuf>,
    /// Where `gcloud auth application-default login` writes.
    pub well_known_file: Option<PathBuf>,
    /// None where it must not be asked.
    pub metadata: Option<GoogleMetadata>,
    /// `STORAGE_EMULATOR_HOST`: `[http://]host:port` in place of Google's.
    pub storage_emulator: Option<String>,
}

/// Where the metadata server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GoogleMetadata {
    /// At its usual address, if this is a machine of Google's.
    Usual,
    /// At this `host[:port]` (`GCE_METADATA_HOST`).
    At(String),
}

/// Asks for logins and signs.
#[derive(Debug)]
pub(super) struct Google {
    settings: GoogleSettings,
    tokens: Kept,
}

impl Google {
    pub(super) fn new(settings: GoogleSettings) -> Self {
        Self { settings, tokens: Kept::default() }
    }

    pub(super) async fn login(&self, http: &Pool, _registry: &str) -> CloudAnswer<CloudLogin> {
        let token = self.tokens.get(CLOUD_PLATFORM, self.search(http)).await?;
        Ok(CloudLogin {
            credentials: Credentials::Basic {
                user: USER.into(),
                password: token.value.expose().to_owned(),
            },
            source: token.source,
            until: token.until,
        })
    }

    pub(super) async fn sign(
        &self,
        http: &Pool,
        bucket: &str,
        name: &str,
    ) -> CloudAnswer<SignedGet> {
        let emulator = self.settings.storage_emulator.as_deref();
        let url = storage::media(emulator, bucket, name)?;
        // Emulators know nobody, and may be on a network where a token would be seen.
        if emulator.is_some() {
            let identity = Err("STORAGE_EMULATOR_HOST is set, and emulators know nobody".into());
            return Ok(SignedGet { url, headers: Vec::new(), identity });
        }
        match self.tokens.get(CLOUD_PLATFORM, self.search(http)).await {
            Ok(token) => {
                let headers = vec![bearer_header(token.value.expose())?];
                Ok(SignedGet { url, headers, identity: Ok(token.source) })
            }
            Err(Lack::Nobody(why)) => {
                Ok(SignedGet { url, headers: Vec::new(), identity: Err(why) })
            }
            Err(Lack::Broken(why)) => Err(why),
        }
    }

    /// What would be asked for an identity, without asking.
    pub(super) fn plan(&self) -> CloudAnswer<String> {
        let settings = &self.settings;
        if let Some((variable, _)) = &settings.access_token {
            return Ok(format!("would use the access token in {variable}"));
        }
        let existing = settings.well_known_file.as_ref().filter(|path| path.exists());
        let named = settings.access_token_file.as_ref().map(|(_, path)| path);
        if let Some(path) = named.or(settings.credentials_file.as_ref()).or(existing) {
            let there = path.is_file();
            return if there {
                Ok(format!("would use {}", shown(path)))
            } else {
                Err(format!("{} is not there, and is named by a variable", shown(path)))
            };
        }
        match &settings.metadata {
            Some(GoogleMetadata::At(host)) => {
                Ok(format!("would ask the metadata server at {host}"))
            }
            Some(GoogleMetadata::Usual) => {
                Ok("would ask the metadata server, if this machine is Google's".into())
            }
            None => Err("no file and no variable has an identity, and NO_GCE_CHECK is set".into()),
        }
    }

    /// The first place that has an identity decides, as in Google's libraries: what is broken there
    /// would otherwise be hidden by an identity that nobody meant.
    async fn search(&self, http: &Pool) -> Found {
        let settings = &self.settings;
        if let Some((variable, token)) = &settings.access_token {
            let source = format!("the access token in {variable}");
            if token.expose().trim().is_empty() {
                return Err(Lack::Broken(format!("{source} is empty")));
            }
            return Ok(Token::endless(token.expose().trim().to_owned().into(), source));
        }
        if let Some((variable, path)) = &settings.access_token_file {
            let source = format!("the access token in {}", path.display());
            let text = small_text(path)
                .map_err(|why| Lack::Broken(format!("{why} ({variable} names it)")))?;
            return Ok(Token::endless(text.into(), source));
        }
        let mut looked = vec!["GOOGLE_APPLICATION_CREDENTIALS is not set".to_owned()];
        if let Some(path) = &settings.credentials_file {
            let token = credentials::token(http, path).await;
            return token.map_err(|why| {
                Lack::Broken(format!("{why} (GOOGLE_APPLICATION_CREDENTIALS names it)"))
            });
        }
        match &settings.well_known_file {
            Some(path) if path.exists() => {
                return credentials::token(http, path).await.map_err(Lack::Broken);
            }
            Some(path) => looked.push(format!("{} does not exist", path.display())),
            None => {}
        }
        match &settings.metadata {
            None => looked.push("the metadata server is not asked (NO_GCE_CHECK)".into()),
            Some(metadata) => match metadata::token(http, metadata).await {
                Ok(token) => return Ok(token),
                Err(Lack::Nobody(why)) => looked.push(why),
                Err(broken) => return Err(broken),
            },
        }
        Err(Lack::Nobody(format!("no service account of Google's: {}", looked.join(", "))))
    }
}

/// Whether a host is a registry of Google's: Container Registry, Artifact Registry, and the mirrors
/// and internal ones that Google's keychain for Go knows (go-containerregistry, pkg/v1/google).
pub(super) fn is_registry(host: &str) -> bool {
    let host = host.to_ascii_lowercase();
    let below = [".gcr.io", ".pkg.dev", ".google.com"];
    host == "gcr.io" || below.iter().any(|domain| host.ends_with(domain))
}

#[cfg(test)]
mod tests;
