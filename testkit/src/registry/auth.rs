//! Who may do what: none, HTTP basic, or bearer tokens from a token service on the same server.
//!
//! Source: distribution's docs "Token Authentication Specification" and "OAuth2 Token
//! Authentication".

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::http::{Head, Response, form};
use super::store::lock;
use crate::digest;

/// Where the token service answers.
pub(crate) const TOKEN_PATH: &str = "/token";
const SERVICE: &str = "testkit";

/// What a request is about to do to a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Pull,
    Push,
    Delete,
}

/// How the registry knows its clients.
#[derive(Debug, Default)]
pub(crate) enum Auth {
    #[default]
    Open,
    Basic(Credentials),
    Token(TokenService),
}

/// A user and a password.
#[derive(Debug, Clone)]
pub(crate) struct Credentials {
    pub user: String,
    pub password: String,
}

impl Credentials {
    /// Whether an `Authorization` header carries exactly these.
    fn match_basic(&self, header: &str) -> bool {
        let expected = STANDARD.encode(format!("{}:{}", self.user, self.password));
        let (scheme, value) = header.split_once(' ').unwrap_or_default();
        scheme.eq_ignore_ascii_case("basic") && value.trim() == expected
    }
}

/// Issues tokens and remembers them.
#[derive(Debug)]
pub(crate) struct TokenService {
    pub credentials: Credentials,
    pub lifetime: Duration,
    /// Clients without credentials get tokens to pull.
    pub anonymous_pull: bool,
    /// Requests that a token is good for.
    pub uses: u64,
    tokens: Mutex<HashMap<String, Grant>>,
    serial: AtomicU64,
}

#[derive(Debug)]
struct Grant {
    until: Instant,
    /// Requests that it is still good for.
    left: u64,
    /// Repository and the actions on it.
    scopes: Vec<(String, Vec<String>)>,
}

impl Auth {
    /// Checks a request for access to a repository, or to the registry as a whole (`GET /v2/`).
    /// The error is the answer to give.
    pub fn check(&self, head: &Head, need: Option<(&str, Access)>) -> Result<(), Response> {
        self.look(head, need, 1)
    }

    /// The same, once more for the same request.
    pub fn check_again(&self, head: &Head, need: Option<(&str, Access)>) -> Result<(), Response> {
        self.look(head, need, 0)
    }

    fn look(&self, head: &Head, need: Option<(&str, Access)>, uses: u64) -> Result<(), Response> {
        let sent = head.header("authorization");
        match self {
            Self::Open => Ok(()),
            Self::Basic(credentials) => {
                if sent.is_some_and(|header| credentials.match_basic(header)) {
                    return Ok(());
                }
                Err(unauthorized(format!("Basic realm=\"{SERVICE}\""), "authentication required"))
            }
            Self::Token(service) => service.check(head, sent, need, uses),
        }
    }

    /// Whether this request may also read that repository: asked before a blob is mounted.
    pub fn may_pull(&self, head: &Head, repo: &str) -> bool {
        self.check_again(head, Some((repo, Access::Pull))).is_ok()
    }

    /// Ends all tokens.
    pub fn expire(&self) {
        if let Self::Token(service) = self {
            lock(&service.tokens).clear();
        }
    }

    /// Answers a request for a token.
    pub fn issue(&self, head: &Head, body: &str) -> Response {
        match self {
            Self::Token(service) => service.issue(head, body),
            _ => Response::new(404),
        }
    }
}

impl TokenService {
    pub fn new(credentials: Credentials, lifetime: Duration) -> Self {
        let (tokens, serial) = (Mutex::default(), AtomicU64::new(1));
        let (anonymous_pull, uses) = (false, u64::MAX);
        Self { credentials, lifetime, anonymous_pull, uses, tokens, serial }
    }

