//! From a challenge to an `Authorization` header: basic credentials, or a bearer token.
//!
//! Source: distribution's token.md (GET with basic credentials) and oauth.md (POST with a refresh
//! token). Tokens live minutes (GitLab: 5), so every request asks here and gets a fresh one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use reqwest::{Method, Response, StatusCode, Url};
use serde::Deserialize;

use super::auth::{CloudAccess, Credentials, Found, Keychain};
use super::challenge::{self, Bearer, Challenge};
use super::error::RegistryError;
use super::options::Options;
use super::transport::{
    Access, Asked, Exchange, Place, Pool, check_hop, failure, host_of, read_body,
};
use crate::cancel::Cancel;

/// Largest answer of a token server.
const TOKEN_MAX: usize = 1 << 20;
/// What token.md says where a token server says nothing.
const DEFAULT_LIFE: u64 = 60;
/// A token is renewed this long before its end (or a quarter of its life, if that is shorter).
const MARGIN: Duration = Duration::from_secs(30);

/// Knows how each registry wants to be asked, and holds the tokens.
pub(super) struct Authorizer {
    keychain: Arc<Keychain>,
    cancel: Cancel,
    /// By registry.
    challenges: Mutex<HashMap<String, Challenge>>,
    /// Scopes that a registry asked for beyond those that kiln would, by registry and repository:
    /// proxies in front of a registry rewrite its names.
    extra: Mutex<HashMap<(String, String), Vec<String>>>,
    /// Why a cloud's login is not shown for pulls any more, by registry: it was refused.
    refused: Mutex<HashMap<String, String>>,
    /// By registry and scopes.
    tokens: Mutex<HashMap<(String, Vec<String>), Slot>>,
}

/// Locked while a token is fetched, so that many threads fetch it once.
type Slot = Arc<tokio::sync::Mutex<Option<Token>>>;

struct Token {
    header: HeaderValue,
    renew_at: Instant,
}

#[derive(Deserialize)]
struct Answer {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
}

impl Authorizer {
    pub(super) fn new(
        options: &Options,
        clouds: CloudAccess,
        cancel: &Cancel,
    ) -> Result<Self, RegistryError> {
        Ok(Self {
            keychain: Arc::new(Keychain::load(&options.credentials)?.with_clouds(clouds)),
            cancel: cancel.clone(),
            challenges: Mutex::default(),
            extra: Mutex::default(),
            refused: Mutex::default(),
            tokens: Mutex::default(),
        })
    }

    /// What people should know of the places of credentials, and was not told before.
    pub(super) fn take_warnings(&self) -> Vec<String> {
        self.keychain.take_warnings()
    }

    /// The credentials for a place, or why there are none.
    pub(super) async fn credentials(&self, place: &Place) -> Found {
        let refused = lock(&self.refused).get(&place.registry).cloned();
        if let Some(source) = refused.filter(|_| place.access == Access::Pull) {
            return Found { credentials: None, source };
        }
        let (keychain, cancel) = (self.keychain.clone(), self.cancel.clone());
        let (registry, name) = (place.registry.clone(), place.name.clone());
        let search = tokio::task::spawn_blocking(move || keychain.find(&registry, &name, &cancel));
        search.await.unwrap_or_else(|error| Found {
            credentials: None,
            source: format!("the search for credentials ended early: {error}"),
        })
    }

    /// The header for a request; `None` where the registry has not asked for any, or there is
    /// nothing to show.
    pub(super) async fn header(
        &self,
        pool: &Pool,
        place: &Place,
        base: &Url,
        scopes: &[String],
    ) -> Result<Option<HeaderValue>, RegistryError> {
        let challenge = lock(&self.challenges).get(&place.registry).cloned();
        match challenge {
            None => Ok(None),
            Some(Challenge::Basic) => Ok(match self.credentials(place).await.credentials {
                Some(Credentials::Basic { user, password }) => Some(basic_header(&user, &password)),
                Some(Credentials::Registry(token)) => bearer_header(&token),
                _ => None,
            }),
            Some(Challenge::Bearer(bearer)) => {
                let scopes = self.all_scopes(place, scopes);
                let slot = self.slot(place, &scopes);
                let mut token = slot.lock().await;
                if let Some(token) = token.as_ref().filter(|token| Instant::now() < token.renew_at)
                {
                    return Ok(Some(token.header.clone()));
                }
                let found = self.credentials(place).await;
                if let Some(Credentials::Registry(token)) = &found.credentials {
                    return Ok(bearer_header(token));
                }
                let fetch = Fetch { pool, place, base, bearer: &bearer, found: &found };
                let fetched = match fetch.run(&scopes).await {
                    Err(error)
                        if error.is_unauthorized()
                            && self.drop_cloud(place, &found, error.said()) =>
                    {
                        let found = self.credentials(place).await;
                        Fetch { found: &found, ..fetch }.run(&scopes).await?
                    }
                    outcome => outcome?,
                };
                Ok(Some(token.insert(fetched).header.clone()))
            }
        }
    }

