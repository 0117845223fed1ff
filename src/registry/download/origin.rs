//! One request for a file, or for the rest of it.

use std::sync::Arc;

use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue, IF_RANGE, RANGE};
use reqwest::{Method, Response, StatusCode, Url};

use super::known::Known;
use super::{ACTION, FileAt, refusal};
use crate::registry::auth::Secret;
use crate::registry::cloud::{Object, SignedGet};
use crate::registry::error::RegistryError;
use crate::registry::transport::{
    Exchange, Transport, check_hop, host_of, redirect, retry_after, same_origin, unreadable,
};

/// As many as Go's client, which BuildKit uses, follows.
const REDIRECTS_MAX: usize = 10;
/// How often a store may say that an object is elsewhere.
const PLACES_MAX: usize = 3;

/// Where a file comes from.
pub(super) struct Origin {
    transport: Arc<Transport>,
    place: Place,
}

enum Place {
    Address { url: Url, authorization: Option<HeaderValue> },
    Object(Object),
}

/// What of the file is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part<'a> {
    /// The first byte.
    pub(super) from: u64,
    /// As earlier answers described the file.
    pub(super) of: &'a Known,
}

impl Part<'_> {
    fn headers(&self) -> Vec<(HeaderName, String)> {
        if self.from == 0 {
            return Vec::new();
        }
        let range = (RANGE, format!("bytes={}-", self.from));
        let condition = self.of.condition().map(|value| (IF_RANGE, value.to_owned()));
        std::iter::once(range).chain(condition).collect()
    }
}

impl Origin {
    pub(super) fn new(transport: Arc<Transport>, at: FileAt<'_>) -> Result<Self, RegistryError> {
        let place = match at {
            FileAt::Object(object) => Place::Object(object.clone()),
            FileAt::Address { address, authorization } => Place::Address {
                url: Url::parse(address).map_err(|_| unreadable(address))?,
                authorization: authorization.map(Secret::header).transpose()?,
            },
        };
        Ok(Self { transport, place })
    }

    /// A response with the file, or with a part of it, whichever the server chose.
    pub(super) async fn ask(&self, part: Part<'_>) -> Result<Response, RegistryError> {
        match &self.place {
            Place::Address { url, authorization } => {
                self.follow(url.clone(), authorization.as_ref(), part).await
            }
            Place::Object(object) => self.signed(object, part).await,
        }
    }

    async fn follow(
        &self,
        mut url: Url,
        authorization: Option<&HeaderValue>,
        part: Part<'_>,
    ) -> Result<Response, RegistryError> {
        let first = url.clone();
        for _ in 0..=REDIRECTS_MAX {
            let host = host_of(&url);
            let authorization = authorization.filter(|_| same_origin(&first, &url));
            let response = self.get(url.clone(), &part.headers(), authorization).await?;
            let Some(location) = redirect(&response) else {
                return checked(response, host, part.from);
            };
            let unusable = |reason| protocol_error(host.clone(), reason);
            url = url.join(location).map_err(|_| unusable("it leads to no URL".into()))?;
            check_hop(&host_of(&first), &url, true).map_err(unusable)?;
        }
        Err(protocol_error(host_of(&url), "it is redirected in circles".into()))
    }

    /// Asks a store as often as it says that the object is elsewhere.
    async fn signed(&self, object: &Object, part: Part<'_>) -> Result<Response, RegistryError> {
        let clouds = self.transport.clouds();
        let mut places = 0;
        loop {
            let signed = clouds.sign(self.transport.pool(), object, part.from).await;
            let signed = signed
                .map_err(|reason| RegistryError::Unsigned { object: object.to_string(), reason })?;
            let SignedGet { url, headers, .. } = &signed;
            let authorization = headers.iter().find(|(name, _)| *name == AUTHORIZATION);
            let plain = headers.iter().filter(|(name, _)| *name != AUTHORIZATION);
            let plain = plain
                .filter_map(|(name, value)| Some((name.clone(), value.to_str().ok()?.to_owned())));
            let all: Vec<_> = plain.chain(part.headers()).collect();
            let authorization = authorization.map(|(_, value)| value);
            let response = self.get(url.clone(), &all, authorization).await?;
            if response.status().is_success() {
                return Ok(response);
            }
            if response.status() == StatusCode::RANGE_NOT_SATISFIABLE && part.from > 0 {
                return Err(changed(&host_of(url)));
            }
            places += 1;
            if places < PLACES_MAX && clouds.learn(object, &response) {
                continue;
            }
            return Err(refusal::of(object, &signed, response).await);
        }
    }

    async fn get(
        &self,
        url: Url,
        headers: &[(HeaderName, String)],
        authorization: Option<&HeaderValue>,
    ) -> Result<Response, RegistryError> {
        let registry = &host_of(&url);
        let (method, body) = (Method::GET, Vec::new());
        let exchange = Exchange { registry, method, url, headers, authorization, body };
        self.transport.pool().exchange(exchange, None).await
    }
}

/// Of a file whose rest is another file's.
pub(super) fn changed(host: &str) -> RegistryError {
    RegistryError::Changed { host: host.to_owned() }
}

fn protocol_error(host: String, reason: String) -> RegistryError {
    RegistryError::Protocol { host, action: ACTION.into(), reason }
}

fn checked(response: Response, host: String, from: u64) -> Result<Response, RegistryError> {
    let (status, said) = (response.status(), String::new());
    let retry_after = retry_after(response.headers());
    match status {
        status if status.is_success() => Ok(response),
        StatusCode::RANGE_NOT_SATISFIABLE if from > 0 => Err(changed(&host)),
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
