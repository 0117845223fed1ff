//! Lists of patterns that hide files: `.dockerignore`, and `--exclude` of COPY and ADD.
//!
//! The rules are Docker's, not git's: every pattern is anchored at the root, the last pattern that
//! fits decides, `!` shows again what an earlier one hid, and whatever fits a directory fits all
//! that is below it. Source: <https://docs.docker.com/build/concepts/context/#dockerignore-files>
//! and, where that is silent, the behaviour of github.com/moby/patternmatcher.

use std::borrow::Cow;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::glob::{BadPattern, Pattern};

/// A list that cannot be used.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub enum IgnoreError {
    /// `!` and nothing after it.
    #[error("illegal exclusion pattern: \"!\"{}", at(.line))]
    LoneExclamation {
        /// The line in the file, from 1.
        line: Option<usize>,
    },
    /// A malformed pattern.
    #[error("{source}: `{pattern}`{}", at(.line))]
    Pattern {
        /// As written.
        pattern: String,
        /// The line in the file, from 1.
        line: Option<usize>,
        /// What is wrong.
        source: BadPattern,
    },
}

fn at(line: &Option<usize>) -> String {
    line.map(|line| format!(" in line {line}")).unwrap_or_default()
}

/// A list of patterns.
#[derive(Debug, Clone, Default)]
pub struct Ignore {
    rules: Vec<Rule>,
    origin: Option<String>,
}

/// What the parents of a path fit: handed down in a walk, so that each path is matched once.
#[derive(Debug, Clone, Default)]
pub struct Trail(Vec<bool>);

/// The rule that hides a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason<'a> {
    /// The file that the list was read from, if it was.
    pub origin: Option<&'a str>,
    /// The line in it, from 1.
    pub line: Option<usize>,
    /// The pattern as used, cleaned.
    pub pattern: Cow<'a, str>,
}

impl Ignore {
    /// Reads the text of an ignore file. `#` starts a comment only in the first column.
    pub fn parse(text: &[u8]) -> Result<Self, IgnoreError> {
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        let mut rules = Vec::new();
        for (number, line) in (1..).zip(text.split(|byte| *byte == b'\n')) {
            if line.starts_with(b"#") {
                continue;
            }
            if let Some(pattern) = pattern_of_line(line) {
                rules.extend(Rule::new(&pattern, Some(number))?);
            }
        }
        Ok(Self { rules, origin: None })
    }

    /// A list of patterns as they stand on a command line: blank ones are dropped, a leading slash
    /// is kept (and fits nothing).
    pub fn from_patterns(patterns: &[String]) -> Result<Self, IgnoreError> {
        let mut rules = Vec::new();
        for pattern in patterns {
            rules.extend(Rule::new(pattern.as_bytes(), None)?);
        }
        Ok(Self { rules, origin: None })
    }

    /// Remembers the file that the list was read from, for messages.
    #[must_use]
    pub fn with_origin(mut self, origin: impl Into<String>) -> Self {
        self.origin = Some(origin.into());
        self
    }

    /// Whether there is no pattern.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether a pattern shows again what others hide (`!`).
    pub fn has_exceptions(&self) -> bool {
        self.rules.iter().any(|rule| rule.shows)
    }

    /// Whether a pattern hides everything at the top, and so all there is.
    pub fn hides_everything(&self) -> bool {
        self.rules.iter().any(|rule| !rule.shows && matches!(&*rule.text, b"*" | b"**" | b"**/*"))
    }

    /// Whether a path (relative, with slashes) is hidden, by its own name or by a parent's.
    pub fn matches(&self, path: &Path) -> Result<bool, IgnoreError> {
        Ok(self.reason(path)?.is_some())
    }

    /// Which rule hides a path, if it is hidden.
    pub fn reason(&self, path: &Path) -> Result<Option<Reason<'_>>, IgnoreError> {
        let path = path.as_os_str().as_bytes();
        let rule = self.last_match(|_, rule| rule.fits_or_parent(path))?;
        let rule = rule.filter(|rule| !rule.shows);
        Ok(rule.map(|rule| Reason {
            origin: self.origin.as_deref(),
            line: rule.line,
            pattern: String::from_utf8_lossy(&rule.text),
        }))
    }

    /// As [`Ignore::matches`], for a walk: `parent` is the trail of the directory, the default one
    /// at the root.
    pub fn matches_in(&self, parent: &Trail, path: &Path) -> Result<bool, IgnoreError> {
        let path = path.as_os_str().as_bytes();
        let last = self.last_match(|index, rule| Ok(parent.fits(index) || rule.fits(path)?))?;
        Ok(last.is_some_and(|rule| !rule.shows))
    }

    /// The trail for what is inside a directory.
    pub fn enter(&self, parent: &Trail, directory: &Path) -> Trail {
        let path = directory.as_os_str().as_bytes();
        let fits = |(index, rule): (usize, &Rule)| {
            parent.fits(index) || rule.fits(path).is_ok_and(|fits| fits)
        };
        Trail(self.rules.iter().enumerate().map(fits).collect())
    }

    /// Whether something below a hidden directory could be shown by a `!` pattern, so that a walk
    /// has to look into it.
    pub fn may_reinclude_below(&self, directory: &Path) -> bool {
        let mut start = directory.as_os_str().as_bytes().to_vec();
        if !start.is_empty() {
            start.push(b'/');
        }
        self.rules.iter().any(|rule| rule.shows && rule.may_fit_below(&start))
    }

    /// The last rule that fits and changes something: those that would hide what is hidden, or show
    /// what is shown, are not even tried, so that a broken one among them harms nobody.
    fn last_match(
        &self,
        fits: impl Fn(usize, &Rule) -> Result<bool, IgnoreError>,
    ) -> Result<Option<&Rule>, IgnoreError> {
        let mut last: Option<&Rule> = None;
        for (index, rule) in self.rules.iter().enumerate() {
            let hidden = last.is_some_and(|rule| !rule.shows);
            if rule.shows == hidden && fits(index, rule)? {
                last = Some(rule);
            }
        }
        Ok(last)
    }
}

