//! Streams from an address that is no registry's: what git's smart HTTP needs. One attempt each, since
//! only the caller knows what has to be asked again; [`Client::again`] has the registries' patience.

use std::fmt;
use std::io::{self, Read};

use reqwest::header::{CONTENT_TYPE, HeaderName};
use reqwest::{Method, Response, Url};

use super::auth::Secret;
use super::client::Client;
use super::error::{RegistryError, Retry};
use super::transport::{
    Exchange, SILENCE, check_hop, clean, connection_error, host_of, read_body, redirect,
    retry_after, same_origin, timed_out, unreadable,
};

/// As git's own client has it at most.
const REDIRECTS_MAX: usize = 5;
/// As much as is read of an answer that says what is wrong.
const WORDS_MAX: usize = 16 << 10;
const ACTION: &str = "read a repository";

/// An answer that is read while it comes. Errors of [`Read`] hold a [`RegistryError`].
pub struct Answer {
    response: Response,
    host: String,
    chunk: Vec<u8>,
    /// Bytes of the chunk that were read.
    taken: usize,
    client: Client,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").field("host", &self.host).finish_non_exhaustive()
    }
}

impl Answer {
    /// The address that answered; another than was asked after a redirect.
    pub fn address(&self) -> &str {
        self.response.url().as_str()
    }

    /// Its media type, without parameters; empty where it says none.
    pub fn media_type(&self) -> &str {
        let value = self.response.headers().get(CONTENT_TYPE);
        let text = value.and_then(|value| value.to_str().ok()).unwrap_or_default();
        text.split(';').next().unwrap_or_default().trim()
    }
}

impl Read for Answer {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.taken == self.chunk.len() {
            let Self { response, host, .. } = self;
            let next = async {
                let chunk = tokio::time::timeout(SILENCE, response.chunk());
                let chunk = chunk.await.map_err(|_| timed_out(host))?;
                chunk.map_err(|error| connection_error(host, "", error))
            };
            let chunk = self.client.engine().block_on(next).map_err(io::Error::other)?;
            let Some(chunk) = chunk else { return Ok(0) };
            self.chunk.clear();
            self.chunk.extend_from_slice(&chunk);
            self.taken = 0;
        }
        let length = into.len().min(self.chunk.len() - self.taken);
        into[..length].copy_from_slice(&self.chunk[self.taken..self.taken + length]);
        self.taken += length;
        Ok(length)
    }
}

impl Client {
    /// Asks an address by GET. Redirects are followed; the header of credentials goes to the address's
    /// own host alone.
    ///
    /// # Errors
    /// An address that is none, a connection that failed, a status that is no success.
    pub fn get(
        &self,
        address: &str,
        headers: &[(&'static str, String)],
        authorization: Option<&Secret>,
    ) -> Result<Answer, RegistryError> {
        let first = parsed(address)?;
        let authorization = authorization.map(Secret::header).transpose()?;
        let headers = named(headers);
        let work = async {
            let mut url = first.clone();
            for _ in 0..=REDIRECTS_MAX {
                let shown = authorization.as_ref().filter(|_| same_origin(&first, &url));
                let exchange = Exchange {
                    registry: &host_of(&url),
                    method: Method::GET,
                    url: url.clone(),
                    headers: &headers,
                    authorization: shown,
                    body: Vec::new(),
                };
                let response = self.transport().pool().exchange(exchange, None).await?;
                let Some(location) = redirect(&response) else { return checked(response).await };
                let unusable = |reason| unusable(&first, reason);
                url = url.join(location).map_err(|_| unusable("it leads to no URL".into()))?;
                let was_plain = first.scheme() == "http";
                check_hop(&host_of(&first), &url, was_plain).map_err(unusable)?;
            }
            Err(unusable(&first, "it is redirected in circles".into()))
        };
        let response = self.engine().block_on(work)?;
        Ok(self.answer(response))
    }

    /// Sends a body by POST. A redirect is an error: the body was not meant for others.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub fn post(
        &self,
        address: &str,
        headers: &[(&'static str, String)],
        authorization: Option<&Secret>,
        body: Vec<u8>,
    ) -> Result<Answer, RegistryError> {
        let url = parsed(address)?;
        let authorization = authorization.map(Secret::header).transpose()?;
        let work = async {
            let exchange = Exchange {
                registry: &host_of(&url),
                method: Method::POST,
                url: url.clone(),
                headers: &named(headers),
                authorization: authorization.as_ref(),
                body,
            };
            let response = self.transport().pool().exchange(exchange, None).await?;
            match redirect(&response) {
                Some(_) => Err(unusable(&url, "it redirects what was sent to it".into())),
                None => checked(response).await,
            }
        };
        let response = self.engine().block_on(work)?;
        Ok(self.answer(response))
    }

    /// Repeats what fails for a reason that may pass, with pauses, as often as requests to registries.
    ///
    /// # Errors
    /// The last one.
    pub fn again<T, E>(
        &self,
        passing: impl Fn(&E) -> bool,
        mut run: impl FnMut() -> Result<T, E>,
    ) -> Result<T, E> {
        let mut attempts = self.policy().start();
        loop {
            let error = match run() {
                Err(error) if passing(&error) => error,
                outcome => return outcome,
            };
            let Some(pause) = attempts.pause_or_end() else { return Err(error) };
            if self.cancel().sleep(pause).is_err() {
                return Err(error);
            }
        }
    }

    fn answer(&self, response: Response) -> Answer {
        let host = host_of(response.url());
        Answer { response, host, chunk: Vec::new(), taken: 0, client: self.clone() }
    }
}

impl RegistryError {
    /// Whether the same request may succeed later.
    pub fn may_pass(&self) -> bool {
        self.retry() != Retry::Never
    }
}

fn parsed(address: &str) -> Result<Url, RegistryError> {
    Url::parse(address).map_err(|_| unreadable(address))
}

fn named(headers: &[(&'static str, String)]) -> Vec<(HeaderName, String)> {
    let name =
        |(name, value): &(&'static str, String)| (HeaderName::from_static(name), value.clone());
    headers.iter().map(name).collect()
}

fn unusable(url: &Url, reason: String) -> RegistryError {
    RegistryError::Protocol { host: host_of(url), action: ACTION.into(), reason }
}

async fn checked(response: Response) -> Result<Response, RegistryError> {
    if response.status().is_success() {
        return Ok(response);
    }
    let (host, status) = (host_of(response.url()), response.status().as_u16());
    let retry_after = retry_after(response.headers());
    let plain = response.headers().get(CONTENT_TYPE);
    let plain = plain.is_some_and(|kind| kind.as_bytes().starts_with(b"text/plain"));
    // What goes wrong here must not hide the status that is the error.
    let words = read_body(response, &host, WORDS_MAX, ACTION).await.unwrap_or_default();
    let said = if plain { clean(&String::from_utf8_lossy(&words)) } else { String::new() };
    match status {
        429 => Err(RegistryError::TooManyRequests {
            host,
            retry_after,
            limit: String::new(),
            said,
            hint: "",
        }),
        _ => Err(RegistryError::Status { host, action: ACTION.into(), status, retry_after, said }),
    }
}
