//! The patterns of `${NAME#p}`, `${NAME%p}` and `${NAME/p/…}`: `*`, `?` and backslash, no classes.
//!
//! BuildKit makes a Go regular expression of them. What follows from that is kept: neither
//! wildcard matches a line feed, and `$1` has a meaning in the replacement of `//`.

use super::error::Reason;
use super::scanner::Fuel;

/// One element of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Token {
    /// `*`
    Any,
    /// `?`
    One,
    /// A character that stands for itself.
    Char(char),
}

/// # Errors
///
/// A backslash stands before something else than `*`, `?`, `\`, `}` or `/`.
pub(in super::super) fn parse(pattern: &str) -> Result<Vec<Token>, Reason> {
    let mut tokens = Vec::new();
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        tokens.push(match c {
            '*' => Token::Any,
            '?' => Token::One,
            '\\' => match chars.next() {
                // `}` and `/` end the parts of `${…}`; their escape is not the pattern's.
                Some(c @ ('*' | '?' | '\\' | '}' | '/')) => Token::Char(c),
                other => {
                    let escaped = other.map(String::from).unwrap_or_default();
                    return Err(Reason::Pattern { pattern: pattern.to_owned(), escaped });
                }
            },
            c => Token::Char(c),
        });
    }
    // `**` is `*`, and costs more.
    tokens.dedup_by(|next, last| *next == Token::Any && *last == Token::Any);
    Ok(tokens)
}

/// `${NAME#p}`, or `##` if `longest`.
pub(super) fn strip_prefix(
    value: &str,
    pattern: &str,
    longest: bool,
    fuel: &mut Fuel,
) -> Result<String, Reason> {
    let text: Vec<char> = value.chars().collect();
    let end = Search { pattern: &parse(pattern)?, text: &text, anchored: true, longest }
        .find(0, fuel)?
        .map_or(0, |(_, end)| end);
    Ok(text[end..].iter().collect())
}

/// `${NAME%p}`, or `%%` if `longest`: a prefix of the text read backwards.
pub(super) fn strip_suffix(
    value: &str,
    pattern: &str,
    longest: bool,
    fuel: &mut Fuel,
) -> Result<String, Reason> {
    let text: Vec<char> = value.chars().rev().collect();
    let mut pattern = parse(pattern)?;
    pattern.reverse();
    let end = Search { pattern: &pattern, text: &text, anchored: true, longest }
        .find(0, fuel)?
        .map_or(0, |(_, end)| end);
    Ok(text[end..].iter().rev().collect())
}

/// `${NAME/p/replacement}`
pub(super) fn replace_first(
    value: &str,
    pattern: &str,
    replacement: &str,
    fuel: &mut Fuel,
) -> Result<String, Reason> {
    let text: Vec<char> = value.chars().collect();
    let search = Search { pattern: &parse(pattern)?, text: &text, anchored: false, longest: true };
    let Some((start, end)) = search.find(0, fuel)? else { return Ok(value.to_owned()) };
    let mut out: String = text[..start].iter().collect();
    out.push_str(replacement);
    out.extend(&text[end..]);
    Ok(out)
}

/// `${NAME//p/replacement}`
pub(super) fn replace_all(
    value: &str,
    pattern: &str,
    replacement: &str,
    fuel: &mut Fuel,
) -> Result<String, Reason> {
    let text: Vec<char> = value.chars().collect();
    let search = Search { pattern: &parse(pattern)?, text: &text, anchored: false, longest: true };
    let mut out = String::new();
    let (mut copied, mut from) = (0, 0);
    while from <= text.len() {
        let Some((start, end)) = search.find(from, fuel)? else { break };
        out.extend(&text[copied..start]);
        // An empty match right behind another match is none (Go's regexp.ReplaceAllString).
        if end > copied || start == 0 {
            fill_template(&mut out, replacement, &text[start..end], fuel)?;
        }
        copied = end;
        from = end.max(from + 1);
    }
    out.extend(&text[copied..]);
    Ok(out)
}

