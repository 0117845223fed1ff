//! The variables that one instruction sees. Of an ENV and an ARG of the same name the later one
//! counts, as in BuildKit, where both write to one environment (dockerfile2llb/convert.go).

use crate::dockerfile::expand::Variables;

/// Names and values at one point of a stage.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    variables: Vec<Variable>,
    /// Names of ARGs, in the order in which they were first declared.
    declared: Vec<String>,
}

#[derive(Debug, Clone)]
struct Variable {
    name: String,
    value: String,
    is_arg: bool,
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
        self.set(name, value, false);
    }

    /// Declares an ARG with a value.
    pub fn set_arg(&mut self, name: &str, value: &str) {
        self.declare(name);
        self.set(name, value, true);
    }

    /// Declares an ARG that nobody gave a value: it is no variable.
    pub fn declare(&mut self, name: &str) {
        if !self.declared.iter().any(|own| own == name) {
            self.declared.push(name.to_owned());
        }
    }

    /// A declared ARG's value.
    pub fn arg(&self, name: &str) -> Option<&str> {
        self.visible_args().find(|(own, _)| *own == name).map(|(_, value)| value)
    }

    /// What the history entry of a RUN lists: all declared ARGs with the value that the RUN sees,
    /// an ENV's included, or with an empty one.
    pub fn declared_args(&self) -> impl Iterator<Item = (&str, &str)> {
        self.declared.iter().map(|name| (name.as_str(), self.get(name).unwrap_or_default()))
    }

    /// ARGs that no later ENV hides, in the order of declaration: what a RUN gets on top of ENV.
    fn visible_args(&self) -> impl Iterator<Item = (&str, &str)> {
        let args = self.variables.iter().filter(|variable| variable.is_arg);
        args.map(|variable| (variable.name.as_str(), variable.value.as_str()))
    }

    /// The environment of a RUN.
    pub fn environment(&self) -> Vec<(String, String)> {
        let own = |variable: &Variable| (variable.name.clone(), variable.value.clone());
        self.variables.iter().map(own).collect()
    }

    /// Takes the ARGs of a stage that this one starts from. The ENV of that stage has been set anew
    /// and hides them.
    pub fn inherit_args(&mut self, parent: &Scope) {
        for (name, value) in parent.visible_args() {
            if self.get(name).is_none() {
                self.set_arg(name, value);
            }
        }
        self.declared.clone_from(&parent.declared);
    }

    fn set(&mut self, name: &str, value: &str, is_arg: bool) {
        let new = Variable { name: name.to_owned(), value: value.to_owned(), is_arg };
        match self.variables.iter_mut().find(|variable| variable.name == name) {
            Some(old) => *old = new,
            None => self.variables.push(new),
        }
    }
}

impl Variables for Scope {
    fn get(&self, name: &str) -> Option<&str> {
        let found = self.variables.iter().find(|variable| variable.name == name);
        found.map(|variable| variable.value.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_later_of_env_and_arg_counts() {
        let mut scope = Scope::with_env(&["A=env".into(), "PATH=/bin".into()]);
        scope.set_arg("A", "arg");
        scope.set_arg("B", "b");
        assert_eq!(scope.get("A"), Some("arg"));
        scope.set_env("B", "env");
        assert_eq!(scope.get("B"), Some("env"));
        assert_eq!(scope.get("C"), None);
        assert_eq!(scope.visible_args().collect::<Vec<_>>(), [("A", "arg")]);
        let names: Vec<_> = scope.environment().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["A", "PATH", "B"]);
        let mut child = Scope::with_env(&["A=env".into(), "B=env".into()]);
        scope.set_arg("C", "c");
        scope.declare("D");
        child.inherit_args(&scope);
        assert_eq!(child.arg("C"), Some("c"));
        assert_eq!((child.get("A"), child.get("B")), (Some("env"), Some("env")));
        let declared: Vec<_> = child.declared_args().collect();
        assert_eq!(declared, [("A", "env"), ("B", "env"), ("C", "c"), ("D", "")]);
    }
}
