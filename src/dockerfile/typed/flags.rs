//! `--name` and `--name=value` before the arguments.
//!
//! Source: BuildKit's frontend/dockerfile/instructions/bflag.go.

use super::Fault;
use crate::dockerfile::suggest::did_you_mean;
use crate::dockerfile::tree::{Item, Word};

/// What follows a flag's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Kind {
    /// Nothing, `=true` or `=false`.
    Bool,
    /// `=value`.
    Text,
    /// `=value`, any number of times.
    List,
}

/// A flag that an instruction has.
pub(in super::super) type Spec = (&'static str, Kind);

/// The flags that an instruction was given.
#[derive(Debug)]
pub(in super::super) struct Flags<'a> {
    given: Vec<Given<'a>>,
}

#[derive(Debug)]
struct Given<'a> {
    name: &'a str,
    value: &'a str,
    word: &'a Word,
}

impl<'a> Flags<'a> {
    /// Of an instruction that has no flags.
    ///
    /// # Errors
    ///
    /// It was given one.
    pub fn none(item: &'a Item) -> Result<(), Fault> {
        Self::parse(&[], &item.flags).map(|_| ())
    }

    /// # Errors
    ///
    /// A flag is unknown, given twice, or has not the value that it needs.
    pub fn parse(specs: &[Spec], words: &'a [Word]) -> Result<Self, Fault> {
        let mut flags = Self { given: Vec::new() };
        for word in words {
            let (flag, value) = match word.text.split_once('=') {
                Some((flag, value)) => (flag, Some(value)),
                None => (word.text.as_str(), None),
            };
            let name = flag.strip_prefix("--").unwrap_or(flag);
            let fault = |message: String| Fault::new(message).at(&word.at);
            let Some((_, kind)) = specs.iter().find(|(known, _)| *known == name) else {
                let suggestion = did_you_mean(name, specs.iter().map(|(known, _)| *known));
                return Err(fault(format!("unknown flag: {flag}{suggestion}")));
            };
            if *kind != Kind::List && flags.find(name).is_some() {
                return Err(fault(format!("duplicate flag specified: {flag}")));
            }
            let value = match (kind, value) {
                (Kind::Bool, None) => "true",
                (Kind::Text | Kind::List, None) | (Kind::Bool, Some("")) => {
                    return Err(fault(format!("missing a value on flag: {flag}")));
                }
                (Kind::Bool, Some(value)) if boolean(value).is_none() => {
                    let message = format!("expecting boolean value for flag {flag}, not: {value}");
                    return Err(fault(message));
                }
                (_, Some(value)) => value,
            };
            flags.given.push(Given { name, value, word });
        }
        Ok(flags)
    }

    fn find(&self, name: &str) -> Option<&Given<'a>> {
        self.given.iter().find(|given| given.name == name)
    }

    /// The value of a text flag; an empty one is as good as none.
    pub fn text(&self, name: &str) -> Option<String> {
        self.text_or_empty(name).filter(|value| !value.is_empty()).map(str::to_owned)
    }

    /// The value of a text flag, even if it is empty.
    pub fn text_or_empty(&self, name: &str) -> Option<&'a str> {
        self.find(name).map(|given| given.value)
    }

    /// The value of a bool flag.
    pub fn bool(&self, name: &str) -> Option<bool> {
        self.find(name).and_then(|given| boolean(given.value))
    }

    /// The values of a list flag, with the words.
    pub fn list(&self, name: &str) -> impl Iterator<Item = (&'a str, &'a Word)> {
        self.given
            .iter()
            .filter(move |given| given.name == name)
            .map(|given| (given.value, given.word))
    }

    /// The values of a list flag.
    pub fn texts(&self, name: &str) -> Vec<String> {
        self.list(name).map(|(value, _)| value.to_owned()).collect()
    }

    /// The word of a flag that was given.
    pub fn word(&self, name: &str) -> Option<&'a Word> {
        self.find(name).map(|given| given.word)
    }
}

fn boolean(value: &str) -> Option<bool> {
    match value.to_lowercase().as_str() {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}
