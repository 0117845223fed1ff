//! A command line of kaniko's, read as its own parser (spf13/pflag) reads it, but with a word for
//! whoever mistyped something.

use std::collections::BTreeMap;
use std::ffi::OsString;

use super::super::error::CliError;
use super::super::{Remark, duration, values};
use super::table::{Effect, Flag, Kind};
use crate::dockerfile::closest;

/// What was given, checked for its kind.
#[derive(Debug)]
pub(super) struct Values {
    table: &'static [&'static [Flag]],
    given: BTreeMap<&'static str, Vec<String>>,
    remarks: Vec<Remark>,
}

impl Values {
    /// Reads the arguments after the program's name.
    pub(super) fn read(
        table: &'static [&'static [Flag]],
        args: impl IntoIterator<Item = OsString>,
    ) -> Result<Self, CliError> {
        let mut values = Self { table, given: BTreeMap::new(), remarks: Vec::new() };
        let mut args = args.into_iter().map(text).collect::<Result<Vec<_>, _>>()?.into_iter();
        while let Some(arg) = args.next() {
            match arg.strip_prefix("--") {
                Some("") => break,
                Some(long) => values.long(long, &mut args)?,
                None if arg.len() > 1 && arg.starts_with('-') => {
                    values.short(&arg[1..], &mut args)?;
                }
                None => return Err(unexpected(&arg)),
            }
        }
        match args.next() {
            Some(arg) => Err(unexpected(&arg)),
            None => Ok(values),
        }
    }

    fn long(&mut self, typed: &str, rest: &mut std::vec::IntoIter<String>) -> Result<(), CliError> {
        let (name, value) = match typed.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (typed, None),
        };
        let flag = self.find(name)?;
        let value = match value {
            Some(value) => value,
            None if flag.kind == Kind::Switch => "true".to_owned(),
            None if flag.may_be_bare
                && rest.as_slice().first().is_none_or(|n| n.starts_with('-')) =>
            {
                self.warn(format!("--{name} has no value and no effect"));
                return Ok(());
            }
            None => rest.next().ok_or_else(|| needs_a_value(&format!("--{name}")))?,
        };
        self.take(flag, value)
    }

    /// `-f x`, `-fx`, `-f=x`; switches may stand together.
    fn short(
        &mut self,
        typed: &str,
        rest: &mut std::vec::IntoIter<String>,
    ) -> Result<(), CliError> {
        for (at, letter) in typed.char_indices() {
            let flag = self.flags().find(|flag| flag.short == Some(letter)).ok_or_else(|| {
                CliError::new(format!("there is no flag `-{letter}`"), "--help names all flags")
            })?;
            let after = &typed[at + letter.len_utf8()..];
            if let Some(value) = after.strip_prefix('=') {
                return self.take(flag, value.to_owned());
            }
            if flag.kind != Kind::Switch {
                let value = match after {
                    "" => rest.next().ok_or_else(|| needs_a_value(&format!("-{letter}")))?,
                    value => value.to_owned(),
                };
                return self.take(flag, value);
            }
            self.take(flag, "true".to_owned())?;
        }
        Ok(())
    }

    fn find(&mut self, name: &str) -> Result<&'static Flag, CliError> {
        if let Some(flag) = self.flags().find(|flag| flag.name == name) {
            return Ok(flag);
        }
        if let Some(flag) = self.flags().find(|flag| flag.old.contains(&name)) {
            self.warn(format!("--{name} is an old spelling; write --{}", flag.name));
            return Ok(flag);
        }
        let help = match closest(name, self.flags().map(|flag| flag.name)) {
            Some(known) => format!("did you mean `--{known}`?"),
            None => "--help names all flags".to_owned(),
        };
        Err(CliError::new(format!("there is no flag `--{name}`"), help))
    }

    fn take(&mut self, flag: &'static Flag, value: String) -> Result<(), CliError> {
        // Scripts write `--ignore-path "$X"`; only a destination that is empty is a mistake for sure. No
        // helper is a choice.
        if value.is_empty()
            && flag.kind.repeats()
            && !["destination", "target", "credential-helpers"].contains(&flag.name)
        {
            self.warn(format!("--{} is empty and has no effect", flag.name));
            return Ok(());
        }
        // As logrus reads its levels, and kaniko its compressions.
        let value = match flag.kind {
            Kind::Word(_) => value.to_lowercase(),
            _ => value,
        };
        check(flag, &value)?;
        let values = self.given.entry(flag.name).or_default();
        if !flag.kind.repeats() {
            values.clear();
        }
        values.push(value);
        Ok(())
    }

    fn flags(&self) -> impl Iterator<Item = &'static Flag> + use<> {
        self.table.iter().copied().flatten()
    }

    fn warn(&mut self, text: String) {
        self.remarks.push(Remark::Warning(text));
    }

    /// What is to be said about the flags that were given: old spellings, and what has no effect.
    /// A flag that was set to what it is anyway is not worth a word.
    pub(super) fn remarks(&self) -> Vec<Remark> {
        let mut remarks = self.remarks.clone();
        for flag in self.flags() {
            let Some(values) = self.given.get(flag.name) else { continue };
            if values.iter().all(|value| is_default(flag, value)) {
                continue;
            }
            let (name, why) = (flag.name, flag.text);
            match flag.effect {
                Effect::Honoured => {}
                Effect::Nothing => {
                    remarks.push(Remark::Warning(format!("--{name} has no effect: {why}")));
                }
            }
        }
        remarks
    }

    /// Whether the flag stands on the command line.
    pub(super) fn is_given(&self, name: &'static str) -> bool {
        self.given.contains_key(self.known(name))
    }

    /// Whether it stands there with another value than it has anyway.
    pub(super) fn is_changed(&self, name: &'static str) -> bool {
        let flag = self.flags().find(|flag| flag.name == name);
        flag.is_some_and(|flag| self.list(name).iter().any(|value| !is_default(flag, value)))
    }

    /// A switch.
    pub(super) fn switch(&self, name: &'static str) -> bool {
        let default = self.flags().any(|flag| flag.name == name && flag.default == "true");
        self.text(name).map_or(default, |text| values::switch(text).unwrap_or(default))
    }

    /// The last value, unless it is empty.
    pub(super) fn text(&self, name: &'static str) -> Option<&str> {
        self.list(name).last().map(String::as_str).filter(|text| !text.is_empty())
    }

    /// A number, or what it is by default.
    pub(super) fn number<T: std::str::FromStr + Default>(&self, name: &'static str) -> T {
        self.text(name).and_then(|text| text.parse().ok()).unwrap_or_default()
    }

    /// All values.
    pub(super) fn list(&self, name: &'static str) -> &[String] {
        self.given.get(self.known(name)).map_or(&[], Vec::as_slice)
    }

    /// All values, read.
    pub(super) fn each<T>(
        &self,
        name: &'static str,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Vec<T>, CliError> {
        let read = |text: &String| read(text).map_err(|why| invalid(name, text, &why));
        self.list(name).iter().map(read).collect()
    }

    fn known(&self, name: &'static str) -> &'static str {
        debug_assert!(self.flags().any(|flag| flag.name == name), "no flag {name}");
        name
    }
}

