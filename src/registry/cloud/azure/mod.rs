//! Microsoft's registries and blob storage.

mod blob;
mod identity;
mod managed;
mod registry;

use std::path::PathBuf;

use reqwest::Url;

use self::blob::Signed;
use super::ask::bearer_header;
use super::token::{Found, Kept, Lack};
use super::{CloudAnswer, CloudLogin, SignedGet};
use crate::registry::auth::Secret;
use crate::registry::transport::Pool;

/// What the environment says. Paths are absolute.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AzureSettings {
    /// `AZURE_TENANT_ID`.
    pub tenant: Option<String>,
    /// `AZURE_CLIENT_ID`: an application, or a user-assigned managed identity.
    pub client: Option<String>,
    /// `AZURE_CLIENT_SECRET`.
    pub secret: Option<Secret>,
    /// `AZURE_CLIENT_CERTIFICATE_PATH`: certificate and key in PEM.
    pub certificate: Option<PathBuf>,
    /// `AZURE_FEDERATED_TOKEN_FILE`.
    pub federated_token: Option<PathBuf>,
    /// `AZURE_AUTHORITY_HOST`, where it is not the cloud's.
    pub authority: Option<String>,
    /// `AZURE_ENVIRONMENT`: which of Microsoft's clouds.
    pub environment: Option<String>,
    /// Where a managed identity would be asked for. None where nobody must be asked.
    pub managed: Option<AzureManaged>,
    /// Who may read blobs.
    pub storage: AzureStorage,
}

/// Microsoft's clouds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AzureCloud {
    Public,
    Government,
    China,
    /// Closed; its names are still accepted.
    Germany,
}

/// Where a managed identity is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AzureManaged {
    /// Virtual machines: at the usual address, if this is a machine of Microsoft's.
    Usual,
    /// The same at another address (`AZURE_POD_IDENTITY_AUTHORITY_HOST`), `http://host[:port]`.
    At(String),
    /// App Service, Functions, Container Apps: `IDENTITY_ENDPOINT` and `IDENTITY_HEADER`.
    Service {
        /// A URL.
        endpoint: String,
        /// What has to be shown there.
        header: Secret,
    },
}

/// Who may read blobs, and where they are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AzureStorage {
    /// The account that key and signature are for. A key without one is for any account, as kaniko
    /// has it: it never leaves this machine.
    pub account: Option<String>,
    /// The account's key in base64, and the variable that it is from.
    pub key: Option<(String, Secret)>,
    /// A shared access signature (`sv=…&sig=…`), and the variable that it is from. Without an
    /// account it is for what is below the endpoint, and without that one for nobody, as it would be
    /// shown to any.
    pub signature: Option<(String, Secret)>,
    /// The account's own address, where it is none of Microsoft's: `http://host:port/account`.
    pub endpoint: Option<String>,
}

/// Asks for logins and signs.
#[derive(Debug)]
pub(super) struct Azure {
    settings: AzureSettings,
    tokens: Kept,
}

impl Azure {
    pub(super) fn new(settings: AzureSettings) -> Self {
        Self { settings, tokens: Kept::default() }
    }

    pub(super) async fn login(&self, http: &Pool, registry: &str) -> CloudAnswer<CloudLogin> {
        let mut refused = Vec::new();
        for resource in registry::resources(self.settings.cloud()?) {
            // A token for the wrong service, or none for this one, is no reason to give up; that
            // nobody is here is.
            let why = match self.token(http, resource).await {
                Ok(token) => {
                    let tenant = self.settings.tenant.as_deref();
                    match registry::exchange(http, registry, tenant, &token).await {
                        Ok(login) => return Ok(login),
                        Err(why) => format!("{} is not accepted: {why}", token.source),
                    }
                }
                Err(Lack::Nobody(why)) => return Err(why),
                Err(Lack::Broken(why)) => why,
            };
            if !refused.contains(&why) {
                refused.push(why);
            }
        }
        Err(refused.join("; "))
    }

