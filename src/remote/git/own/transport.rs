//! Smart HTTP: where questions go, and what goes with them (gitprotocol-http(5)).

use std::io::Read;

use super::wrong::{Wrong, unusable};
use crate::registry::{Answer, Client, Secret};
use crate::remote::git::auth::same_server;
use crate::remote::without_secrets;

const REFS: &str = "/info/refs?service=git-upload-pack";
const ADVERTISEMENT: &str = "application/x-git-upload-pack-advertisement";
const REQUEST: &str = "application/x-git-upload-pack-request";
const RESULT: &str = "application/x-git-upload-pack-result";

/// A server that was found.
pub(super) struct Server<'a> {
    client: &'a Client,
    /// The repository's address, after redirects.
    base: String,
    authorization: Option<Secret>,
}

impl<'a> Server<'a> {
    /// Asks what there is. Only this question may be redirected, and the answer's place is believed from
    /// then on, as git has it (http.followRedirects=initial).
    pub(super) fn find(
        client: &'a Client,
        url: &str,
        authorization: Option<&Secret>,
    ) -> Result<(Self, Answer), Wrong> {
        let url = url.trim_end_matches('/');
        let headers = [("git-protocol", "version=2".to_owned())];
        let asked = client.get(&format!("{url}{REFS}"), &headers, authorization);
        let answer = asked.map_err(Wrong::Http)?;
        let Some(base) = answer.address().strip_suffix(REFS).map(str::to_owned) else {
            let place = without_secrets(answer.address());
            return unusable(format!("it leads to {place}, which is no repository"));
        };
        match answer.media_type() {
            ADVERTISEMENT => {}
            "" | "text/plain" | "application/octet-stream" => {
                return unusable(
                    "the server offers files only (dumb HTTP), which kiln reads with the program \
                     git: install git where kiln runs",
                );
            }
            other => {
                return unusable(format!(
                    "the server answers with `{other}`, not with a repository: check the address, \
                     and whether it needs credentials (the secret GIT_AUTH_TOKEN)"
                ));
            }
        }
        let authorization = authorization.filter(|_| same_server(&base, url)).cloned();
        Ok((Self { client, base, authorization }, answer))
    }

    /// Sends a request; the answer is read while it comes.
    pub(super) fn ask(&self, version: &str, body: Vec<u8>) -> Result<impl Read + use<>, Wrong> {
        let mut headers = vec![("content-type", REQUEST.to_owned()), ("accept", RESULT.to_owned())];
        if !version.is_empty() {
            headers.push(("git-protocol", version.to_owned()));
        }
        let address = format!("{}/git-upload-pack", self.base);
        let answer = self.client.post(&address, &headers, self.authorization.as_ref(), body);
        let answer = answer.map_err(Wrong::Http)?;
        match answer.media_type() {
            RESULT => Ok(answer),
            other => {
                unusable(format!("the server answers with `{other}`, not with git's protocol"))
            }
        }
    }
}