fn text(arg: OsString) -> Result<String, CliError> {
    arg.into_string().map_err(|arg| {
        CliError::new(
            format!("the argument `{}` is not UTF-8", arg.to_string_lossy()),
            "rename the file that it names",
        )
    })
}

fn is_default(flag: &Flag, value: &str) -> bool {
    match flag.kind {
        Kind::Switch => values::switch(value).is_ok_and(|on| on == (flag.default == "true")),
        _ => value.is_empty() || value == flag.default,
    }
}

/// What pflag would refuse, and a word that kaniko would.
fn check(flag: &Flag, value: &str) -> Result<(), CliError> {
    let problem = match flag.kind {
        Kind::Switch => values::switch(value).err(),
        Kind::Number => values::number::<i32>(value).err(),
        Kind::Duration => duration::parse(value).err(),
        Kind::Word(words) if !value.is_empty() && !words.contains(&value) => {
            Some(format!("expected one of {}", words.join(", ")))
        }
        Kind::Pairs => values::pair(value).err(),
        Kind::Text | Kind::List | Kind::Word(_) => None,
    };
    problem.map_or(Ok(()), |why| Err(invalid(flag.name, value, &why)))
}

/// The value of a build argument may be a password.
fn invalid(name: &str, value: &str, why: &str) -> CliError {
    let value = match value.split_once('=') {
        Some((key, _)) if ["build-arg", "secret"].contains(&name) => format!("{key}=…"),
        _ => value.to_owned(),
    };
    CliError::complete(format!("invalid value `{value}` for --{name}: {why}"))
}

fn needs_a_value(flag: &str) -> CliError {
    CliError::new(format!("{flag} needs a value"), "--help says what it takes")
}

fn unexpected(arg: &str) -> CliError {
    let help = match arg {
        "true" | "false" => "the value of a switch stands behind `=`: --no-push=false",
        _ => "all values belong to a flag; --help names them",
    };
    CliError::new(format!("unexpected argument `{arg}`"), help)
}
