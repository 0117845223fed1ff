//! Logins for Amazon's registries: GetAuthorizationToken, which gives a password for twelve hours.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{CONTENT_TYPE, HeaderName};
use serde::Deserialize;
use serde_json::Value;

use super::Aws;
use super::ask::{self, Signer};
use super::hosts::{self, Registry};
use crate::registry::auth::Credentials;
use crate::registry::cloud::{CloudAnswer, CloudLogin};
use crate::registry::transport::Pool;

/// How long a password is good where the answer does not say.
const LIFE: Duration = Duration::from_secs(3600);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    authorization_token: String,
    /// In seconds since 1970.
    expires_at: Option<f64>,
}

/// A login for a registry.
pub(super) async fn login(aws: &Aws, http: &Pool, registry: &str) -> CloudAnswer<CloudLogin> {
    let host = registry.split(':').next().unwrap_or_default();
    let registry = hosts::registry(host).ok_or("it is no registry of Amazon's")?;
    let region = match &registry {
        Registry::Public => None,
        Registry::Private { region, .. } => Some(region.as_str()),
    };
    let keys = aws.keys(http, region).await?;
    let (endpoint, service, region) = hosts::ecr(&aws.settings, &registry);
    let target = match registry {
        Registry::Public => "SpencerFrontendService.GetAuthorizationToken",
        Registry::Private { .. } => "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken",
    };
    let headers = vec![
        (CONTENT_TYPE, "application/x-amz-json-1.1".into()),
        (HeaderName::from_static("x-amz-target"), target.into()),
    ];
    let signer = Signer { keys: &keys, region: &region, service };
    let reply = ask::post(&endpoint, headers, "{}".into(), Some(signer))?.send(http).await?;
    let body = reply.body();
    let body = body.map_err(|why| format!("ECR gives no login for {}: {why}", keys.source))?;
    let (credentials, until) =
        parse(body).ok_or_else(|| format!("`{}` gave an answer without a login", reply.host))?;
    Ok(CloudLogin { credentials, source: format!("ECR's login for {}", keys.source), until })
}

/// Private registries are answered with a list, the public one with one.
fn parse(body: &[u8]) -> Option<(Credentials, SystemTime)> {
    let answer: Value = serde_json::from_slice(body).ok()?;
    let data = answer.get("authorizationData")?;
    let data = data.get(0).unwrap_or(data).clone();
    let data: Data = serde_json::from_value(data).ok()?;
    let pair = String::from_utf8(STANDARD.decode(data.authorization_token).ok()?).ok()?;
    let (user, password) = pair.split_once(':').filter(|(_, password)| !password.is_empty())?;
    let credentials = Credentials::Basic { user: user.to_owned(), password: password.to_owned() };
    let since = data.expires_at.and_then(|since| Duration::try_from_secs_f64(since).ok());
    let until = since.and_then(|since| SystemTime::UNIX_EPOCH.checked_add(since));
    Some((credentials, until.unwrap_or_else(|| SystemTime::now() + LIFE)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_registries_answers_are_read() {
        let token = STANDARD.encode("AWS:geheim");
        let one = format!(r#"{{"authorizationToken":"{token}","expiresAt":1.5E9}}"#);
        for body in [
            format!(r#"{{"authorizationData":[{one}]}}"#),
            format!(r#"{{"authorizationData":{one}}}"#),
        ] {
            let (credentials, until) = parse(body.as_bytes()).expect(&body);
            let expected = Credentials::Basic { user: "AWS".into(), password: "geheim".into() };
            assert_eq!(credentials, expected);
            assert_eq!(until, SystemTime::UNIX_EPOCH + Duration::from_secs(1_500_000_000));
        }
        for body in [r#"{"authorizationData":[]}"#, "{}", "no"] {
            assert!(parse(body.as_bytes()).is_none(), "{body}");
        }
    }
}
