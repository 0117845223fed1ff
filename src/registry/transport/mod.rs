//! Questions and answers: scheme, credentials, redirects. Everything that talks to a registry goes
//! through [`Transport::send`].

mod answer;
mod body;
mod failure;
mod guard;
mod hints;
mod names;
mod ping;
mod pool;
mod request;
mod scheme;
mod unread;

use std::collections::HashMap;
use std::sync::Arc;

use reqwest::header::{HeaderValue, LOCATION};
use reqwest::{Method, Response, StatusCode, Url};

pub(super) use self::answer::{clean, is_one_of, read_body, redirect, retry_after};
pub(super) use self::body::{BodyWriter, pipe};
pub(super) use self::failure::{Asked, failure};
pub(super) use self::guard::check as check_hop;
pub(crate) use self::guard::same_origin;
pub(super) use self::pool::{
    CONNECT, Exchange, Pool, SILENCE, Stream, connection_error, host_of, is_loopback, timed_out,
};
pub(super) use self::request::{Access, Place, Request, Target};
pub(super) use self::scheme::Scheme;
use self::scheme::Schemes;
pub(super) use self::unread::unreadable;
use super::auth::CloudAccess;
use super::cloud::Clouds;
use super::error::RegistryError;
use super::options::Options;
use super::token::Authorizer;
use crate::cancel::Cancel;

/// More hops than any registry needs.
const REDIRECTS_MAX: usize = 8;

/// The way to all registries.
pub(super) struct Transport {
    pool: Arc<Pool>,
    clouds: Arc<Clouds>,
    schemes: Schemes,
    authorizer: Authorizer,
}

impl Transport {
    /// `given` are the schemes of mirrors that the user spelled out.
    pub(super) fn new(
        options: &Options,
        given: HashMap<String, Scheme>,
        cancel: &Cancel,
    ) -> Result<Self, RegistryError> {
        let pool = Arc::new(Pool::new(options)?);
        let clouds = Arc::new(Clouds::new(&options.clouds));
        let access = CloudAccess::new(clouds.clone(), pool.clone());
        Ok(Self {
            pool,
            clouds,
            schemes: Schemes::new(options, given),
            authorizer: Authorizer::new(options, access, cancel)?,
        })
    }

    /// The connections, for what is no registry's.
    pub(super) fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Who this machine is to clouds.
    pub(super) fn clouds(&self) -> &Clouds {
        &self.clouds
    }

    /// What people should know of the places of credentials, and was not told before.
    pub(super) fn take_warnings(&self) -> Vec<String> {
        self.authorizer.take_warnings()
    }

    /// Sends a request and returns a response with one of the expected statuses.
    pub(super) async fn expect(
        &self,
        request: &Request,
        expected: &[u16],
    ) -> Result<Response, RegistryError> {
        let response = self.send(request, None).await?;
        if is_one_of(response.status(), expected) {
            return Ok(response);
        }
        Err(self.failure(request, response).await)
    }

    /// The error that a response stands for.
    pub(super) async fn failure(&self, request: &Request, response: Response) -> RegistryError {
        let asked = Asked {
            host: &host_of(response.url()),
            action: &request.action,
            what: &request.what,
            scope: &request.scopes().join(" "),
            found: &self.authorizer.credentials(&request.place).await,
        };
        failure(&asked, response).await
    }

    /// Sends a request with the credentials that the registry wants, and returns whatever it
    /// answers. A 401 is answered once, with a new token; for a stream only prepared for, as its
    /// body is spent.
    pub(super) async fn send(
        &self,
        request: &Request,
        stream: Option<Stream>,
    ) -> Result<Response, RegistryError> {
        let (base, first) = self.opening(request, stream.is_some()).await?;
        let url = self.url(&base, request)?;
        let scopes = request.scopes();
        let ours = guard::same_origin(&base, &url);
        let used = match ours && first.is_none() {
            true => self.authorizer.header(&self.pool, &request.place, &base, &scopes).await?,
            false => None,
        };
        let streaming = stream.is_some();
        let first = first.map_or(First::Send(stream), First::Answered);
        let response = self.follow(request, &base, url.clone(), used.as_ref(), first).await?;
        let refused = response.status() == StatusCode::UNAUTHORIZED
            && guard::same_origin(&base, response.url());
        if !refused || !ours {
            return Ok(response);
        }
        self.authorizer.learn(&request.place, &scopes, used.as_ref(), response.headers()).await;
        if streaming {
            return Ok(response);
        }
        self.authorizer.refuse(&request.place, used.as_ref()).await;
        let renewed = self.authorizer.header(&self.pool, &request.place, &base, &scopes).await?;
        if renewed == used {
            return Ok(response);
        }
        self.follow(request, &base, url, renewed.as_ref(), First::Send(None)).await
    }

