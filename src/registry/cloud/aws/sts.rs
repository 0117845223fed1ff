//! Roles: keys that STS gives to whoever may take them on.

use std::time::{Duration, SystemTime};

use reqwest::header::CONTENT_TYPE;

use super::ask::{self, Signer};
use super::profiles::Role;
use super::settings::{AwsSettings, AwsWebIdentity};
use super::{Keys, hosts};
use crate::registry::cloud::CloudAnswer;
use crate::registry::cloud::ask::{FORM, encoded};
use crate::registry::cloud::file::small_text;
use crate::registry::transport::Pool;
use crate::registry::xml;

/// What a session is called where nobody says.
const SESSION: &str = "kiln";
/// How long keys are good where the answer says nothing that can be read: the shortest that there are.
const SHORT: Duration = Duration::from_secs(900);

/// How STS is asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sts<'a> {
    pub(super) settings: &'a AwsSettings,
    pub(super) http: &'a Pool,
    pub(super) region: Option<&'a str>,
}

impl Sts<'_> {
    /// Takes on a role with the token of somebody whom it trusts. `of` is what names the token.
    pub(super) async fn web_identity(
        &self,
        identity: &AwsWebIdentity,
        of: &str,
    ) -> CloudAnswer<Keys> {
        let file = &identity.token_file;
        let token = small_text(file).map_err(|why| format!("the token of {of}: {why}"))?;
        let session = identity.session.as_deref().unwrap_or(SESSION);
        let form = [
            ("Action", "AssumeRoleWithWebIdentity"),
            ("RoleArn", &identity.role),
            ("RoleSessionName", session),
            ("WebIdentityToken", &token),
        ];
        let keys = self.ask(&form, None, &token).await;
        let keys =
            keys.map_err(|why| format!("the role {} for the token of {of}: {why}", identity.role))?;
        Ok(Keys { source: format!("the role {} (token of {of})", identity.role), ..keys })
    }

    /// Takes on a role with keys.
    pub(super) async fn role(&self, own: &Keys, arn: &str, role: &Role) -> CloudAnswer<Keys> {
        let duration = role.duration.map(|seconds| seconds.to_string());
        let session = role.session.as_deref().unwrap_or(SESSION);
        let mut form =
            vec![("Action", "AssumeRole"), ("RoleArn", arn), ("RoleSessionName", session)];
        form.extend(role.external_id.as_deref().map(|id| ("ExternalId", id)));
        form.extend(duration.as_deref().map(|seconds| ("DurationSeconds", seconds)));
        let keys = self.ask(&form, Some(own), "").await;
        let keys = keys.map_err(|why| format!("the role {arn} with {}: {why}", own.source))?;
        Ok(Keys { source: format!("the role {arn} ({})", own.source), ..keys })
    }

    /// `secret` is what in the form no error may show.
    async fn ask(
        &self,
        form: &[(&str, &str)],
        keys: Option<&Keys>,
        secret: &str,
    ) -> CloudAnswer<Keys> {
        let (endpoint, region) = hosts::sts(self.settings, self.region);
        let body = encoded(&[form, &[("Version", "2011-06-15")]].concat());
        let headers = vec![(CONTENT_TYPE, FORM.to_owned())];
        let signer = keys.map(|keys| Signer { keys, region: &region, service: "sts" });
        let question = ask::post(&endpoint, headers, body, signer)?.hiding([secret]);
        let reply = question.send(self.http).await?;
        let text = String::from_utf8_lossy(reply.body()?);
        let part = |name: &str| xml::element(&text, name).filter(|part| !part.is_empty());
        let keys = || {
            Some(Keys {
                id: part("AccessKeyId")?,
                secret: part("SecretAccessKey")?.into(),
                token: Some(part("SessionToken")?.into()),
                until: Some(until(part("Expiration").as_deref())),
                source: String::new(),
                of_instance: false,
            })
        };
        keys().ok_or_else(|| format!("`{}` gave an answer without keys", reply.host))
    }
}

/// A time as RFC 3339 has it.
pub(super) fn until(text: Option<&str>) -> SystemTime {
    let time = text.and_then(|text| text.parse::<jiff::Timestamp>().ok());
    time.map_or_else(|| SystemTime::now() + SHORT, SystemTime::from)
}