    fn check(
        &self,
        head: &Head,
        sent: Option<&str>,
        need: Option<(&str, Access)>,
        uses: u64,
    ) -> Result<(), Response> {
        let (scheme, token) = sent.and_then(|header| header.split_once(' ')).unwrap_or_default();
        let mut tokens = lock(&self.tokens);
        let grant = tokens.get_mut(token.trim()).filter(|_| scheme.eq_ignore_ascii_case("bearer"));
        let problem = match grant {
            None if sent.is_none() => None,
            None => Some("invalid_token"),
            Some(grant) if grant.until <= Instant::now() || grant.left < uses => {
                Some("invalid_token")
            }
            Some(grant) if !grant.allows(need) => Some("insufficient_scope"),
            Some(grant) => {
                grant.left -= uses;
                return Ok(());
            }
        };
        // The host that the client used, so that the service is found under any name.
        let host = head.header("host").unwrap_or("127.0.0.1");
        // As a proxy that ends TLS spells it.
        let scheme = head.header("x-forwarded-proto").unwrap_or("http");
        let mut challenge =
            format!("Bearer realm=\"{scheme}://{host}{TOKEN_PATH}\",service=\"{SERVICE}\"");
        if let Some((repo, access)) = need {
            let actions = match access {
                Access::Pull => "pull",
                Access::Push => "pull,push",
                Access::Delete => "delete",
            };
            challenge.push_str(&format!(",scope=\"repository:{repo}:{actions}\""));
        }
        if let Some(problem) = problem {
            challenge.push_str(&format!(",error=\"{problem}\""));
        }
        Err(unauthorized(challenge, problem.unwrap_or("authentication required")))
    }

    fn issue(&self, head: &Head, body: &str) -> Response {
        let scopes = match head.method.as_str() {
            "GET" => head.query_all("scope"),
            "POST" => field(body, "scope").into_iter().collect(),
            _ => return Response::new(405),
        };
        let known = match head.method.as_str() {
            "GET" => head.header("authorization").map(|h| self.credentials.match_basic(h)),
            _ => Some(self.match_grant(body)),
        };
        if known == Some(false) || (known.is_none() && !self.anonymous_pull) {
            let challenge = format!("Basic realm=\"{SERVICE}\"");
            return unauthorized(challenge, "these credentials are not known");
        }
        let read_only = known.is_none();
        // Scopes may come in one parameter with spaces between them, or in several parameters.
        let scopes = scopes.iter().flat_map(|scope| scope.split(' '));
        let scopes = scopes.filter_map(|scope| parse_scope(scope, read_only)).collect();
        let token = self.remember(scopes);
        let mut answer = json!({
            "token": token,
            "access_token": token,
            "expires_in": self.lifetime.as_secs(),
        });
        if head.method == "POST" && field(body, "access_type").as_deref() == Some("offline") {
            answer["refresh_token"] = self.credentials.password.clone().into();
        }
        Response::new(200).bytes("application/json", answer.to_string())
    }

    /// Whether an OAuth2 request proves who it comes from. The identity token (`refresh_token`)
    /// is the password itself.
    fn match_grant(&self, body: &str) -> bool {
        let is = |name: &str, value: &str| field(body, name).as_deref() == Some(value);
        let Credentials { user, password } = &self.credentials;
        match field(body, "grant_type").as_deref() {
            Some("password") => is("username", user) && is("password", password),
            Some("refresh_token") => is("refresh_token", password),
            _ => false,
        }
    }

    fn remember(&self, scopes: Vec<(String, Vec<String>)>) -> String {
        let mut tokens = lock(&self.tokens);
        // The number goes on when tokens expire, so that an old token stays unknown.
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        let token = digest::sha256(format!("{serial} {:?}", Instant::now()).as_bytes());
        let token = format!("{serial}.{}", &token[7..39]);
        let grant = Grant { until: Instant::now() + self.lifetime, left: self.uses, scopes };
        tokens.insert(token.clone(), grant);
        token
    }
}

impl Grant {
    fn allows(&self, need: Option<(&str, Access)>) -> bool {
        let Some((repo, access)) = need else { return true };
        let word = match access {
            Access::Pull => "pull",
            Access::Push => "push",
            Access::Delete => "delete",
        };
        (self.scopes.iter())
            .filter(|(name, _)| name == repo)
            .any(|(_, actions)| actions.iter().any(|action| action == word || action == "*"))
    }
}

/// `repository:NAME:ACTIONS`; a name may contain a colon when it has a host in front.
fn parse_scope(scope: &str, read_only: bool) -> Option<(String, Vec<String>)> {
    let (name, actions) = scope.strip_prefix("repository:")?.rsplit_once(':')?;
    let actions = actions.split(',').filter(|action| !read_only || *action == "pull");
    Some((name.to_owned(), actions.map(str::to_owned).collect()))
}

fn field(body: &str, name: &str) -> Option<String> {
    form(body).into_iter().find(|(key, _)| key == name).map(|(_, value)| value)
}

fn unauthorized(challenge: String, message: &str) -> Response {
    super::api::error(401, "UNAUTHORIZED", message).with("WWW-Authenticate", challenge)
}
