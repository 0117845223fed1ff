//! The command line of `cargo xtask bench`.

use std::path::PathBuf;

use super::case::{CASES, Case};
use super::peer::Peer;

/// What is to be measured.
#[derive(Debug, Default)]
pub(crate) struct Options {
    /// Those that were named; none is all.
    cases: Vec<&'static Case>,
    peers: Vec<Peer>,
    rounds: Option<usize>,
    pub(crate) kaniko: Option<PathBuf>,
    pub(crate) buildkitd: Option<PathBuf>,
    pub(crate) buildctl: Option<PathBuf>,
}

/// How often a case is measured unless it is said.
const ROUNDS: usize = 5;
const ROUNDS_OF_LONG: usize = 3;

impl Options {
    /// # Errors
    /// A sentence about what is wrong.
    pub(crate) fn parse(arguments: &[&str]) -> Result<Self, String> {
        let mut options = Self::default();
        let mut rest = arguments.iter();
        while let Some(flag) = rest.next() {
            let known = ["--case", "--peer", "--rounds", "--kaniko", "--buildkitd", "--buildctl"];
            if !known.contains(flag) {
                let known = known.join(", ");
                return Err(format!("there is no {flag} of cargo xtask bench: it has {known}"));
            }
            let value = rest.next().ok_or_else(|| format!("{flag} needs a value"))?;
            options.set(flag, value)?;
        }
        Ok(options)
    }

    fn set(&mut self, flag: &str, value: &str) -> Result<(), String> {
        match flag {
            "--case" => {
                let unknown = || {
                    let known = CASES.iter().map(|case| case.id).collect::<Vec<_>>().join(", ");
                    format!("there is no case {value}: there are {known}")
                };
                self.cases.push(Case::named(value).ok_or_else(unknown)?);
            }
            "--peer" => {
                let unknown = || {
                    let known = Peer::ALL.map(Peer::id).join(", ");
                    format!("there is no peer {value}: there are {known}")
                };
                self.peers.push(Peer::named(value).ok_or_else(unknown)?);
            }
            "--rounds" => {
                let count = value.parse().ok().filter(|count| (1..=100).contains(count));
                let wrong = || format!("--rounds takes a number from 1 to 100, not {value}");
                self.rounds = Some(count.ok_or_else(wrong)?);
            }
            "--kaniko" => self.kaniko = Some(there(flag, value)?),
            "--buildkitd" => self.buildkitd = Some(there(flag, value)?),
            _ => self.buildctl = Some(there(flag, value)?),
        }
        Ok(())
    }

    /// In the order of the tables.
    pub(crate) fn cases(&self) -> Vec<&'static Case> {
        let wanted =
            |case: &&Case| self.cases.is_empty() || self.cases.iter().any(|own| own.id == case.id);
        CASES.iter().filter(wanted).collect()
    }

    /// In the order of the tables.
    pub(crate) fn peers(&self) -> Vec<Peer> {
        let wanted = |peer: &Peer| self.peers.is_empty() || self.peers.contains(peer);
        Peer::ALL.into_iter().filter(wanted).collect()
    }

    /// How often a case is measured.
    pub(crate) fn rounds(&self, case: &Case) -> usize {
        self.rounds.unwrap_or(if case.is_long { ROUNDS_OF_LONG } else { ROUNDS })
    }

    /// Whether all is measured, and often enough for a median.
    pub(crate) fn is_whole(&self) -> bool {
        self.cases().len() == CASES.len()
            && self.peers().len() == Peer::ALL.len()
            && self.rounds.is_none_or(|rounds| rounds >= ROUNDS_OF_LONG)
    }
}

fn there(flag: &str, value: &str) -> Result<PathBuf, String> {
    std::path::absolute(value)
        .ok()
        .filter(|path| path.exists())
        .ok_or_else(|| format!("{flag}: there is no {value}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn nothing_is_everything() {
        let options = Options::parse(&[]).unwrap();
        assert_eq!((options.cases().len(), options.peers().len()), (CASES.len(), 9));
        assert_eq!((options.rounds(&CASES[0]), options.rounds(&CASES[3])), (5, 3));
        assert!(options.is_whole());
    }

    #[test]
    fn what_is_named_is_measured_in_the_order_of_the_tables() {
        let line =
            "--case large --peer limit --case flask-cold --peer kaniko --rounds 2 --kaniko /";
        let options = Options::parse(&line.split(' ').collect::<Vec<_>>()).unwrap();
        let cases: Vec<_> = options.cases().iter().map(|case| case.id).collect();
        assert_eq!(cases, ["flask-cold", "large"]);
        assert_eq!(options.peers(), [Peer::Kaniko, Peer::Limit]);
        assert_eq!((options.rounds(&CASES[0]), options.rounds(&CASES[3])), (2, 2));
        assert!(!options.is_whole() && options.kaniko == Some("/".into()));
    }

    #[test]
    fn mistakes_are_named() {
        let says = |line: &str| Options::parse(&line.split(' ').collect::<Vec<_>>()).unwrap_err();
        assert!(says("--case small").contains("there is no case small: there are flask-cold, "));
        assert!(says("--peer podman").contains("there is no peer podman: there are kiln-"));
        assert!(says("--fast").contains("there is no --fast of cargo xtask bench: it has --case"));
        assert!(says("--rounds 0").contains("from 1 to 100, not 0"));
        assert!(says("--rounds").contains("--rounds needs a value"));
        assert!(says("--kaniko /no/such").contains("--kaniko: there is no /no/such"));
    }
}
