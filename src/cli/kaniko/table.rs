//! What a flag of kaniko's is: its names, what it takes, and what kiln makes of it. The tables in
//! [`super::executor_flags`] and [`super::warmer_flags`] are read by the parser, the help and the
//! test that keeps docs/kaniko.md true.

/// One flag.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flag {
    /// Without the dashes.
    pub(super) name: &'static str,
    /// `f` in `-f`.
    pub(super) short: Option<char>,
    /// Older spellings, which are accepted with a warning.
    pub(super) old: &'static [&'static str],
    pub(super) kind: Kind,
    /// As kaniko has it.
    pub(super) default: &'static str,
    pub(super) effect: Effect,
    /// What kiln does with it, or why nothing.
    pub(super) text: &'static str,
    /// May stand without a value, though kaniko's own parser wants one: plugins write it so.
    pub(super) may_be_bare: bool,
}

/// What a flag takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `--flag`, `--flag=true`, `--flag=false`.
    Switch,
    /// Any text; the last one counts.
    Text,
    /// One of these; the last one counts.
    Word(&'static [&'static str]),
    /// A whole number.
    Number,
    /// A length of time as Go writes it: `336h`, `1h30m`.
    Duration,
    /// Any text, as often as wanted.
    List,
    /// `NAME=VALUE`, as often as wanted.
    Pairs,
}

/// What comes of a flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// kiln does what it asks for.
    Honoured,
    /// There is nothing for kiln to do; the flag's text says why.
    Nothing,
}

impl Kind {
    /// Whether each use adds a value.
    pub(super) fn repeats(self) -> bool {
        matches!(self, Self::List | Self::Pairs)
    }
}

const fn flag(name: &'static str, kind: Kind, default: &'static str, text: &'static str) -> Flag {
    let (short, old, effect, may_be_bare) = (None, &[] as &[_], Effect::Honoured, false);
    Flag { name, short, old, kind, default, effect, text, may_be_bare }
}

pub(super) const fn switch(name: &'static str, text: &'static str) -> Flag {
    flag(name, Kind::Switch, "false", text)
}

pub(super) const fn text(name: &'static str, default: &'static str, text: &'static str) -> Flag {
    flag(name, Kind::Text, default, text)
}

pub(super) const fn word(
    name: &'static str,
    words: &'static [&'static str],
    default: &'static str,
    text: &'static str,
) -> Flag {
    flag(name, Kind::Word(words), default, text)
}

pub(super) const fn number(name: &'static str, default: &'static str, text: &'static str) -> Flag {
    flag(name, Kind::Number, default, text)
}

pub(super) const fn duration(
    name: &'static str,
    default: &'static str,
    text: &'static str,
) -> Flag {
    flag(name, Kind::Duration, default, text)
}

pub(super) const fn list(name: &'static str, text: &'static str) -> Flag {
    flag(name, Kind::List, "", text)
}

pub(super) const fn pairs(name: &'static str, text: &'static str) -> Flag {
    flag(name, Kind::Pairs, "", text)
}

impl Flag {
    pub(super) const fn short(mut self, letter: char) -> Self {
        self.short = Some(letter);
        self
    }

    pub(super) const fn old(mut self, names: &'static [&'static str]) -> Self {
        self.old = names;
        self
    }

    pub(super) const fn on(mut self) -> Self {
        self.default = "true";
        self
    }

    pub(super) const fn nothing(mut self) -> Self {
        self.effect = Effect::Nothing;
        self
    }

    pub(super) const fn or_bare(mut self) -> Self {
        self.may_be_bare = true;
        self
    }
}
