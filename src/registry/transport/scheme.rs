//! Plain HTTP or TLS.
//!
//! Docker's rule: loopback hosts and those marked as insecure may speak plain HTTP. Their answer to the
//! first request tells. kiln asks loopback ports by HTTP first: that is what runs there nearly always.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use super::pool::is_loopback;
use super::{Access, Place};
use crate::registry::error::RegistryError;
use crate::registry::options::Options;
use crate::registry::reference::canonical_registry;

/// How a registry is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::registry) enum Scheme {
    Http,
    Https,
}

impl Scheme {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// Which registries may speak plain HTTP, and what is known of them.
#[derive(Debug)]
pub(super) struct Schemes {
    insecure_push: bool,
    insecure_pull: bool,
    insecure: HashSet<String>,
    /// Mirrors whose scheme the user gave.
    given: HashMap<String, Scheme>,
    /// What registries that may be plain were found to speak.
    found: Mutex<HashMap<String, Scheme>>,
    /// By registry; locked by whoever finds out, so that many requests at once ask once.
    asking: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

impl Schemes {
    pub(super) fn new(options: &Options, given: HashMap<String, Scheme>) -> Self {
        let insecure = options.insecure_registries.iter().map(|host| canonical_registry(host));
        Self {
            insecure_push: options.insecure,
            insecure_pull: options.insecure_pull,
            insecure: insecure.collect(),
            given,
            found: Mutex::default(),
            asking: Mutex::default(),
        }
    }

    /// Whether plain HTTP may be tried.
    pub(super) fn may_be_plain(&self, place: &Place) -> bool {
        let everywhere = match place.access {
            Access::Pull => self.insecure_pull,
            Access::Push | Access::Delete => self.insecure_push,
        };
        if let Some(given) = self.given.get(&place.registry) {
            return *given == Scheme::Http;
        }
        everywhere || self.insecure.contains(&place.registry) || is_loopback(&place.registry)
    }

    /// The scheme of a registry where there is nothing to find out, or it was found out before.
    /// A registry that is plain for pushes is not so for pulls unless the user said so, too.
    pub(super) fn known(&self, place: &Place) -> Option<Scheme> {
        if let Some(given) = self.given.get(&place.registry) {
            return Some(*given);
        }
        if !self.may_be_plain(place) {
            return Some(Scheme::Https);
        }
        self.found.lock().unwrap_or_else(PoisonError::into_inner).get(&place.registry).copied()
    }

    /// Whose lock is held while the registry is asked.
    pub(super) fn asking(&self, place: &Place) -> Arc<tokio::sync::Mutex<()>> {
        let mut asking = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        asking.entry(place.registry.clone()).or_default().clone()
    }

    /// Remembers what a registry speaks.
    pub(super) fn remember(&self, place: &Place, scheme: Scheme) {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.insert(place.registry.clone(), scheme);
    }
}

/// The order in which a registry that may speak plain HTTP is asked.
pub(super) fn order(registry: &str) -> [Scheme; 2] {
    let port = super::pool::without_port(registry).len() < registry.len();
    if is_loopback(registry) && port {
        [Scheme::Http, Scheme::Https]
    } else {
        [Scheme::Https, Scheme::Http]
    }
}

/// What an answer to the first question means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The registry speaks this scheme.
    Speaks,
    /// It does not; the other one is worth a try.
    Other,
    /// It cannot be said now.
    Failed,
}

/// Judges a failure to get any response.
pub(super) fn judge_error(scheme: Scheme, error: &RegistryError) -> Verdict {
    match (scheme, error) {
        // A TLS server closes the connection, or sends an alert that is no HTTP.
        (Scheme::Http, RegistryError::Connection { .. }) => Verdict::Other,
        (Scheme::Https, RegistryError::Tls { .. } | RegistryError::Refused { .. }) => {
            Verdict::Other
        }
        // A server that closes the connection at the first byte that it does not understand.
        (Scheme::Https, RegistryError::Connection { .. }) => Verdict::Other,
        _ => Verdict::Failed,
    }
}

/// Whether an answer may be a TLS server's complaint, so that its body has to be looked at.
pub(super) fn may_complain(scheme: Scheme, status: u16) -> bool {
    scheme == Scheme::Http && matches!(status, 400 | 426 | 497)
}

/// Judges a response. TLS servers answer plain HTTP with a 400 and a sentence: Go's
/// "Client sent an HTTP request to an HTTPS server", nginx's "The plain HTTP request was sent to
/// HTTPS port", Apache's "speaking plain HTTP to an SSL-enabled server port".
pub(super) fn judge_response(scheme: Scheme, status: u16, body: &[u8]) -> Verdict {
    let body = String::from_utf8_lossy(body);
    let wants_tls = body.contains("HTTPS") || body.contains("SSL-enabled");
    if may_complain(scheme, status) && wants_tls { Verdict::Other } else { Verdict::Speaks }
}

/// The error to show when neither scheme worked: a server that speaks TLS and has a bad certificate
/// was found; else the first one.
pub(super) fn telling(errors: Vec<RegistryError>) -> Option<RegistryError> {
    let speaks_tls =
        |error: &RegistryError| matches!(error, RegistryError::Tls { plain: false, .. });
    let index = errors.iter().position(speaks_tls).unwrap_or(0);
    errors.into_iter().nth(index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_insecure_hosts_may_be_plain() {
        let options = Options {
            insecure: true,
            insecure_registries: vec!["R.io:5000".into()],
            ..Options::default()
        };
        let given = [("m.io", Scheme::Http), ("127.0.0.1:1", Scheme::Https)];
        let given = given.map(|(host, scheme)| (host.to_owned(), scheme)).into();
        let schemes = Schemes::new(&options, given);
        for (registry, access, expected) in [
            ("any.io", Access::Push, true),
            ("any.io", Access::Pull, false),
            ("r.io:5000", Access::Pull, true),
            ("r.io", Access::Pull, false),
            ("localhost", Access::Pull, true),
            ("m.io", Access::Pull, true),
            ("127.0.0.1:1", Access::Pull, false),
        ] {
            let place = Place { registry: registry.into(), name: "a".into(), access };
            assert_eq!(schemes.may_be_plain(&place), expected, "{registry} {access:?}");
        }
        let place = |access| Place { registry: "any.io".into(), name: "a".into(), access };
        assert_eq!(schemes.known(&place(Access::Push)), None);
        schemes.remember(&place(Access::Push), Scheme::Http);
        assert_eq!(schemes.known(&place(Access::Push)), Some(Scheme::Http));
        assert_eq!(schemes.known(&place(Access::Pull)), Some(Scheme::Https));
        assert_eq!(order("127.0.0.1:5000")[0], Scheme::Http);
        assert_eq!(order("localhost")[0], Scheme::Https);
        assert_eq!(order("r.io:5000")[0], Scheme::Https);
    }

    #[test]
    fn tls_servers_are_recognised_by_their_complaint() {
        for (scheme, status, body, verdict) in [
            (
                Scheme::Http,
                400,
                "Client sent an HTTP request to an HTTPS server.\n",
                Verdict::Other,
            ),
            (Scheme::Http, 400, "The plain HTTP request was sent to HTTPS port", Verdict::Other),
            (Scheme::Http, 401, "", Verdict::Speaks),
            (Scheme::Http, 400, "bad", Verdict::Speaks),
            (Scheme::Https, 400, "HTTPS", Verdict::Speaks),
        ] {
            assert_eq!(judge_response(scheme, status, body.as_bytes()), verdict, "{status} {body}");
        }
    }
}