impl Trail {
    fn fits(&self, rule: usize) -> bool {
        self.0.get(rule).copied().unwrap_or(false)
    }
}

/// The pattern on a line of an ignore file: trimmed, cleaned, without a leading slash.
fn pattern_of_line(line: &[u8]) -> Option<Vec<u8>> {
    let line = trim(line);
    let (shows, pattern) = match line.strip_prefix(b"!") {
        Some(rest) => (true, trim(rest)),
        None => (false, line),
    };
    let mut pattern = if pattern.is_empty() { Vec::new() } else { clean(pattern) };
    if pattern.len() > 1 && pattern.starts_with(b"/") {
        pattern.remove(0);
    }
    if shows {
        pattern.insert(0, b'!');
    }
    (!pattern.is_empty()).then_some(pattern)
}

/// Without blanks around it, Unicode's included.
fn trim(text: &[u8]) -> &[u8] {
    match std::str::from_utf8(text) {
        Ok(text) => text.trim().as_bytes(),
        Err(_) => text.trim_ascii(),
    }
}

/// A path in its shortest spelling, by the rules of Go's `filepath.Clean`.
fn clean(path: &[u8]) -> Vec<u8> {
    let rooted = path.starts_with(b"/");
    let mut kept: Vec<&[u8]> = Vec::new();
    for component in path.split(|byte| *byte == b'/') {
        match component {
            b"" | b"." => {}
            b".." if kept.last().is_some_and(|last| *last != b"..") => {
                kept.pop();
            }
            b".." if rooted => {}
            component => kept.push(component),
        }
    }
    let joined = kept.join(&b'/');
    match (rooted, joined.is_empty()) {
        (true, _) => [b"/", joined.as_slice()].concat(),
        (false, true) => b".".to_vec(),
        (false, false) => joined,
    }
}

/// One pattern.
#[derive(Debug, Clone)]
struct Rule {
    /// Whether it shows what earlier ones hid.
    shows: bool,
    /// Cleaned, without the `!`.
    text: Vec<u8>,
    line: Option<usize>,
    form: Form,
}

/// How a pattern is matched. The forms are Docker's, because they do not always agree: `**file`
/// hides `a/myfile`, but `**file*` does not.
#[derive(Debug, Clone)]
enum Form {
    /// No wildcard.
    Exact,
    /// A literal with `**` after it.
    Prefix(Vec<u8>),
    /// A literal with `**` before it.
    Suffix(Vec<u8>),
    /// Anything else.
    General(Pattern),
    /// A range that runs backwards: Docker accepts the list and fails at each match.
    Broken,
}

impl Rule {
    fn new(text: &[u8], line: Option<usize>) -> Result<Option<Self>, IgnoreError> {
        let written = trim(text);
        if written.is_empty() {
            return Ok(None);
        }
        let mut text = clean(written);
        let shows = text.starts_with(b"!");
        if shows {
            text.remove(0);
            if text.is_empty() {
                return Err(IgnoreError::LoneExclamation { line });
            }
        }
        let bad = |source| IgnoreError::Pattern {
            pattern: String::from_utf8_lossy(written).into_owned(),
            line,
            source,
        };
        Pattern::new(&text).map_err(bad)?;
        let form = Form::of(&text).map_err(bad)?;
        Ok(Some(Self { shows, text, line, form }))
    }

    fn fits(&self, path: &[u8]) -> Result<bool, IgnoreError> {
        Ok(match &self.form {
            Form::Exact => path == self.text,
            Form::Prefix(prefix) => path.starts_with(prefix),
            Form::Suffix(suffix) => {
                path.ends_with(suffix) || suffix.strip_prefix(b"/") == Some(path)
            }
            Form::General(pattern) => pattern.matches(path),
            Form::Broken => {
                return Err(IgnoreError::Pattern {
                    pattern: String::from_utf8_lossy(&self.text).into_owned(),
                    line: self.line,
                    source: BadPattern,
                });
            }
        })
    }

    fn fits_or_parent(&self, path: &[u8]) -> Result<bool, IgnoreError> {
        if self.fits(path)? {
            return Ok(true);
        }
        for (at, _) in path.iter().enumerate().filter(|(_, byte)| **byte == b'/') {
            if self.fits(&path[..at])? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// `start` is the directory with a slash after it.
    fn may_fit_below(&self, start: &[u8]) -> bool {
        match &self.form {
            Form::Exact => self.text.starts_with(start),
            Form::Prefix(prefix) => prefix.starts_with(start) || start.starts_with(prefix),
            Form::Suffix(_) | Form::Broken => true,
            Form::General(pattern) => pattern.may_match_after(start),
        }
    }
}

impl Form {
    fn of(text: &[u8]) -> Result<Self, BadPattern> {
        let is_literal = |text: &[u8]| !text.iter().any(|byte| b"*?[]\\".contains(byte));
        if let Some(suffix) = text.strip_prefix(b"**").filter(|rest| is_literal(rest)) {
            return Ok(Self::Suffix(suffix.to_vec()));
        }
        if let Some(prefix) = text.strip_suffix(b"**").filter(|rest| is_literal(rest)) {
            return Ok(Self::Prefix(prefix.to_vec()));
        }
        if is_literal(text) {
            return Ok(Self::Exact);
        }
        let pattern = Pattern::deep(text)?;
        Ok(if pattern.has_reversed_range() { Self::Broken } else { Self::General(pattern) })
    }
}

#[cfg(test)]
mod tests;
