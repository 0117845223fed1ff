//! One pass over a text.

use std::collections::BTreeSet;
use std::str::Chars;

use super::error::Reason;
use super::pattern;
use super::words::WordList;
use super::{Mode, Output, Variables};

/// More substitutions within each other are an attack on the stack.
const MAX_DEPTH: usize = 100;

/// How much work one text may cost: characters produced and pattern steps. Far more than any
/// Dockerfile needs, and less than a second.
const FUEL: usize = 1 << 26;

/// What is left of the work that a text may cost. Values within values multiply, so neither the
/// text's length nor the values' bounds it.
#[derive(Debug)]
pub(super) struct Fuel(usize);

impl Fuel {
    pub fn full() -> Self {
        Self(FUEL)
    }

    /// # Errors
    ///
    /// There is not so much left.
    pub fn spend(&mut self, amount: usize) -> Result<(), Reason> {
        self.0 = self.0.checked_sub(amount).ok_or(Reason::TooMuch)?;
        Ok(())
    }
}

/// What ends a part of the text.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stop {
    End,
    At(char),
}

pub(super) struct Scanner<'a> {
    rest: Chars<'a>,
    mode: Mode,
    vars: &'a dyn Variables,
    matched: BTreeSet<String>,
    unmatched: BTreeSet<String>,
    depth: usize,
    fuel: Fuel,
}

impl<'a> Scanner<'a> {
    pub fn new(text: &'a str, mode: Mode, vars: &'a dyn Variables) -> Self {
        Self {
            rest: text.chars(),
            mode,
            vars,
            matched: BTreeSet::new(),
            unmatched: BTreeSet::new(),
            depth: 0,
            fuel: Fuel::full(),
        }
    }

    pub fn run(mut self) -> Result<Output, Reason> {
        let (text, words) = self.part(Stop::End, self.mode.raw_escapes)?;
        Ok(Output { text, words, matched: self.matched, unmatched: self.unmatched })
    }

    fn peek(&self) -> Option<char> {
        self.rest.clone().next()
    }