    /// `from` is the first byte that is asked for, which keys sign.
    pub(super) async fn sign(
        &self,
        http: &Pool,
        address: &str,
        from: u64,
    ) -> CloudAnswer<SignedGet> {
        let url = blob::parse(address)?;
        let unusable = match blob::sign(&self.settings.storage, &url, from)? {
            Signed::Yes(signed) => return Ok(signed),
            Signed::No(why) => why,
        };
        let unsigned = |headers, why: String| {
            let why = unusable.iter().map(String::as_str).chain([why.as_str()]);
            let identity = Err(why.collect::<Vec<_>>().join(", "));
            SignedGet { url: url.clone(), headers, identity }
        };
        if !blob::may_see_tokens(&url) {
            let why = format!("{} is no server of Azure's that may see a token", origin(&url));
            return Ok(unsigned(Vec::new(), why));
        }
        match self.token(http, blob::RESOURCE).await {
            Ok(token) => {
                let headers = vec![blob::version(), bearer_header(token.value.expose())?];
                Ok(SignedGet { url, headers, identity: Ok(token.source) })
            }
            Err(Lack::Nobody(why)) => Ok(unsigned(vec![blob::version()], why)),
            Err(Lack::Broken(why)) => Err(why),
        }
    }

    /// What would be asked for an identity, without asking.
    pub(super) fn plan(&self) -> CloudAnswer<String> {
        identity::plan(&self.settings)
    }

    /// An access token for a service of Azure's.
    async fn token(&self, http: &Pool, resource: &str) -> Found {
        let fetch = identity::token(http, &self.settings, resource);
        self.tokens.get(resource, fetch).await
    }
}

/// Whether a host is a registry of Microsoft's, in any of its clouds.
pub(super) fn is_registry(host: &str) -> bool {
    let host = host.to_ascii_lowercase();
    let domains = [".azurecr.io", ".azurecr.cn", ".azurecr.de", ".azurecr.us"];
    domains.iter().any(|domain| host.ends_with(domain) && host.len() > domain.len())
}

impl AzureSettings {
    /// The cloud of the name in `AZURE_ENVIRONMENT`, in any case, as Microsoft's library for Go has
    /// it (go-autorest, azure/environments.go).
    fn cloud(&self) -> CloudAnswer<AzureCloud> {
        let Some(name) = &self.environment else { return Ok(AzureCloud::Public) };
        match name.to_ascii_uppercase().as_str() {
            "AZURECLOUD" | "AZUREPUBLICCLOUD" => Ok(AzureCloud::Public),
            "AZUREUSGOVERNMENT" | "AZUREUSGOVERNMENTCLOUD" => Ok(AzureCloud::Government),
            "AZURECHINACLOUD" => Ok(AzureCloud::China),
            "AZUREGERMANCLOUD" => Ok(AzureCloud::Germany),
            _ => Err(format!(
                "AZURE_ENVIRONMENT is `{name}`, and not AzurePublicCloud, AzureUSGovernmentCloud, \
                 AzureChinaCloud or AzureGermanCloud"
            )),
        }
    }
}

impl AzureStorage {
    /// Whether an address is that of a blob: at Microsoft's names for accounts, or below the
    /// account's own address.
    pub fn is_blob(&self, address: &str) -> bool {
        blob::parse(address).is_ok_and(|url| blob::is_blob(self, &url))
    }

    /// The account that one of Microsoft's own endpoints belongs to, by its host.
    pub fn account_of(endpoint: &str) -> Option<String> {
        let url = blob::parse(endpoint).ok()?;
        blob::account_of_host(&url).map(str::to_owned)
    }
}

impl AzureCloud {
    /// Who hands out tokens.
    fn authority(self) -> &'static str {
        match self {
            Self::Public => "https://login.microsoftonline.com/",
            Self::Government => "https://login.microsoftonline.us/",
            Self::China => "https://login.chinacloudapi.cn/",
            Self::Germany => "https://login.microsoftonline.de/",
        }
    }

    /// The service that manages all others.
    fn management(self) -> &'static str {
        match self {
            Self::Public => "https://management.azure.com/",
            Self::Government => "https://management.usgovcloudapi.net/",
            Self::China => "https://management.chinacloudapi.cn/",
            Self::Germany => "https://management.microsoftazure.de/",
        }
    }
}

/// `scheme://host[:port]` of a URL, for errors.
fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

#[cfg(test)]
mod tests;
