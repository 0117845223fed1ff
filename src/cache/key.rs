//! Keys: a digest of everything that can change what a step does, and the same by name.

use serde::{Deserialize, Serialize};

use crate::digest::{Digest, Hasher};

/// Stands at the beginning of every key, so that a kiln that computes them otherwise finds nothing.
const VERSION: &str = "kiln 1";
/// Bytes of a digest that tell two inputs apart in an explanation.
const SHORT: usize = 16;

/// Names what a step does, by all that can change it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Key(pub Digest);

/// One thing that a key depends on, for people: what it is, and a digest of its value. Not the value:
/// an argument may be a password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// `ARG VERSION`, `the file app.py`, `the command`.
    #[serde(rename = "n")]
    pub name: String,
    /// The beginning of the digest, in hexadecimal digits.
    #[serde(rename = "v")]
    pub value: String,
}

/// Gathers what a key depends on.
#[derive(Debug, Default)]
pub struct KeyMaker {
    hasher: Hasher,
    inputs: Vec<Input>,
}

impl KeyMaker {
    /// A key for a kind of thing.
    pub fn new(kind: &str) -> Self {
        let mut maker = Self::default();
        maker.feed(VERSION.as_bytes());
        maker.feed(kind.as_bytes());
        maker
    }

    /// Something that the key depends on and that people have a name for.
    pub fn input(&mut self, name: impl Into<String>, value: impl AsRef<[u8]>) {
        let name = name.into();
        self.feed(name.as_bytes());
        self.add(name, value.as_ref());
    }

    /// The same where the name is for people only: an image has many, and a stage's number is another
    /// one where a stage comes before it. `kind` stands for it in the key.
    pub fn input_called(&mut self, kind: &str, name: impl Into<String>, value: impl AsRef<[u8]>) {
        self.feed(kind.as_bytes());
        self.add(name.into(), value.as_ref());
    }

    fn add(&mut self, name: String, value: &[u8]) {
        self.feed(value);
        let value = Digest::of(value).hex()[..SHORT].to_owned();
        self.inputs.push(Input { name, value });
    }

    /// The key, and its inputs by name.
    pub fn finish(self) -> (Key, Vec<Input>) {
        let (digest, _) = self.hasher.finish();
        (Key(digest), self.inputs)
    }

    /// Lengths keep `ab`, `c` apart from `a`, `bc`.
    fn feed(&mut self, bytes: &[u8]) {
        self.hasher.update(&(bytes.len() as u64).to_le_bytes());
        self.hasher.update(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(kind: &str, inputs: &[(&str, &str)]) -> Key {
        let mut maker = KeyMaker::new(kind);
        inputs.iter().for_each(|(name, value)| maker.input(*name, value));
        maker.finish().0
    }

    #[test]
    fn keys_differ_wherever_an_input_does() {
        let keys = [
            key("run", &[("a", "b")]),
            key("copy", &[("a", "b")]),
            key("run", &[("a", "c")]),
            key("run", &[("ab", "")]),
            key("run", &[("", "ab")]),
            key("run", &[("a", "b"), ("", "")]),
            key("run", &[]),
        ];
        for (number, one) in keys.iter().enumerate() {
            assert!(!keys[..number].contains(one), "{number}");
        }
        assert_eq!(keys[0], key("run", &[("a", "b")]));
    }

    #[test]
    fn a_name_for_people_is_not_in_the_key() {
        let key = |kind: &str, name: &str, value: &str| {
            let mut maker = KeyMaker::new("run");
            maker.input_called(kind, name, value);
            let (key, inputs) = maker.finish();
            assert_eq!(inputs[0].name, name);
            key
        };
        assert_eq!(key("stage", "the stage 1", "a"), key("stage", "the stage 2", "a"));
        assert_ne!(key("stage", "the stage 1", "a"), key("stage", "the stage 1", "b"));
        assert_ne!(key("stage", "x", "a"), key("image", "x", "a"));
    }

    #[test]
    fn values_are_not_told() {
        let mut maker = KeyMaker::new("run");
        maker.input("ARG TOKEN", "hunter2");
        let (_, inputs) = maker.finish();
        assert_eq!(inputs[0].name, "ARG TOKEN");
        assert_eq!(inputs[0].value.len(), SHORT);
        assert!(!inputs[0].value.contains("hunter2"));
    }
}