    /// Takes in a 401: the challenge counts from now on, and the token that was used no more.
    pub(super) async fn learn(
        &self,
        place: &Place,
        scopes: &[String],
        used: Option<&HeaderValue>,
        headers: &HeaderMap,
    ) {
        let slot = self.slot(place, &self.all_scopes(place, scopes));
        let mut token = slot.lock().await;
        if token.as_ref().map(|token| &token.header) == used {
            *token = None;
        }
        drop(token);
        let texts = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|text| text.to_str().ok());
        let Some(challenge) = challenge::pick(texts) else { return };
        if let Challenge::Bearer(Bearer { scope: Some(wanted), .. }) = &challenge {
            let unknown =
                wanted.split(' ').filter(|scope| !scope.is_empty() && !covers(scopes, scope));
            let unknown: Vec<String> = unknown.map(str::to_owned).collect();
            if !unknown.is_empty() {
                let key = (place.registry.clone(), place.name.clone());
                lock(&self.extra).insert(key, unknown);
            }
        }
        lock(&self.challenges).insert(place.registry.clone(), challenge);
    }

    /// Takes in that the registry itself refused this header.
    pub(super) async fn refuse(&self, place: &Place, used: Option<&HeaderValue>) {
        let Some(used) = used else { return };
        let found = self.credentials(place).await;
        let shown = match &found.credentials {
            Some(Credentials::Basic { user, password }) => Some(basic_header(user, password)),
            Some(Credentials::Registry(token)) => bearer_header(token),
            _ => None,
        };
        if shown.as_ref() == Some(used) {
            self.drop_cloud(place, &found, "");
        }
    }

    /// Goes on without a cloud's login that was refused, where kiln only reads: what anybody may read
    /// needs none, and nobody asked kiln to show it. Whether there is such a login.
    fn drop_cloud(&self, place: &Place, found: &Found, said: &str) -> bool {
        let Some(credentials) = &found.credentials else { return false };
        if place.access != Access::Pull || !self.keychain.is_of_cloud(&place.registry, credentials)
        {
            return false;
        }
        let said = if said.is_empty() { String::new() } else { format!(" ({said})") };
        let why = format!("the login by {} was refused{said}", found.source);
        lock(&self.refused).insert(place.registry.clone(), why);
        true
    }

    fn all_scopes(&self, place: &Place, scopes: &[String]) -> Vec<String> {
        let key = (place.registry.clone(), place.name.clone());
        let extra = lock(&self.extra).get(&key).cloned().unwrap_or_default();
        scopes.iter().cloned().chain(extra).collect()
    }

    fn slot(&self, place: &Place, scopes: &[String]) -> Slot {
        let key = (place.registry.clone(), scopes.to_vec());
        lock(&self.tokens).entry(key).or_default().clone()
    }
}

/// One visit to a token server.
struct Fetch<'a> {
    pool: &'a Pool,
    place: &'a Place,
    base: &'a Url,
    bearer: &'a Bearer,
    found: &'a Found,
}