    fn next_if(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.rest.next();
        }
        found
    }

    fn at_end(&self) -> bool {
        self.rest.as_str().is_empty()
    }

    /// The text up to `stop`, which is consumed, whole and in words.
    fn part(&mut self, stop: Stop, raw_escapes: bool) -> Result<(String, Vec<String>), Reason> {
        let mut text = String::new();
        let mut words = WordList::default();
        while let Some(c) = self.rest.next() {
            self.fuel.spend(1)?;
            match c {
                c if stop == Stop::At(c) => return Ok((text, words.finish())),
                '\'' | '"' if !self.mode.plain_quotes => {
                    let quoted = match c {
                        '"' => self.double_quoted(raw_escapes)?,
                        _ => self.single_quoted()?,
                    };
                    text.push_str(&quoted);
                    words.push_raw_str(&quoted);
                }
                '$' => {
                    let value = self.dollar()?;
                    text.push_str(&value);
                    words.push_str(&value);
                }
                c if c == self.mode.escape => {
                    // At the end of the text it escapes nothing and is dropped.
                    let escaped = self.rest.next();
                    for c in raw_escapes.then_some(c).into_iter().chain(escaped) {
                        text.push(c);
                        words.push_raw(c);
                    }
                }
                c => {
                    text.push(c);
                    words.push(c);
                }
            }
        }
        match stop {
            Stop::End => Ok((text, words.finish())),
            Stop::At('/') => Err(Reason::NoReplacement),
            Stop::At(_) => Err(Reason::OpenBrace),
        }
    }

    /// Everything stands for itself; nothing can be escaped.
    fn single_quoted(&mut self) -> Result<String, Reason> {
        let rest = self.rest.as_str();
        let (quoted, after) = rest.split_once('\'').ok_or(Reason::OpenQuote("single"))?;
        self.rest = after.chars();
        self.fuel.spend(quoted.len())?;
        Ok(if self.mode.raw_quotes { format!("'{quoted}'") } else { quoted.to_owned() })
    }

    /// `$` has its meaning, and the escape before `$`, `"` and itself.
    fn double_quoted(&mut self, raw_escapes: bool) -> Result<String, Reason> {
        let quote = if self.mode.raw_quotes { "\"" } else { "" };
        let mut text = String::from(quote);
        while let Some(c) = self.rest.next() {
            self.fuel.spend(1)?;
            match c {
                '"' => {
                    text.push_str(quote);
                    return Ok(text);
                }
                '$' => text.push_str(&self.dollar()?),
                c if c == self.mode.escape => {
                    if raw_escapes {
                        text.push(c);
                    }
                    match self.peek() {
                        Some(next) if next == '"' || next == '$' || next == c => {
                            text.push(next);
                            self.rest.next();
                        }
                        // With raw escapes this doubles the escape. In BuildKit too, and rightly:
                        // in a pattern, the escape must escape itself to stand for itself.
                        Some(_) => text.push(c),
                        None => {}
                    }
                }
                c => text.push(c),
            }
        }
        Err(Reason::OpenQuote("double"))
    }

    /// What follows a `$`.
    fn dollar(&mut self) -> Result<String, Reason> {
        if self.next_if('{') {
            if self.depth == MAX_DEPTH {
                return Err(Reason::TooDeep(MAX_DEPTH));
            }
            self.depth += 1;
            let value = self.braced()?;
            self.depth -= 1;
            self.fuel.spend(value.len())?;
            return Ok(value);
        }
        let name = self.name();
        if name.is_empty() {
            return Ok("$".into());
        }
        Ok(match self.look_up(name)? {
            None if self.mode.keep_unset => format!("${name}"),
            value => value.unwrap_or_default().to_owned(),
        })
    }

    /// What follows `${`.
    fn braced(&mut self) -> Result<String, Reason> {
        match self.peek() {
            None => return Err(Reason::OpenBrace),
            Some('{' | '}' | ':') => return Err(Reason::BadSubstitution),
            Some(_) => {}
        }
        let name = self.name();
        match self.rest.next() {
            None => Err(Reason::OpenBrace),
            Some('}') => Ok(match self.look_up(name)? {
                None if self.mode.keep_unset => format!("${{{name}}}"),
                value => value.unwrap_or_default().to_owned(),
            }),
            Some(':') => {
                let modifier = self.rest.next().ok_or(Reason::OpenBrace)?;
                self.modified(name, modifier, true)
            }
            Some(modifier @ ('+' | '-' | '?' | '#' | '%')) => self.modified(name, modifier, false),
            Some('/') => self.replaced(name),
            Some(other) => Err(Reason::Modifier(other.into())),
        }
    }

    /// `${NAME-word}` and the like; `colon` if the modifier stands behind one, and an empty value
    /// then counts as none.
    fn modified(&mut self, name: &str, modifier: char, colon: bool) -> Result<String, Reason> {
        let is_pattern = matches!(modifier, '#' | '%');
        let word = self.nested(Stop::At('}'), is_pattern)?;
        let value = self.look_up(name)?;
        let written = if colon { format!(":{modifier}") } else { modifier.to_string() };
        if value.is_none() && self.mode.keep_unset {
            return Ok(format!("${{{name}{written}{word}}}"));
        }
        let usable = value.filter(|value| !(colon && value.is_empty()));
        match modifier {
            '-' => Ok(usable.map_or(word, str::to_owned)),
            '+' => Ok(usable.map_or_else(String::new, |_| word)),
            '?' => usable.map(str::to_owned).ok_or_else(|| required(name, word, value)),
            '#' | '%' if !colon => self.stripped(value.unwrap_or_default(), modifier, &word),
            _ => Err(Reason::Modifier(written)),
        }
    }

    /// `${NAME#p}`, `##`, `%`, `%%`.
    fn stripped(&mut self, value: &str, modifier: char, word: &str) -> Result<String, Reason> {
        let longest = word.strip_prefix(modifier);
        let pattern = longest.unwrap_or(word);
        let strip = if modifier == '#' { pattern::strip_prefix } else { pattern::strip_suffix };
        strip(value, pattern, longest.is_some(), &mut self.fuel)
    }

    /// `${NAME/p/replacement}` and `${NAME//p/replacement}`.
    fn replaced(&mut self, name: &str) -> Result<String, Reason> {
        let all = self.next_if('/');
        let pattern = self.nested(Stop::At('/'), true)?;
        let replacement = self.nested(Stop::At('}'), true)?;
        let Some(value) = self.look_up(name)? else {
            if self.mode.keep_unset {
                // One slash whatever there was: BuildKit's, and only the lexer of heredocs sees it.
                return Ok(format!("${{{name}/{pattern}/{replacement}}}"));
            }
            pattern::parse(&pattern)?;
            return Ok(String::new());
        };
        let replace = if all { pattern::replace_all } else { pattern::replace_first };
        replace(value, &pattern, &replacement, &mut self.fuel)
    }

    /// A part of a `${…}`.
    fn nested(&mut self, stop: Stop, raw_escapes: bool) -> Result<String, Reason> {
        let part = self.part(stop, raw_escapes).map_err(|reason| match reason {
            // Whatever is open within, the brace is open too.
            Reason::OpenQuote(_) | Reason::NoReplacement
                if self.at_end() && stop != Stop::At('/') =>
            {
                Reason::OpenBrace
            }
            reason => reason,
        })?;
        self.fuel.spend(part.0.len())?;
        Ok(part.0)
    }

    /// A name, a number, one special parameter (POSIX: `@ * # ? - $ ! 0`), or nothing.
    fn name(&mut self) -> &'a str {
        let rest = self.rest.as_str();
        let length = match rest.chars().next() {
            Some('0'..='9') => run(rest, |c| c.is_ascii_digit()),
            Some('@' | '*' | '#' | '?' | '-' | '$' | '!') => 1,
            _ => run(rest, |c| c.is_alphanumeric() || c == '_'),
        };
        let (name, after) = rest.split_at(length);
        self.rest = after.chars();
        name
    }

    fn look_up(&mut self, name: &str) -> Result<Option<&'a str>, Reason> {
        let vars = self.vars;
        let value = vars.get(name);
        let names = if value.is_some() { &mut self.matched } else { &mut self.unmatched };
        if !names.contains(name) {
            names.insert(name.to_owned());
        }
        self.fuel.spend(value.map_or(0, str::len))?;
        Ok(value)
    }
}

/// The length of the characters at the start that are `wanted`.
fn run(text: &str, wanted: impl Fn(char) -> bool) -> usize {
    text.find(|c| !wanted(c)).unwrap_or(text.len())
}

fn required(name: &str, message: String, value: Option<&str>) -> Reason {
    let message = match (message.is_empty(), value) {
        (false, _) => message,
        (true, None) => "is not allowed to be unset".into(),
        (true, Some(_)) => "is not allowed to be empty".into(),
    };
    Reason::Required { name: name.to_owned(), message }
}
