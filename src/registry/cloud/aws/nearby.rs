//! Keys from what is near this machine: the services of ECS and EKS for containers, and an instance's
//! metadata.

use std::net::IpAddr;
use std::time::Duration;

use reqwest::header::{HeaderName, HeaderValue};
use reqwest::{Method, Url};
use serde::Deserialize;

use super::Keys;
use super::ask;
use super::settings::{AwsContainer, AwsMetadata, AwsSettings};
use super::sts::until;
use crate::registry::cloud::CloudAnswer;
use crate::registry::cloud::ask::{Question, Reply};
use crate::registry::cloud::file::small_text;
use crate::registry::transport::Pool;

/// Where ECS gives keys.
const ECS: &str = "http://169.254.170.2";
/// Who may be asked by plain HTTP, beside this machine itself: ECS and the agent of EKS
/// (<https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html>).
const PLAIN: [&str; 3] = ["169.254.170.2", "169.254.170.23", "fd00:ec2::23"];
/// Where an instance's metadata are.
const METADATA: [&str; 2] = ["http://169.254.169.254", "http://[fd00:ec2::254]"];
/// How long the first answer may take: machines elsewhere have nobody there. Amazon's own tools wait as
/// long.
const FIRST: Duration = Duration::from_secs(1);
/// Of a metadata token, in seconds; a build that lasts longer gets another.
const LIFE: &str = "21600";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    access_key_id: String,
    secret_access_key: String,
    token: Option<String>,
    expiration: Option<String>,
}

/// The keys of a container.
pub(super) async fn container(settings: &AwsSettings, http: &Pool) -> CloudAnswer<Keys> {
    let what = "the container's credentials service";
    let Some(container) = &settings.container else {
        return Err("no AWS_CONTAINER_CREDENTIALS_… is set".into());
    };
    let address = address(container)?;
    let token =
        match (&container.token_file, &container.token) {
            (Some(file), _) => Some(small_text(file).map_err(|why| {
                format!("{why} (AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE names it)")
            })?),
            (None, token) => token.as_ref().map(|token| token.expose().trim().to_owned()),
        };
    let mut question = Question::get(ask::url(&address)?);
    if let Some(token) = &token {
        let mut value = HeaderValue::from_str(token)
            .map_err(|_| format!("the token for {what} is no header"))?;
        value.set_sensitive(true);
        question = question.authorization(value).hiding([token.as_str()]);
    }
    let reply = question.send_nearby(http).await.map_err(|why| format!("{what} {why}"))?;
    keys(&reply, what, false)
}

/// Where a container's keys are, if that may be asked.
fn address(container: &AwsContainer) -> CloudAnswer<String> {
    let full = match &container.uri {
        Err(path) => return Ok(format!("{ECS}/{}", path.trim_start_matches('/'))),
        Ok(full) => full,
    };
    let refused = |why: &str| Err(format!("AWS_CONTAINER_CREDENTIALS_FULL_URI {why}"));
    let Ok(url) = Url::parse(full) else { return refused("is no address") };
    let host = url.host_str().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    match url.scheme() {
        "https" => Ok(full.clone()),
        "http" if here || PLAIN.contains(&host) => Ok(full.clone()),
        "http" => refused(
            "is plain HTTP to a host that is neither this machine nor one of ECS's or EKS's: the \
             token would go there for everybody to read",
        ),
        _ => refused("is neither http nor https"),
    }
}

/// The keys of the instance's role, by the second version of the protocol only: the first one answers
/// whoever can make a server of the instance ask for an address.
pub(super) async fn instance(metadata: &AwsMetadata, http: &Pool) -> CloudAnswer<Keys> {
    if metadata.disabled {
        return Err("AWS_EC2_METADATA_DISABLED is set".into());
    }
    let what = "the instance's metadata";
    let metadata = Metadata::open(metadata, http).await?;
    let roles = metadata.get("iam/security-credentials/").await?;
    let role = roles.text().ok().and_then(|text| text.lines().next()).unwrap_or_default().trim();
    if role.is_empty() {
        return Err(format!("{what} know no role of this instance ({})", roles.status));
    }
    let reply = metadata.get(&format!("iam/security-credentials/{role}")).await?;
    let keys = keys(&reply, what, true)?;
    Ok(Keys { source: format!("the role {role} of the instance"), ..keys })
}