impl Fetch<'_> {
    async fn run(&self, scopes: &[String]) -> Result<Token, RegistryError> {
        let start = Instant::now();
        let realm = self.realm()?;
        let host = host_of(&realm);
        let action = format!("get a token for {}", scopes.join(" "));
        let response = match &self.found.credentials {
            Some(Credentials::Identity(refresh)) => self.post(realm, scopes, refresh).await?,
            Some(Credentials::Basic { user, password }) => {
                let header = basic_header(user, password);
                self.get(realm, scopes, Some((user, header))).await?
            }
            _ => self.get(realm, scopes, None).await?,
        };
        if response.status() != StatusCode::OK {
            return Err(self.refused(&host, &action, &scopes.join(" "), response).await);
        }
        let body = read_body(response, &host, TOKEN_MAX, &action).await?;
        let unusable = |reason: &str| RegistryError::Protocol {
            host: host.clone(),
            action: action.clone(),
            reason: reason.to_owned(),
        };
        // serde's words would quote the token.
        let answer: Answer =
            serde_json::from_slice(&body).map_err(|_| unusable("it is not the JSON of a token"))?;
        let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
        let token = filled(answer.token).or(filled(answer.access_token));
        let token = token.ok_or_else(|| unusable("it holds no token"))?;
        let header = bearer_header(&token).ok_or_else(|| unusable("its token is no header"))?;
        let life = answer.expires_in.filter(|life| *life > 0).unwrap_or(DEFAULT_LIFE);
        // A life of years would overflow the clock on some machines.
        let life = Duration::from_secs(life.min(24 * 3600));
        Ok(Token { header, renew_at: start + life - MARGIN.min(life / 4) })
    }

    /// The token server's URL, checked: the registry chooses where the credentials go, so never by
    /// plain HTTP unless the registry itself is spoken to so.
    fn realm(&self) -> Result<Url, RegistryError> {
        let unusable = |reason: String| RegistryError::Protocol {
            host: self.place.host().to_owned(),
            action: "log in".into(),
            reason,
        };
        let realm = Url::parse(&self.bearer.realm).map_err(|_| {
            unusable(format!("its token server is no URL: `{}`", self.bearer.realm))
        })?;
        check_hop(self.place.host(), &realm, self.base.scheme() == "http")
            .map_err(|reason| unusable(format!("its token server cannot be used: {reason}")))?;
        Ok(realm)
    }

    async fn get(
        &self,
        mut url: Url,
        scopes: &[String],
        credentials: Option<(&str, HeaderValue)>,
    ) -> Result<Response, RegistryError> {
        {
            let mut query = url.query_pairs_mut();
            if let Some(service) = &self.bearer.service {
                query.append_pair("service", service);
            }
            for scope in scopes {
                query.append_pair("scope", scope);
            }
            if let Some((user, _)) = &credentials {
                query.append_pair("account", user);
            }
        }
        let header = credentials.map(|(_, header)| header);
        self.exchange(Method::GET, url, header.as_ref(), &[], Vec::new()).await
    }

    async fn post(
        &self,
        url: Url,
        scopes: &[String],
        refresh: &str,
    ) -> Result<Response, RegistryError> {
        let mut form = url.clone();
        form.set_query(None);
        form.query_pairs_mut()
            .append_pair("grant_type", "refresh_token")
            .append_pair("service", self.bearer.service.as_deref().unwrap_or_default())
            .append_pair("client_id", "kiln")
            .append_pair("scope", &scopes.join(" "))
            .append_pair("refresh_token", refresh);
        let body = form.query().unwrap_or_default().as_bytes().to_vec();
        let headers = [(CONTENT_TYPE, "application/x-www-form-urlencoded".to_owned())];
        self.exchange(Method::POST, url, None, &headers, body).await
    }

    async fn exchange(
        &self,
        method: Method,
        url: Url,
        authorization: Option<&HeaderValue>,
        headers: &[(reqwest::header::HeaderName, String)],
        body: Vec<u8>,
    ) -> Result<Response, RegistryError> {
        let registry = &self.place.registry;
        let exchange = Exchange { registry, method, url, headers, authorization, body };
        self.pool.exchange(exchange, None).await
    }

    async fn refused(
        &self,
        host: &str,
        action: &str,
        scope: &str,
        response: Response,
    ) -> RegistryError {
        // GitLab's answers 404 now and then and 200 a moment later
        // (GoogleContainerTools/kaniko#584, containers/podman#16065).
        if response.status() == StatusCode::NOT_FOUND {
            return RegistryError::TokenServer { host: host.to_owned(), action: action.to_owned() };
        }
        let asked = Asked { host, action, what: "the token server", scope, found: self.found };
        failure(&asked, response).await
    }
}

