//! Managed identities: of virtual machines
//! (learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token) and
//! of App Service and its relatives (learn.microsoft.com/azure/app-service/overview-managed-identity).

use reqwest::Url;
use reqwest::header::HeaderName;

use super::{AzureManaged, origin};
use crate::registry::cloud::ask::{Question, machine_says};
use crate::registry::cloud::endpoint;
use crate::registry::cloud::token::{Found, Granted, Lack};
use crate::registry::transport::Pool;

const USUAL: &str = "http://169.254.169.254";
const PATH: &str = "/metadata/identity/oauth2/token";
const METADATA: HeaderName = HeaderName::from_static("metadata");
const IDENTITY_HEADER: HeaderName = HeaderName::from_static("x-identity-header");
/// On every virtual machine of Azure's, and on no other.
const CHASSIS: (&str, &str) =
    ("/sys/class/dmi/id/chassis_asset_tag", "7783-7084-3265-9085-8269-3286-77");
const SOURCE: &str = "this machine's managed identity";

/// A token of the machine's identity, or of the one with this client id, for a service.
pub(super) async fn token(
    http: &Pool,
    managed: &AzureManaged,
    client: Option<&str>,
    resource: &str,
) -> Found {
    let question = match managed {
        AzureManaged::Usual => machine(http, USUAL, false, client, resource).await?,
        AzureManaged::At(host) => machine(http, host, true, client, resource).await?,
        AzureManaged::Service { endpoint, header } => {
            let url = endpoint::nearby("IDENTITY_ENDPOINT", endpoint).map_err(Lack::Broken)?;
            let url = with_query(url, "2019-08-01", client, resource);
            Question::get(url).header(IDENTITY_HEADER, header.expose()).hiding([header.expose()])
        }
    };
    let broken = |why: String| Lack::Broken(format!("no token of {SOURCE}: {why}"));
    let reply = match (question.send_nearby(http).await, managed) {
        (Ok(reply), _) => reply,
        (Err(why), AzureManaged::Service { .. }) => {
            return Err(broken(format!("IDENTITY_ENDPOINT {why}")));
        }
        (Err(why), _) => return Err(Lack::Nobody(format!("the metadata service {why}"))),
    };
    // A machine without an identity hears 400, and other clouds have other things at the same
    // address: neither must keep anybody from what is public.
    if reply.status != 200 && !matches!(managed, AzureManaged::Service { .. }) {
        return Err(Lack::Nobody(format!("the metadata service: {}", reply.refusal())));
    }
    let granted = reply.read::<Granted>();
    granted.and_then(|granted| granted.token(SOURCE.into())).map_err(broken)
}

/// The question to the metadata service of virtual machines, if it is there.
async fn machine<'a>(
    http: &Pool,
    host: &str,
    given: bool,
    client: Option<&str>,
    resource: &str,
) -> Result<Question<'a>, Lack> {
    let address = format!("{}{PATH}", host.trim_end_matches('/'));
    let url = endpoint::nearby("AZURE_POD_IDENTITY_AUTHORITY_HOST", &address);
    let url = url.map_err(Lack::Broken)?;
    if !given && !machine_says(CHASSIS.0, CHASSIS.1) {
        // Without the header nobody is asked for a token.
        let answered = Question::get(url.clone()).probe(http).await;
        answered.map_err(|why| {
            Lack::Nobody(format!("the metadata service at {} {why}", origin(&url)))
        })?;
    }
    let url = with_query(url, "2018-02-01", client, resource);
    Ok(Question::get(url).header(METADATA, "true"))
}

fn with_query(mut url: Url, version: &str, client: Option<&str>, resource: &str) -> Url {
    url.query_pairs_mut().append_pair("api-version", version).append_pair("resource", resource);
    if let Some(client) = client {
        url.query_pairs_mut().append_pair("client_id", client);
    }
    url
}
