//! What a cloud knows of who this machine is: logins for its registries that no file has, and
//! signatures for its object stores. No helper program is run.
//!
//! | module | registries | objects |
//! |---|---|---|
//! | `aws` | Amazon ECR, private and public | `s3://` |
//! | `google` | Artifact Registry, Container Registry | `gs://` |
//! | `azure` | Azure Container Registry | `https://….blob.core.windows.net/…` |

mod ask;
mod aws;
mod azure;
mod endpoint;
mod file;
mod google;
mod jwt;
mod memory;
mod object;
mod token;

use std::fmt;
use std::time::SystemTime;

use reqwest::header::{HeaderName, HeaderValue};
use reqwest::{Response, Url};

pub use self::aws::{AwsContainer, AwsMetadata, AwsSettings, AwsWebIdentity, StaticKeys};
pub use self::azure::{AzureManaged, AzureSettings, AzureStorage};
pub use self::google::{GoogleMetadata, GoogleSettings};
pub(super) use self::memory::{Ends, Memory};
pub use self::object::Object;

use self::aws::Aws;
use self::azure::Azure;
use self::file::small_file;
use self::google::Google;
use super::auth::Credentials;
use super::transport::Pool;

/// What the clouds' own tools would find in the environment. Shows no secret.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CloudSettings {
    /// Amazon's.
    pub aws: AwsSettings,
    /// Google's.
    pub google: GoogleSettings,
    /// Microsoft's.
    pub azure: AzureSettings,
}

/// Whose cloud.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cloud {
    /// Amazon Web Services.
    Aws,
    /// Google Cloud.
    Google,
    /// Microsoft Azure.
    Azure,
}

/// A login for a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CloudLogin {
    pub(super) credentials: Credentials,
    /// Whose and from where; `kiln used …`.
    pub(super) source: String,
    /// Until when it can be used; the token server's answer may end sooner.
    pub(super) until: SystemTime,
}

impl Ends for CloudLogin {
    fn end(&self) -> Option<SystemTime> {
        Some(self.until)
    }
}

/// A request for an object that its store will answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SignedGet {
    pub(super) url: Url,
    /// Those with secrets are marked as sensitive.
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    /// Whose signature it is (`the keys of AWS_ACCESS_KEY_ID`), or why there is none; either ends a
    /// sentence.
    pub(super) identity: Result<String, String>,
}

/// Why a cloud gives nothing; a sentence's end, without secrets: what was looked for, and what each
/// place said.
pub(super) type CloudAnswer<T> = Result<T, String>;

/// All clouds.
#[derive(Debug)]
pub(super) struct Clouds {
    aws: Aws,
    google: Google,
    azure: Azure,
}

impl Clouds {
    pub(super) fn new(settings: &CloudSettings) -> Self {
        Self {
            aws: Aws::new(settings.aws.clone()),
            google: Google::new(settings.google.clone()),
            azure: Azure::new(settings.azure.clone()),
        }
    }

    /// A login for a registry of a cloud. Ask only where [`Cloud::of`] says that it is one. Answers
    /// are not kept here.
    pub(super) async fn login(
        &self,
        http: &Pool,
        cloud: Cloud,
        registry: &str,
    ) -> CloudAnswer<CloudLogin> {
        match cloud {
            Cloud::Aws => self.aws.login(http, registry).await,
            Cloud::Google => self.google.login(http, registry).await,
            Cloud::Azure => self.azure.login(http, registry).await,
        }
    }

    /// Signs a request for an object, as of now. Without any identity it stays unsigned, since the
    /// object may be public; whoever is refused then hears why from the error here. `from` is the
    /// first byte that is asked for: where it is not 0, the request has `Range: bytes=FROM-` beside
    /// the signer's headers, which Azure's keys sign.
    pub(super) async fn sign(
        &self,
        http: &Pool,
        object: &Object,
        from: u64,
    ) -> CloudAnswer<SignedGet> {
        match object {
            Object::S3 { bucket, key } => self.aws.sign(http, bucket, key).await,
            Object::Google { bucket, name } => self.google.sign(http, bucket, name).await,
            Object::Azure { address } => self.azure.sign(http, address, from).await,
        }
    }

    /// What would be asked for an identity, without asking; follows the cloud's name.
    ///
    /// # Errors
    /// Why there is nobody to ask.
    pub(super) fn plan(&self, cloud: Cloud) -> CloudAnswer<String> {
        match cloud {
            Cloud::Aws => self.aws.plan(),
            Cloud::Google => self.google.plan(),
            Cloud::Azure => self.azure.plan(),
        }
    }

    /// Takes in an answer that is no object. Whether the next signature is for another place.
    pub(super) fn learn(&self, object: &Object, response: &Response) -> bool {
        match object {
            Object::S3 { bucket, .. } => self.aws.learn(bucket, response),
            Object::Google { .. } | Object::Azure { .. } => false,
        }
    }
}

impl Cloud {
    /// Whose a registry is, by its name, whatever the port.
    pub fn of(registry: &str) -> Option<Self> {
        let host = registry.split(':').next().unwrap_or_default();
        if aws::is_registry(host) {
            Some(Self::Aws)
        } else if google::is_registry(host) {
            Some(Self::Google)
        } else if azure::is_registry(host) {
            Some(Self::Azure)
        } else {
            None
        }
    }

    /// Whose login a helper program (`docker-credential-NAME`) would get.
    pub fn of_helper(program: &str) -> Option<Self> {
        match program {
            "ecr-login" => Some(Self::Aws),
            "gcr" | "gcloud" => Some(Self::Google),
            "acr-env" | "acr" => Some(Self::Azure),
            _ => None,
        }
    }
}

impl fmt::Display for Cloud {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Aws => "Amazon Web Services",
            Self::Google => "Google Cloud",
            Self::Azure => "Microsoft Azure",
        })
    }
}

#[cfg(test)]
mod testing;
