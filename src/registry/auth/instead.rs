//! What kiln has itself of what a helper would have, for those that are not installed.

use super::load::{Content, Loaded};
use super::{Answer, Keychain, login};
use crate::registry::cloud::Cloud;

impl Keychain {
    /// The answer in place of a helper's; `None` for helpers that kiln does not know, and for clouds
    /// that were left out of the places to ask.
    pub(super) fn instead_of(&self, program: &str, registry: &str) -> Option<Answer> {
        match Cloud::of_helper(program) {
            Some(cloud) => self.instead_of_cloud(cloud, registry),
            None => self.instead_of_variables(program, registry),
        }
    }

    fn instead_of_cloud(&self, cloud: Cloud, registry: &str) -> Option<Answer> {
        let is_it =
            |loaded: &Loaded| matches!(&loaded.content, Content::Cloud(own) if *own == cloud);
        // `--credential-helpers` says which clouds may be asked at all.
        if !self.sources.iter().any(is_it) {
            return None;
        }
        Some(match self.answer_of_cloud(cloud, registry) {
            Answer::NotConcerned => Answer::None(format!("`{registry}` is no registry of {cloud}")),
            answer => answer,
        })
    }

    /// The names are those of kaniko's image.
    fn instead_of_variables(&self, program: &str, registry: &str) -> Option<Answer> {
        let answers = |loaded: &Loaded| match (&loaded.content, program) {
            (Content::Hosts(logins), "env") => Some(login::answer(logins, registry)),
            (Content::Login(login), "gitlabci") => Some(login.answer(registry)),
            _ => None,
        };
        if !matches!(program, "env" | "gitlabci") {
            return None;
        }
        let none = || Answer::None("no variable has a login for it".to_owned());
        let mut all: Vec<_> = self.sources.iter().filter_map(answers).collect();
        let found = all.iter().position(|answer| matches!(answer, Answer::Found { .. }));
        Some(found.map_or_else(none, |at| all.swap_remove(at)))
    }
}
