//! What the files of a stage are at one point, by content as far as that matters.
//!
//! A command may leave other files each time it runs, so a state after one names the layer that it
//! left. A copy does the same each time, so a state after one names what was copied; whether its layer
//! was taken from a cache or made anew (with other times of modification) makes no other state.

use serde::{Deserialize, Serialize};

use super::key::{Key, KeyMaker};
use crate::digest::Digest;

/// Files at one point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct State(pub Digest);

/// A finished stage: the beginnings of its key and of its state. Long enough to tell apart what one
/// Dockerfile has been.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Token(String);

impl Token {
    /// Hexadecimal digits of each half.
    const HALF: usize = 16;

    /// The stage whose files have this key and are in this state.
    pub fn new(end: Key, state: State) -> Self {
        let half = |digest: Digest| digest.hex()[..Self::HALF].to_owned();
        Self(format!("{}:{}", half(end.0), half(state.0)))
    }

    /// Whether it is of the stage with this key.
    pub fn is_of(&self, end: Key) -> bool {
        self.0.split(':').next() == Some(&end.0.hex()[..Self::HALF])
    }
}

/// How a step gets from one state to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// It changes no file.
    Nothing,
    /// The same inputs give the same files: COPY, ADD, WORKDIR.
    Copies,
    /// The same, and the files below are no input: `COPY --link`.
    Links,
    /// The same inputs may give other files: RUN.
    Runs,
}

impl State {
    /// What a stage starts from, which its key tells.
    pub fn of_base(key: Key) -> Self {
        Self(key.0)
    }

    /// What an entry has to have been built on, to be of use here.
    pub fn below(self, manner: Manner) -> Digest {
        match manner {
            Manner::Links => Digest::of(b""),
            Manner::Nothing | Manner::Copies | Manner::Runs => self.0,
        }
    }

    /// The state after a step. `left` is the diffID of its layer, if it left one; `sources` the stages
    /// that it took files from.
    pub fn after(self, manner: Manner, key: Key, left: Option<Digest>, sources: &[Token]) -> Self {
        let mut maker = KeyMaker::new(match manner {
            Manner::Nothing => return self,
            Manner::Copies | Manner::Links => "copied",
            Manner::Runs => "ran",
        });
        maker.input("", self.0.hex());
        maker.input("", key.0.hex());
        sources.iter().for_each(|source| maker.input("", &source.0));
        if manner == Manner::Runs {
            maker.input("", left.unwrap_or(Digest::of(b"nothing")).hex());
        }
        Self(maker.finish().0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(text: &str) -> Digest {
        Digest::of(text.as_bytes())
    }

    #[test]
    fn a_layer_matters_after_a_command_only() {
        let (start, key) = (State(digest("base")), Key(digest("step")));
        let (one, other) = (Some(digest("1")), Some(digest("2")));
        assert_ne!(
            start.after(Manner::Runs, key, one, &[]),
            start.after(Manner::Runs, key, other, &[])
        );
        assert_ne!(
            start.after(Manner::Runs, key, one, &[]),
            start.after(Manner::Runs, key, None, &[])
        );
        for manner in [Manner::Copies, Manner::Links] {
            let after = |left| start.after(manner, key, left, &[]);
            assert_eq!(after(one), after(other));
            let stage = Token::new(key, State(digest("stage")));
            assert!(stage.is_of(key) && !stage.is_of(Key(digest("another"))));
            assert_ne!(after(one), start.after(manner, key, one, &[stage]));
            assert_ne!(after(one), start);
        }
        assert_eq!(start.after(Manner::Nothing, key, one, &[]), start);
    }

    #[test]
    fn a_link_does_not_look_below() {
        let (one, other) = (State(digest("1")), State(digest("2")));
        assert_eq!(one.below(Manner::Links), other.below(Manner::Links));
        assert_ne!(one.below(Manner::Copies), other.below(Manner::Copies));
    }
}
