//! What the environment says, as Amazon's own tools read it
//! (<https://docs.aws.amazon.com/sdkref/latest/guide/settings-reference.html>).

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use crate::registry::auth::Secret;

/// What the environment says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AwsSettings {
    /// `AWS_ACCESS_KEY_ID` and its relatives.
    pub keys: Option<StaticKeys>,
    /// `AWS_WEB_IDENTITY_TOKEN_FILE` and `AWS_ROLE_ARN`.
    pub web_identity: Option<AwsWebIdentity>,
    /// `AWS_PROFILE`.
    pub profile: Option<String>,
    /// Where keys are, of each profile.
    pub credentials_file: Option<PathBuf>,
    /// Where all else is.
    pub config_file: Option<PathBuf>,
    /// Who gives keys to containers.
    pub container: Option<AwsContainer>,
    /// Who gives keys to instances.
    pub metadata: AwsMetadata,
    /// `AWS_REGION`, else `AWS_DEFAULT_REGION`.
    pub region: Option<String>,
    /// Addresses of services, by name (`STS`, `ECR`, `ECR_PUBLIC`, `S3`; empty for all others).
    pub endpoints: BTreeMap<String, String>,
    /// `AWS_USE_FIPS_ENDPOINT`.
    pub use_fips: bool,
    /// `AWS_STS_REGIONAL_ENDPOINTS` is `legacy`.
    pub legacy_sts: bool,
    /// `S3_FORCE_PATH_STYLE`: buckets are in paths, not in names of hosts.
    pub path_style: bool,
}

/// Keys of a user, or of a role that somebody else has taken on.
#[derive(Clone, PartialEq, Eq)]
pub struct StaticKeys {
    /// The key's name.
    pub id: String,
    /// The key.
    pub secret: Secret,
    /// Of keys that end.
    pub token: Option<Secret>,
}

impl fmt::Debug for StaticKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StaticKeys(..)")
    }
}

/// A token of somebody whom a role trusts: of a Kubernetes service account, or GitLab's `id_tokens`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsWebIdentity {
    /// The file that holds it; absolute.
    pub token_file: PathBuf,
    /// The role's name (ARN).
    pub role: String,
    /// What the session is called.
    pub session: Option<String>,
}

/// Who gives keys to containers: ECS, or the agent of EKS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsContainer {
    /// An address, or the path at ECS's own host.
    pub uri: Result<String, String>,
    /// What it is shown.
    pub token: Option<Secret>,
    /// The file with that; absolute. It is read each time, and comes first.
    pub token_file: Option<PathBuf>,
}

/// The instance's metadata service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AwsMetadata {
    /// `AWS_EC2_METADATA_DISABLED`.
    pub disabled: bool,
    /// `AWS_EC2_METADATA_SERVICE_ENDPOINT`.
    pub endpoint: Option<String>,
    /// `AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE` is `IPv6`.
    pub ipv6: bool,
}

impl AwsSettings {
    /// The address of a service that the user chose.
    pub(super) fn endpoint(&self, service: &str) -> Option<&str> {
        let own = self.endpoints.get(service).or_else(|| self.endpoints.get(""));
        own.map(|address| address.trim_end_matches('/'))
    }
}