    /// A URL outside of the registry's protocol, such as a foreign layer's: never with credentials.
    pub(super) async fn send_bare(
        &self,
        request: &Request,
        url: Url,
    ) -> Result<Response, RegistryError> {
        let base = self.base(&request.place).await?;
        self.check(request, &url)?;
        self.follow(request, &base, url, None, First::Send(None)).await
    }

    /// Where an upload goes on: the Location of a response, which may be relative.
    pub(super) fn location(
        &self,
        request: &Request,
        response: &Response,
    ) -> Result<Url, RegistryError> {
        let unusable = |reason: &str| protocol_error(request, host_of(response.url()), reason);
        let text =
            response.headers().get(LOCATION).ok_or_else(|| unusable("it has no Location"))?;
        let text = text.to_str().map_err(|_| unusable("its Location is not text"))?;
        let mut url = response.url().join(text).map_err(|_| unusable("its Location is no URL"))?;
        // Behind a proxy that ends TLS, a registry that was not told so names itself by http. Going
        // down to plain HTTP would be wrong, and is not what anyone means.
        let from = response.url();
        if from.scheme() == "https" && url.scheme() == "http" && url.host_str() == from.host_str() {
            let port = url.port().filter(|port| *port != 80).or(from.port());
            let changed = url.set_scheme("https").and_then(|()| url.set_port(port));
            changed.map_err(|()| unusable("its Location is no URL"))?;
        }
        self.check(request, &url)?;
        Ok(url)
    }

    /// The same, for answers that need not have one.
    pub(super) fn next_location(
        &self,
        request: &Request,
        response: &Response,
    ) -> Result<Option<Url>, RegistryError> {
        let named = response.headers().contains_key(LOCATION);
        named.then(|| self.location(request, response)).transpose()
    }

    fn check(&self, request: &Request, url: &Url) -> Result<(), RegistryError> {
        let may_be_plain = self.schemes.may_be_plain(&request.place);
        guard::check(request.place.host(), url, may_be_plain)
            .map_err(|reason| protocol_error(request, request.place.host().to_owned(), &reason))
    }

    fn url(&self, base: &Url, request: &Request) -> Result<Url, RegistryError> {
        match &request.target {
            Target::Url(url) => Ok(url.clone()),
            Target::Path(path) => {
                let url = base.join(&format!("/v2/{}/{path}", request.place.name));
                url.map_err(|error| protocol_error(request, host_of(base), &error.to_string()))
            }
        }
    }

    /// Sends, and follows redirects: all of GET and HEAD, and of other methods those that ask for the
    /// same method again, unless the body is spent. Credentials go to the registry only.
    async fn follow(
        &self,
        request: &Request,
        base: &Url,
        mut url: Url,
        authorization: Option<&HeaderValue>,
        mut first: First,
    ) -> Result<Response, RegistryError> {
        let reads = request.method == Method::GET || request.method == Method::HEAD;
        let streaming = matches!(first, First::Send(Some(_)));
        for _ in 0..REDIRECTS_MAX {
            let authorization = authorization.filter(|_| guard::same_origin(base, &url));
            let response = match std::mem::replace(&mut first, First::Send(None)) {
                First::Answered(response) => response,
                First::Send(stream) => self.once(request, &url, authorization, stream).await?,
            };
            let repeats = !streaming && matches!(response.status().as_u16(), 307 | 308);
            let Some(location) = answer::redirect(&response).filter(|_| reads || repeats) else {
                return Ok(response);
            };
            let host = host_of(&url);
            url = url.join(location).map_err(|_| {
                protocol_error(request, host, "it leads to something that is no URL")
            })?;
            self.check(request, &url)?;
        }
        Err(protocol_error(request, host_of(&url), "it is redirected in circles"))
    }

    async fn once(
        &self,
        request: &Request,
        url: &Url,
        authorization: Option<&HeaderValue>,
        stream: Option<Stream>,
    ) -> Result<Response, RegistryError> {
        let exchange = Exchange {
            registry: &request.place.registry,
            method: request.method.clone(),
            url: url.clone(),
            headers: &request.headers,
            authorization,
            body: request.body.clone(),
        };
        self.pool.exchange(exchange, stream).await
    }
}

/// How a row of hops begins.
enum First {
    /// With a request, and the body that can be sent only once.
    Send(Option<Stream>),
    /// With the answer to a request that was sent already.
    Answered(Response),
}

fn protocol_error(request: &Request, host: String, reason: &str) -> RegistryError {
    RegistryError::Protocol { host, action: request.action.clone(), reason: reason.to_owned() }
}