/// Go's regexp.Expand for an expression without groups: `$0` is the match, `$1` and `$name` are
/// empty, `$$` is a dollar sign.
fn fill_template(
    out: &mut String,
    template: &str,
    matched: &[char],
    fuel: &mut Fuel,
) -> Result<(), Reason> {
    fuel.spend(template.len())?;
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        rest = after;
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
            continue;
        }
        let braced = rest.strip_prefix('{');
        let name_and_more = braced.unwrap_or(rest);
        let length = name_and_more
            .find(|c: char| !c.is_alphanumeric() && c != '_')
            .unwrap_or(name_and_more.len());
        let (name, mut more) = name_and_more.split_at(length);
        let closed = match (braced, more.strip_prefix('}')) {
            (Some(_), Some(behind)) => {
                more = behind;
                true
            }
            (braced, _) => braced.is_none(),
        };
        if name.is_empty() || !closed {
            out.push('$');
            continue;
        }
        if name == "0" {
            fuel.spend(matched.len())?;
            out.extend(matched);
        }
        rest = more;
    }
    out.push_str(rest);
    Ok(())
}

/// Looks for a pattern in a text.
struct Search<'a> {
    pattern: &'a [Token],
    text: &'a [char],
    /// Only at the place where the search starts.
    anchored: bool,
    /// Of the matches with the leftmost start, the longest; else the shortest.
    longest: bool,
}

/// A way to match: so much of the pattern is done, and it began there.
#[derive(Clone, Copy)]
struct Thread {
    done: usize,
    start: usize,
}

/// The ways to match that are alive, sorted by start. Of two at the same place of the pattern the
/// one that began further left is enough.
struct Threads {
    list: Vec<Thread>,
    /// By place of the pattern: whether one is there.
    taken: Vec<bool>,
}

impl Threads {
    fn new(pattern: &[Token]) -> Self {
        Self { list: Vec::new(), taken: vec![false; pattern.len() + 1] }
    }

    /// Adds a thread, and what it becomes where a `*` matches nothing.
    fn add(&mut self, pattern: &[Token], thread: Thread) {
        if std::mem::replace(&mut self.taken[thread.done], true) {
            return;
        }
        self.list.push(thread);
        if pattern.get(thread.done) == Some(&Token::Any) {
            self.add(pattern, Thread { done: thread.done + 1, ..thread });
        }
    }

    fn clear(&mut self) {
        for thread in self.list.drain(..) {
            self.taken[thread.done] = false;
        }
    }
}

impl Search<'_> {
    /// All ways to match advance together over the text, so the time is at most the product of the
    /// lengths.
    fn find(&self, from: usize, fuel: &mut Fuel) -> Result<Option<(usize, usize)>, Reason> {
        let mut threads = Threads::new(self.pattern);
        let mut next = Threads::new(self.pattern);
        let mut best: Option<(usize, usize)> = None;
        for at in from..=self.text.len() {
            if best.is_none() && (at == from || !self.anchored) {
                threads.add(self.pattern, Thread { done: 0, start: at });
            }
            fuel.spend(threads.list.len() + 1)?;
            for thread in &threads.list {
                if best.is_some_and(|(start, _)| thread.start > start) {
                    break;
                }
                if thread.done == self.pattern.len() {
                    best = Some((thread.start, at));
                    if !self.longest {
                        return Ok(best);
                    }
                }
                if let Some(&c) = self.text.get(at) {
                    self.advance(*thread, c, &mut next);
                }
            }
            if next.list.is_empty() && (best.is_some() || self.anchored) {
                break;
            }
            threads.clear();
            std::mem::swap(&mut threads, &mut next);
        }
        Ok(best)
    }

    fn advance(&self, thread: Thread, c: char, next: &mut Threads) {
        let stepped = Thread { done: thread.done + 1, ..thread };
        match self.pattern.get(thread.done) {
            Some(Token::Any) if c != '\n' => next.add(self.pattern, thread),
            Some(Token::One) if c != '\n' => next.add(self.pattern, stepped),
            Some(Token::Char(wanted)) if *wanted == c => next.add(self.pattern, stepped),
            _ => {}
        }
    }
}
