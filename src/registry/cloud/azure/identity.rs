//! Who this machine is to Microsoft Entra: an application with a secret, a certificate or a token of
//! someone else, or a managed identity. The order is that of Microsoft's libraries
//! (learn.microsoft.com/azure/developer/go/sdk/authentication/credential-chains).

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom as _, SystemRandom};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::json;

use super::{AzureManaged, AzureSettings, managed};
use crate::registry::auth::Secret;
use crate::registry::cloud::ask::Question;
use crate::registry::cloud::jwt::{Algorithm, Key};
use crate::registry::cloud::token::{Found, Granted, Lack, Token, now};
use crate::registry::cloud::{CloudAnswer, endpoint, small_file};
use crate::registry::transport::Pool;

const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// Seconds; the longest that Entra accepts is a day, and one request needs no more than this.
const LIFE: u64 = 600;

/// An application of a tenant, and how it proves to be it.
struct Application<'a> {
    tenant: &'a str,
    client: &'a str,
    proof: Proof<'a>,
}

enum Proof<'a> {
    Secret(&'a Secret),
    Certificate(&'a Path),
    Federated(&'a Path),
}

/// A token for a service, from the first place that has an identity.
pub(super) async fn token(http: &Pool, settings: &AzureSettings, resource: &str) -> Found {
    let mut looked = Vec::new();
    match application(settings) {
        Ok(application) => {
            let answer = application.token(http, settings, resource).await;
            return answer.map_err(|why| Lack::Broken(format!("{}: {why}", application.named())));
        }
        Err(why) => looked.push(why),
    }
    match &settings.managed {
        None => {}
        Some(managed) => {
            match managed::token(http, managed, settings.client.as_deref(), resource).await {
                Err(Lack::Nobody(why)) => looked.push(why),
                other => return other,
            }
        }
    }
    Err(Lack::Nobody(format!("no identity of Azure's: {}", looked.join(", "))))
}

/// Who would be asked for a token, without asking.
pub(super) fn plan(settings: &AzureSettings) -> CloudAnswer<String> {
    let why = match application(settings) {
        Ok(application) => return Ok(format!("would ask as {}", application.named())),
        Err(why) => why,
    };
    match &settings.managed {
        Some(AzureManaged::Service { .. }) => Ok(format!("would ask IDENTITY_ENDPOINT ({why})")),
        Some(AzureManaged::At(host)) => {
            Ok(format!("would ask the metadata service at {host} ({why})"))
        }
        Some(AzureManaged::Usual) => {
            Ok(format!("would ask the metadata service, if this machine is Microsoft's ({why})"))
        }
        None => Err(why),
    }
}

/// The application that the variables describe, or which of them is missing.
fn application(settings: &AzureSettings) -> Result<Application<'_>, String> {
    let AzureSettings { tenant, client, secret, certificate, federated_token, .. } = settings;
    let proof = match (secret, certificate, federated_token) {
        (Some(secret), _, _) => Proof::Secret(secret),
        (_, Some(path), _) => Proof::Certificate(path),
        (_, _, Some(path)) => Proof::Federated(path),
        _ => {
            return Err("none of AZURE_CLIENT_SECRET, AZURE_CLIENT_CERTIFICATE_PATH and \
                        AZURE_FEDERATED_TOKEN_FILE is set"
                .into());
        }
    };
    let missing = |name: &str| format!("{name} is not set, which {} needs", proof.variable());
    let client = client.as_deref().ok_or_else(|| missing("AZURE_CLIENT_ID"))?;
    let tenant = tenant.as_deref().ok_or_else(|| missing("AZURE_TENANT_ID"))?;
    // Both become part of an address.
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    if !tenant.chars().all(plain) {
        return Err("AZURE_TENANT_ID is neither an id nor a domain".into());
    }
    Ok(Application { tenant, client, proof })
}

impl Proof<'_> {
    fn variable(&self) -> &'static str {
        match self {
            Self::Secret(_) => "AZURE_CLIENT_SECRET",
            Self::Certificate(_) => "AZURE_CLIENT_CERTIFICATE_PATH",
            Self::Federated(_) => "AZURE_FEDERATED_TOKEN_FILE",
        }
    }
}

impl Application<'_> {
    fn named(&self) -> String {
        format!("the application {} ({})", self.client, self.proof.variable())
    }

    /// The client credentials grant
    /// (learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow).
    async fn token(
        &self,
        http: &Pool,
        settings: &AzureSettings,
        resource: &str,
    ) -> CloudAnswer<Token> {
        let authority = match &settings.authority {
            Some(authority) => authority.as_str(),
            None => settings.cloud()?.authority(),
        };
        let authority = authority.trim_end_matches('/');
        let url = format!("{authority}/{}/oauth2/v2.0/token", self.tenant);
        let url = endpoint::secret("AZURE_AUTHORITY_HOST", &url)?;
        let scope = format!("{}/.default", resource.trim_end_matches('/'));
        let mut fields = vec![
            ("grant_type", "client_credentials"),
            ("client_id", self.client),
            ("scope", &scope),
        ];
        let (name, proof) = match &self.proof {
            Proof::Secret(secret) => ("client_secret", secret.expose().to_owned()),
            Proof::Certificate(path) => ("client_assertion", self.signed(path, url.as_str())?),
            Proof::Federated(path) => ("client_assertion", text_of(path)?),
        };
        fields.push((name, &proof));
        if name == "client_assertion" {
            fields.push(("client_assertion_type", ASSERTION));
        }
        let reply = Question::form(url, &fields).hiding([proof.as_str()]).send(http).await?;
        reply.read::<Granted>()?.token(self.named())
    }

    /// A claim that is signed with a certificate's key
    /// (learn.microsoft.com/entra/identity-platform/certificate-credentials).
    fn signed(&self, path: &Path, audience: &str) -> CloudAnswer<String> {
        let pem = text_of(path)?;
        let named = |why: &str| format!("{} {why}", path.display());
        let key = Key::read(pem.as_bytes()).map_err(|why| named(&why))?;
        let certificate = CertificateDer::from_pem_slice(pem.as_bytes())
            .map_err(|_| named("has no certificate in PEM beside its key"))?;
        let print = URL_SAFE_NO_PAD.encode(digest(&SHA256, &certificate));
        let mut id = [0; 16];
        SystemRandom::new().fill(&mut id).map_err(|_| "there is no randomness".to_owned())?;
        let issued = now();
        let claims = json!({
            "aud": audience,
            "iss": self.client,
            "sub": self.client,
            "jti": URL_SAFE_NO_PAD.encode(id),
            "nbf": issued,
            "iat": issued,
            "exp": issued + LIFE,
        });
        key.sign(Algorithm::Ps256, json!({ "x5t#S256": print }), &claims)
    }
}

/// A small file's text; the error names it. Read each time: federated tokens are renewed in place.
fn text_of(path: &Path) -> CloudAnswer<String> {
    let unusable = |why: &str| format!("{} {why}", path.display());
    let text = small_file(path)?;
    let text = String::from_utf8(text).map_err(|_| unusable("is no text"))?;
    let text = text.trim();
    if text.is_empty() { Err(unusable("is empty")) } else { Ok(text.to_owned()) }
}
