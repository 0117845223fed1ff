//! Clouds as a place of credentials.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
#[cfg(test)]
use std::time::SystemTime;

use tokio::runtime::Handle;

use super::{Answer, Credentials, FRESH, Keychain};
use crate::registry::cloud::{Cloud, CloudLogin, Clouds, Memory};
use crate::registry::transport::Pool;

/// What may be done with clouds.
#[derive(Debug)]
pub(super) enum Sky {
    /// Nobody has said.
    Unknown,
    /// Nothing may be sent; what would be is known.
    Plan(Arc<Clouds>),
    Ask(CloudAccess),
}

/// A registry's login. Locked during a call, which all threads want the answer of; those that want
/// another registry's do not wait for it.
type Slot = Arc<Mutex<Memory<CloudLogin, String>>>;

/// How clouds are asked.
#[derive(Debug)]
pub(in crate::registry) struct CloudAccess {
    clouds: Arc<Clouds>,
    pool: Arc<Pool>,
    /// By registry.
    logins: Mutex<HashMap<String, Slot>>,
}

impl CloudAccess {
    pub(in crate::registry) fn new(clouds: Arc<Clouds>, pool: Arc<Pool>) -> Self {
        Self { clouds, pool, logins: Mutex::default() }
    }

    /// One that has a login already, or none.
    #[cfg(test)]
    pub(in crate::registry) fn seeded(
        pool: Arc<Pool>,
        registry: &str,
        credentials: &Credentials,
        has_it: bool,
    ) -> Self {
        let login = CloudLogin {
            credentials: credentials.clone(),
            source: "a cloud".into(),
            until: SystemTime::now() + FRESH * 2,
        };
        let mut memory = Memory::default();
        if has_it {
            let _ = memory.learn(Ok(login));
        }
        let logins = [(registry.to_owned(), Arc::new(Mutex::new(memory)))];
        let clouds = Arc::new(Clouds::new(&crate::registry::CloudSettings::default()));
        Self { clouds, pool, logins: Mutex::new(logins.into()) }
    }

    /// A login for a registry, from memory while it can be used. Blocks; for threads of a runtime that
    /// may.
    fn ask(&self, cloud: Cloud, registry: &str) -> Result<CloudLogin, String> {
        let slot = {
            let mut logins = self.logins.lock().unwrap_or_else(PoisonError::into_inner);
            logins.entry(registry.to_owned()).or_default().clone()
        };
        let mut login = slot.lock().unwrap_or_else(PoisonError::into_inner);
        match login.recall(FRESH) {
            Some(answer) => answer,
            None => login
                .learn(Handle::current().block_on(self.clouds.login(&self.pool, cloud, registry))),
        }
    }
}

impl Keychain {
    /// Whether these credentials are a cloud's, which nobody wrote down for this registry.
    pub(in crate::registry) fn is_of_cloud(&self, registry: &str, given: &Credentials) -> bool {
        let Sky::Ask(access) = &self.clouds else { return false };
        let logins = access.logins.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = logins.get(registry).cloned();
        drop(logins);
        // Not to wait for a call that another thread makes just now.
        let login = slot.and_then(|slot| slot.try_lock().ok()?.recall(Duration::ZERO)?.ok());
        login.is_some_and(|login| login.credentials == *given)
    }

    /// A cloud's login for one of its own registries.
    pub(super) fn answer_of_cloud(&self, cloud: Cloud, registry: &str) -> Answer {
        if Cloud::of(registry) != Some(cloud) {
            return Answer::NotConcerned;
        }
        let access = match &self.clouds {
            Sky::Ask(access) => access,
            Sky::Plan(clouds) => {
                return match clouds.plan(cloud) {
                    Ok(plan) => Answer::Planned(plan),
                    Err(reason) => Answer::None(format!("{cloud}: {reason}")),
                };
            }
            Sky::Unknown => return Answer::None(format!("{cloud} is asked during a build only")),
        };
        match access.ask(cloud, registry) {
            Ok(CloudLogin { credentials, source, .. }) => {
                Answer::Found { credentials, key: cloud.to_string(), source }
            }
            Err(reason) => Answer::None(reason),
        }
    }
}
