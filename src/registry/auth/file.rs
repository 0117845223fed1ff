//! A question to one config.json.

use super::super::reference::HUB;
use super::config::Config;
use super::{Answer, HelperFailure, Keychain, NOT_SET_HERE};
use crate::cancel::Cancel;

/// The key of Docker Hub in config.json and for helpers, since the days of its version 1.
pub(super) const HUB_KEY: &str = "https://index.docker.io/v1/";

/// A question to one config.json.
pub(super) struct File<'a> {
    pub(super) keychain: &'a Keychain,
    pub(super) name: &'a str,
    pub(super) config: &'a Config,
    pub(super) cancel: &'a Cancel,
}

impl File<'_> {
    /// Docker's order: the registry's own helper, the file's entries (the longest matching path
    /// wins), the helper for all registries.
    pub(super) fn answer(&self, registry: &str, repository: &str) -> Answer {
        let Self { name, config, .. } = self;
        let mut notes = Vec::new();
        if let Some(program) = config.helper(registry) {
            match self.ask(program, registry) {
                Ok(found) => return found,
                Err(note) => notes.push(note),
            }
        }
        if let Some(entry) = config.entry(registry, repository) {
            let named = format!("the entry `{}` of {name}", entry.key);
            match &entry.credentials {
                Ok(credentials) => {
                    let (credentials, key) = (credentials.clone(), entry.key.clone());
                    return Answer::Found { credentials, key, source: named };
                }
                Err(gap) => notes.push(format!(
                    "{named} {gap}: the variable that it was made from {NOT_SET_HERE}"
                )),
            }
        }
        if let Some(program) = &config.store {
            match self.ask(program, registry) {
                Ok(found) => return found,
                Err(note) => notes.push(note),
            }
        }
        if notes.is_empty() {
            notes.push(config.why_no_entry(name, registry));
        }
        Answer::None(notes.join("; "))
    }

    fn ask(&self, program: &str, registry: &str) -> Result<Answer, String> {
        let server = if registry == HUB { HUB_KEY } else { registry };
        let helper = format!("docker-credential-{program}");
        let named = format!("{helper}, which {} names,", self.name);
        match self.keychain.helped.ask(program, server, self.cancel) {
            Ok(Some(credentials)) => Ok(Answer::Found {
                credentials,
                key: helper,
                source: format!("the answer of {}", named.trim_end_matches(',')),
            }),
            Ok(None) => Err(format!("{named} has none for `{server}`")),
            Err(HelperFailure::Missing) => self.without(program, &named, registry),
            Err(HelperFailure::Failed(reason)) => Err(format!("{named} failed: {reason}")),
        }
    }

    /// The answer in place of a helper that is not installed.
    fn without(&self, program: &str, named: &str, registry: &str) -> Result<Answer, String> {
        match self.keychain.instead_of(program, registry) {
            Some(answer @ (Answer::Found { .. } | Answer::Planned(_))) => Ok(answer),
            Some(Answer::None(why)) => {
                Err(format!("{named} is not installed, and kiln itself has no login: {why}"))
            }
            _ => {
                self.keychain.warn(format!(
                    "{named} is not installed: the other places of credentials are asked instead"
                ));
                Err(format!("{named} failed: {}", HelperFailure::Missing))
            }
        }
    }
}