/// The region of the instance.
pub(super) async fn region(metadata: &AwsMetadata, http: &Pool) -> CloudAnswer<String> {
    let reply = Metadata::open(metadata, http).await?.get("placement/region").await?;
    Ok(reply.text()?.trim().to_owned())
}

/// A service that has given a token.
struct Metadata<'a> {
    http: &'a Pool,
    address: String,
    token: String,
}

impl<'a> Metadata<'a> {
    async fn open(settings: &AwsMetadata, http: &'a Pool) -> CloudAnswer<Self> {
        let usual = METADATA[usize::from(settings.ipv6)];
        let address =
            settings.endpoint.as_deref().unwrap_or(usual).trim_end_matches('/').to_owned();
        let life = HeaderName::from_static("x-aws-ec2-metadata-token-ttl-seconds");
        let url = ask::url(&format!("{address}/latest/api/token"))?;
        let question = Question::bare(Method::PUT, url, Vec::new()).header(life, LIFE);
        let reply = question.find_nearby(http, FIRST).await.map_err(|why| {
            format!(
                "the instance's metadata at {address} {why}; in a container on an instance, its hop \
                 limit for them must be 2"
            )
        })?;
        let token = reply.text().map(|token| token.trim().to_owned()).and_then(|token| {
            if token.is_empty() { Err("it is empty".to_owned()) } else { Ok(token) }
        });
        let token = token.map_err(|why| format!("the instance's metadata gave no token: {why}"))?;
        Ok(Self { http, address, token })
    }

    async fn get(&self, path: &str) -> CloudAnswer<Reply> {
        let token = HeaderName::from_static("x-aws-ec2-metadata-token");
        let url = ask::url(&format!("{}/latest/meta-data/{path}", self.address))?;
        let question = Question::get(url).header(token, &*self.token);
        let reply = question.hiding([self.token.as_str()]).send_nearby(self.http).await;
        reply.map_err(|why| format!("the instance's metadata at {} {why}", self.address))
    }
}

fn keys(reply: &Reply, what: &str, of_instance: bool) -> CloudAnswer<Keys> {
    let body = reply.body().map_err(|why| format!("{what}: {why}"))?;
    let answer: Answer =
        serde_json::from_slice(body).map_err(|_| format!("{what} gave an answer without keys"))?;
    Ok(Keys {
        id: answer.access_key_id,
        secret: answer.secret_access_key.into(),
        token: answer.token.filter(|token| !token.is_empty()).map(Into::into),
        until: Some(until(answer.expiration.as_deref())),
        source: what.to_owned(),
        of_instance,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_amazon_s_own_hosts_are_asked_in_plain() {
        let of = |uri: Result<&str, &str>| {
            let uri = uri.map(str::to_owned).map_err(str::to_owned);
            address(&AwsContainer { uri, token: None, token_file: None })
        };
        assert_eq!(of(Err("/v2/c")), Ok("http://169.254.170.2/v2/c".into()));
        for (full, good) in [
            ("http://169.254.170.23/v1/credentials", true),
            ("http://[fd00:ec2::23]/v1/credentials", true),
            ("http://127.0.0.1:8080/x", true),
            ("http://[::1]/x", true),
            ("http://localhost/x", true),
            ("https://keys.example/x", true),
            ("http://keys.example/x", false),
            ("http://169.254.169.254/x", false),
            ("file:///etc/passwd", false),
            ("nonsense", false),
        ] {
            assert_eq!(of(Ok(full)).is_ok(), good, "{full}");
        }
    }
}
