//! The variables that one instruction sees: ENV before ARG of the same name.

use crate::dockerfile::expand::Variables;

/// Names and values at one point of a stage.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    env: Vec<(String, String)>,
    args: Vec<(String, Option<String>)>,
}

impl Scope {
    /// A scope whose ENV is an image config's.
    pub fn with_env(pairs: &[String]) -> Self {
        let mut scope = Self::default();
        for pair in pairs {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            scope.set_env(name, value);
        }
        scope
    }

    /// Sets an ENV variable.
    pub fn set_env(&mut self, name: &str, value: &str) {
        match self.env.iter_mut().find(|(own, _)| own == name) {
            Some((_, old)) => value.clone_into(old),
            None => self.env.push((name.to_owned(), value.to_owned())),
        }
    }

    /// Declares an ARG, with a value or (`ARG name` that nobody gave one) without.
    pub fn set_arg(&mut self, name: &str, value: Option<String>) {
        self.args.retain(|(own, _)| own != name);
        self.args.push((name.to_owned(), value));
    }

    /// A declared ARG's value.
    pub fn arg(&self, name: &str) -> Option<&str> {
        self.args.iter().find(|(own, _)| own == name).and_then(|(_, value)| value.as_deref())
    }

    /// ARGs that have a value and that no ENV hides, in the order of declaration: what a RUN gets
    /// on top of ENV, and what its history entry lists.
    pub fn visible_args(&self) -> impl Iterator<Item = (&str, &str)> {
        self.args
            .iter()
            .filter(|(name, _)| !self.env.iter().any(|(own, _)| own == name))
            .filter_map(|(name, value)| Some((name.as_str(), value.as_deref()?)))
    }

    /// The environment of a RUN: ENV, then ARGs.
    pub fn environment(&self) -> Vec<(String, String)> {
        let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        self.env.iter().cloned().chain(self.visible_args().map(own)).collect()
    }

    /// Takes the ARGs of a stage that this one starts from.
    pub fn inherit_args(&mut self, parent: &Scope) {
        self.args.clone_from(&parent.args);
    }
}

impl Variables for Scope {
    fn get(&self, name: &str) -> Option<&str> {
        let env = self.env.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str());
        env.or_else(|| self.arg(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn env_hides_arg() {
        let mut scope = Scope::with_env(&["A=env".into(), "PATH=/bin".into()]);
        scope.set_arg("A", Some("arg".into()));
        scope.set_arg("B", Some("b".into()));
        scope.set_arg("C", None);
        assert_eq!(scope.get("A"), Some("env"));
        assert_eq!(scope.get("C"), None);
        let names: Vec<_> = scope.environment().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["A", "PATH", "B"]);
    }
}
