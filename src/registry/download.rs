//! A file from an address that is no registry's, with the registries' TLS settings, proxies and
//! patience.

use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::time::SystemTime;

use reqwest::header::{HeaderName, HeaderValue, LAST_MODIFIED};
use reqwest::{Method, Response, StatusCode, Url};

use super::auth::Secret;
use super::client::Client;
use super::error::RegistryError;
use super::transport::{
    Exchange, SILENCE, check_hop, connection_error, host_of, redirect, retry_after, same_origin,
    timed_out,
};
use crate::digest::{Digest, Hasher};

/// As many as Go's client, which BuildKit uses, follows.
const REDIRECTS_MAX: usize = 10;
const ACTION: &str = "download a file";

/// What is known of a file after it was downloaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Downloaded {
    /// Of its bytes.
    pub digest: Digest,
    /// In bytes.
    pub size: u64,
    /// When it was changed last, if the server says so.
    pub last_modified: Option<SystemTime>,
}

impl Client {
    /// Writes what an address leads to into a file, which is emptied before each attempt. The
    /// header goes to the address's own host only; without one, a user and password of the address
    /// do. `progress` hears of bytes, and of how many there are where the server says so.
    ///
    /// # Errors
    /// An address that is none, a connection that failed, an answer that is no file.
    pub fn download(
        &self,
        address: &str,
        authorization: Option<&Secret>,
        into: &File,
        progress: &dyn Fn(u64, Option<u64>),
    ) -> Result<Downloaded, RegistryError> {
        let url = Url::parse(address).map_err(|_| RegistryError::Option {
            what: "address",
            value: address.split(['?', '#', '@']).next().unwrap_or_default().to_owned(),
            reason: "it cannot be read".into(),
        })?;
        let header = authorization.map(header).transpose()?;
        let work = self.policy().run(async || {
            let response = self.follow(url.clone(), header.as_ref()).await?;
            store(response, into, progress).await
        });
        self.engine().block_on(work)
    }

    async fn follow(
        &self,
        mut url: Url,
        authorization: Option<&HeaderValue>,
    ) -> Result<Response, RegistryError> {
        let first = url.clone();
        for _ in 0..=REDIRECTS_MAX {
            let host = host_of(&url);
            let exchange = Exchange {
                registry: &host,
                method: Method::GET,
                url: url.clone(),
                headers: NO_HEADERS,
                authorization: authorization.filter(|_| same_origin(&first, &url)),
                body: Vec::new(),
            };
            let response = self.transport().pool().exchange(exchange, None).await?;
            let Some(location) = redirect(&response) else { return checked(response, host) };
            let unusable = |reason| protocol_error(host.clone(), reason);
            url = url.join(location).map_err(|_| unusable("it leads to no URL".into()))?;
            check_hop(&host_of(&first), &url, true).map_err(unusable)?;
        }
        Err(protocol_error(host_of(&url), "it is redirected in circles".into()))
    }
}

const NO_HEADERS: &[(HeaderName, String)] = &[];

fn header(secret: &Secret) -> Result<HeaderValue, RegistryError> {
    let mut value = HeaderValue::from_str(secret.expose()).map_err(|_| RegistryError::Option {
        what: "Authorization header",
        value: "…".into(),
        reason: "it has a character that no header may have, such as the end of a line".into(),
    })?;
    value.set_sensitive(true);
    Ok(value)
}

fn protocol_error(host: String, reason: String) -> RegistryError {
    RegistryError::Protocol { host, action: ACTION.into(), reason }
}

fn checked(response: Response, host: String) -> Result<Response, RegistryError> {
    let (status, said) = (response.status(), String::new());
    let retry_after = retry_after(response.headers());
    match status {
        status if status.is_success() => Ok(response),
        StatusCode::TOO_MANY_REQUESTS => Err(RegistryError::TooManyRequests {
            host,
            retry_after,
            limit: String::new(),
            said,
            hint: "",
        }),
        _ => {
            let (action, status) = (ACTION.into(), status.as_u16());
            Err(RegistryError::Status { host, action, status, retry_after, said })
        }
    }
}

async fn store(
    mut response: Response,
    mut into: &File,
    progress: &dyn Fn(u64, Option<u64>),
) -> Result<Downloaded, RegistryError> {
    let host = host_of(response.url());
    let total = response.content_length();
    let written = |error: std::io::Error| RegistryError::Store(error.to_string());
    into.set_len(0).and_then(|()| into.rewind()).map_err(written)?;
    let mut hasher = Hasher::default();
    loop {
        let chunk = tokio::time::timeout(SILENCE, response.chunk());
        let chunk = chunk.await.map_err(|_| timed_out(&host))?;
        let Some(chunk) = chunk.map_err(|error| connection_error(&host, "", error))? else { break };
        into.write_all(&chunk).map_err(written)?;
        hasher.update(&chunk);
        progress(hasher.count(), total);
    }
    let (digest, size) = hasher.finish();
    let date = response.headers().get(LAST_MODIFIED).and_then(|date| date.to_str().ok());
    let last_modified = date.and_then(|date| httpdate::parse_http_date(date).ok());
    Ok(Downloaded { digest, size, last_modified })
}