/// Whether scopes include another: the same resource with at least its actions.
fn covers(scopes: &[String], wanted: &str) -> bool {
    let Some((resource, actions)) = wanted.rsplit_once(':') else { return false };
    scopes.iter().filter_map(|scope| scope.rsplit_once(':')).any(|(own, own_actions)| {
        own == resource && actions.split(',').all(|a| own_actions.split(',').any(|own| own == a))
    })
}

fn basic_header(user: &str, password: &str) -> HeaderValue {
    let encoded = STANDARD.encode(format!("{user}:{password}"));
    // Base64 is always a valid header; an empty one would be refused by the registry.
    sensitive(HeaderValue::from_str(&format!("Basic {encoded}")).ok())
        .unwrap_or_else(|| HeaderValue::from_static(""))
}

fn bearer_header(token: &str) -> Option<HeaderValue> {
    sensitive(HeaderValue::from_str(&format!("Bearer {token}")).ok())
}

fn sensitive(header: Option<HeaderValue>) -> Option<HeaderValue> {
    header.map(|mut header| {
        header.set_sensitive(true);
        header
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::super::testserver::{Reply, Server};
    use super::super::{CredentialSource, HostLogin};
    use super::*;

    /// Anybody may pull `open`; the cloud's login is refused everywhere.
    #[test]
    fn a_clouds_refused_login_is_no_reason_not_to_read() {
        let server = Server::start(|seen| {
            match (seen.header("authorization"), seen.target.contains("open%3Apull&")) {
                (Some(_), _) => Reply::new(403, r#"{"message":"the login is stale"}"#),
                (None, true) => Reply::new(200, r#"{"token":"t1"}"#),
                (None, false) => Reply::new(401, ""),
            }
        });
        let login = HostLogin {
            variables: "X".into(),
            host: "127_0_0_1".into(),
            user: "u".into(),
            password: "geheim".into(),
        };
        let options = Options {
            credentials: vec![CredentialSource::Hosts(vec![login])],
            ..Options::default()
        };
        let given = Credentials::Basic { user: "u".into(), password: "geheim".into() };
        let base: Url = format!("http://{}/", server.host()).parse().expect("a url");
        let realm = format!(r#"Bearer realm="{base}token",service="s""#);
        let headers: HeaderMap =
            [(WWW_AUTHENTICATE, HeaderValue::from_str(&realm).expect("a header"))]
                .into_iter()
                .collect();
        let place =
            |name: &str, access| Place { registry: server.host(), name: name.into(), access };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        for (of_cloud, name, access, expected) in [
            (true, "open", Access::Pull, Ok(())),
            (true, "closed", Access::Pull, Err("was refused (the login is stale)")),
            (true, "open", Access::Push, Err("kiln used X_USER")),
            (false, "open", Access::Pull, Err("kiln used X_USER")),
        ] {
            let pool = Arc::new(Pool::new(&options).expect("a pool"));
            let clouds = CloudAccess::seeded(pool.clone(), &server.host(), &given, of_cloud);
            let authorizer =
                Authorizer::new(&options, clouds, &Cancel::default()).expect("credentials");
            let place = place(name, access);
            let scopes = [place.scope(), "other".to_owned()];
            let asked = server.lines().len();
            let outcome = runtime.as_ref().expect("a runtime").block_on(async {
                authorizer.learn(&place, &scopes, None, &headers).await;
                authorizer.header(&pool, &place, &base, &scopes).await
            });
            match (outcome, expected) {
                (Ok(Some(header)), Ok(())) => {
                    assert_eq!(header, "Bearer t1");
                    assert_eq!(server.lines().len() - asked, 2);
                }
                (Err(error), Err(part)) => {
                    let text = error.to_string();
                    assert!(text.contains(part) && !text.contains("geheim"), "{text}");
                }
                (outcome, _) => panic!("{of_cloud} {name} {access:?}: {outcome:?}"),
            }
        }
    }

    #[test]
    fn a_scope_covers_fewer_actions_on_the_same_resource() {
        let scopes = ["repository:a:pull,push".to_owned(), "repository:b:pull".to_owned()];
        for (wanted, expected) in [
            ("repository:a:pull", true),
            ("repository:a:push,pull", true),
            ("repository:a:delete", false),
            ("repository:b:push", false),
            ("repository:c:pull", false),
            ("registry:catalog:*", false),
            ("nonsense", false),
        ] {
            assert_eq!(covers(&scopes, wanted), expected, "{wanted}");
        }
    }
}
