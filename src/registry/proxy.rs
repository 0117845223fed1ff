//! Proxies: which requests go through one, and what to say when it does not let them.
//!
//! The rules are those of Go's golang.org/x/net/http/httpproxy, since people have set their variables
//! up for Docker and kaniko. The HTTP library's own differ where it matters in CI: it knows no ports
//! in NO_PROXY (`registry.example:5050`), no `*.domain`, and takes ALL_PROXY.

mod bypass;
mod refusal;

use std::fmt;
use std::sync::Arc;

use reqwest::{Client, ClientBuilder, Response, Url};

use self::bypass::Bypass;
pub(super) use self::refusal::or_page;
use super::auth::Secret;
use super::error::RegistryError;
use super::transport::{connection_error, host_of};

/// What the environment says of proxies. Shows no address: it may have a password in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProxySettings {
    /// For `https://`.
    pub https: Option<ProxyVariable>,
    /// For `http://`.
    pub http: Option<ProxyVariable>,
    /// Who is reached without one, separated by commas.
    pub no_proxy: String,
}

/// One proxy, as a variable names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyVariable {
    /// The variable's name, as it is spelled.
    pub variable: String,
    /// `[http[s]://][user:password@]host[:port]`.
    pub address: Secret,
}

/// The proxies of a client.
#[derive(Debug, Default)]
pub(super) struct Proxies {
    https: Option<Proxy>,
    http: Option<Proxy>,
    bypass: Bypass,
}

/// One proxy.
#[derive(Clone)]
struct Proxy {
    variable: String,
    url: Url,
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({self})")
    }
}

/// As it is shown: without user and password.
impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.url.scheme(), host_of(&self.url))
    }
}

impl Proxies {
    /// # Errors
    /// An address that is none; Go fails then too, instead of going without.
    pub(super) fn new(settings: &ProxySettings) -> Result<Self, RegistryError> {
        let read = |given: &Option<ProxyVariable>| given.as_ref().map(Proxy::read).transpose();
        Ok(Self {
            https: read(&settings.https)?,
            http: read(&settings.http)?,
            bypass: Bypass::read(&settings.no_proxy),
        })
    }

    /// Lets a client's requests take the right way.
    pub(super) fn settle(self: &Arc<Self>, builder: ClientBuilder) -> ClientBuilder {
        let proxies = self.clone();
        let way = move |url: &Url| proxies.of(url).map(|proxy| proxy.url.clone());
        builder.no_proxy().proxy(reqwest::Proxy::custom(way))
    }

    /// Whether a request goes through one.
    pub(super) fn are_for(&self, url: &Url) -> bool {
        self.of(url).is_some()
    }

    /// The proxy that a request goes through.
    fn of(&self, url: &Url) -> Option<&Proxy> {
        let proxy = match url.scheme() {
            "https" => self.https.as_ref(),
            _ => self.http.as_ref(),
        };
        proxy.filter(|_| !self.bypass.covers(url))
    }

    /// The outcome of a request in the words of whoever has to act: what the proxy is to blame for,
    /// the error says of the proxy. `note` is about certificates, `direct` a client that uses no
    /// proxy.
    pub(super) async fn judge(
        &self,
        url: &Url,
        note: &str,
        direct: &Client,
        outcome: Result<Response, reqwest::Error>,
    ) -> Result<Response, RegistryError> {
        let host = host_of(url);
        let Some(proxy) = self.of(url) else {
            return outcome.map_err(|error| connection_error(&host, note, error));
        };
        match outcome {
            // A plain request is answered by the proxy itself.
            Ok(response) if response.status() == 407 => {
                Err(refusal::refused(proxy, &host, 407, "Proxy Authentication Required"))
            }
            Ok(response) => Ok(response),
            Err(error) => {
                let (on_the_way, silent) = (error.is_connect(), error.is_timeout());
                let error = connection_error(&host, note, error);
                Err(match (on_the_way, silent) {
                    (true, true) => refusal::silent(proxy, &host),
                    (true, false) => refusal::of(proxy, url, direct, error).await,
                    (false, _) => error,
                })
            }
        }
    }
}

impl Proxy {
    fn read(given: &ProxyVariable) -> Result<Self, RegistryError> {
        let text = given.address.expose().trim();
        let text = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let unusable = |reason: &str| RegistryError::Option {
            what: "address of a proxy",
            // Its value may hold a password.
            value: given.variable.clone(),
            reason: reason.to_owned(),
        };
        let url =
            Url::parse(&text).map_err(|_| unusable("it is no URL such as http://host:port"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(unusable("kiln knows proxies with http:// and https://, and no others"));
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(unusable("it has no host"));
        }
        Ok(Self { variable: given.variable.clone(), url })
    }

    fn has_password(&self) -> bool {
        !self.url.username().is_empty() || self.url.password().is_some()
    }
}

#[cfg(test)]
mod tests;
