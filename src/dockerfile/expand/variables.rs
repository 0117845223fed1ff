//! Where values come from.

use std::collections::{BTreeMap, HashMap};

/// Where values come from.
pub trait Variables {
    /// The value of a variable; `None` if it is not set.
    fn get(&self, name: &str) -> Option<&str>;
}

impl Variables for HashMap<String, String> {
    fn get(&self, name: &str) -> Option<&str> {
        HashMap::get(self, name).map(String::as_str)
    }
}

impl Variables for BTreeMap<String, String> {
    fn get(&self, name: &str) -> Option<&str> {
        BTreeMap::get(self, name).map(String::as_str)
    }
}

/// A later pair wins.
impl Variables for &[(String, String)] {
    fn get(&self, name: &str) -> Option<&str> {
        last(self, name)
    }
}

/// A later pair wins.
impl Variables for Vec<(String, String)> {
    fn get(&self, name: &str) -> Option<&str> {
        last(self, name)
    }
}

fn last<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

/// No variable is set.
#[derive(Debug)]
pub(in super::super) struct Nothing;

impl Variables for Nothing {
    fn get(&self, _: &str) -> Option<&str> {
        None
    }
}
