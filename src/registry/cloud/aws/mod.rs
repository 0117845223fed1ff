//! Amazon's registries and S3.
//!
//! | module | job |
//! |---|---|
//! | `settings` | what the environment says |
//! | `hosts` | names of registries and of services |
//! | `ecr`, `s3` | logins for registries; requests for objects |
//! | `chain` | whose keys, in Amazon's order |
//! | `profiles`, `sts`, `nearby` | the shared files; roles; containers and the instance |
//! | `sigv4` | signatures |
//! | `ask` | questions to services, signed |

mod ask;
mod chain;
mod ecr;
mod hosts;
mod nearby;
mod profiles;
mod s3;
mod settings;
mod sigv4;
mod sts;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use reqwest::Response;

pub(super) use self::hosts::is_registry;
use self::profiles::Profiles;
pub use self::settings::{AwsContainer, AwsMetadata, AwsSettings, AwsWebIdentity, StaticKeys};
use super::{CloudAnswer, CloudLogin, Ends, Memory, SignedGet};
use crate::registry::auth::Secret;
use crate::registry::transport::Pool;

/// Keys are renewed so long before they end, as Amazon's own tools do it.
const MARGIN: Duration = Duration::from_secs(300);
/// Where global services are.
const DEFAULT_REGION: &str = "us-east-1";

/// Asks for logins and signs.
#[derive(Debug)]
pub(super) struct Aws {
    settings: AwsSettings,
    /// Read when Amazon is asked for the first time: other builds need not care what is in the files.
    read_profiles: OnceLock<Profiles>,
    /// Whose keys, or why there are none: found once, and again before they end. Locked while they are
    /// looked for.
    keys: tokio::sync::Mutex<Memory<Keys, String>>,
    /// Of buckets that said where they are.
    regions: Mutex<HashMap<String, String>>,
}

/// Keys to sign with.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Keys {
    id: String,
    secret: Secret,
    /// Of keys that end.
    token: Option<Secret>,
    until: Option<SystemTime>,
    /// Whose, or from where; ends a sentence.
    source: String,
    /// Whether the instance gave them, which then knows its region.
    of_instance: bool,
}

impl Ends for Keys {
    fn end(&self) -> Option<SystemTime> {
        self.until
    }
}

impl Aws {
    pub(super) fn new(settings: AwsSettings) -> Self {
        let (keys, regions) = (tokio::sync::Mutex::default(), Mutex::default());
        Self { settings, read_profiles: OnceLock::new(), keys, regions }
    }

    fn profiles(&self) -> &Profiles {
        self.read_profiles.get_or_init(|| Profiles::read(&self.settings))
    }

    pub(super) async fn login(&self, http: &Pool, registry: &str) -> CloudAnswer<CloudLogin> {
        ecr::login(self, http, registry).await
    }

    pub(super) async fn sign(
        &self,
        http: &Pool,
        bucket: &str,
        key: &str,
    ) -> CloudAnswer<SignedGet> {
        s3::sign(self, http, bucket, key).await
    }

    /// Whether an answer says that a bucket is in another region than the last request was for.
    pub(super) fn learn(&self, bucket: &str, response: &Response) -> bool {
        let Some(region) = s3::region_of(response) else { return false };
        self.remember(bucket, &region)
    }

    /// Where a bucket is, if it said so.
    fn remembered(&self, bucket: &str) -> Option<String> {
        self.regions.lock().unwrap_or_else(PoisonError::into_inner).get(bucket).cloned()
    }

    /// Whether that is news.
    fn remember(&self, bucket: &str, region: &str) -> bool {
        let mut regions = self.regions.lock().unwrap_or_else(PoisonError::into_inner);
        regions.insert(bucket.to_owned(), region.to_owned()).as_deref() != Some(region)
    }

    /// What would be asked for keys, without asking.
    pub(super) fn plan(&self) -> CloudAnswer<String> {
        chain::plan(self)
    }

    /// Keys to sign with, or where they were looked for. `region` is whose STS is asked, where there
    /// is no other.
    async fn keys(&self, http: &Pool, region: Option<&str>) -> CloudAnswer<Keys> {
        let mut known = self.keys.lock().await;
        match known.recall(MARGIN) {
            Some(answer) => answer,
            None => known.learn(chain::find(self, http, region).await),
        }
    }

    /// The region that was chosen, by a variable or in the profile.
    fn region(&self) -> Option<&str> {
        self.settings.region.as_deref().or_else(|| self.profiles().chosen("region"))
    }
}
