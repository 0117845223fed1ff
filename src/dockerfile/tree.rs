//! A whole text → statements: name, flags, words, heredocs, comments. The instructions' own rules
//! are not looked at yet, so a statement may still be wrong.
//!
//! Source: BuildKit's frontend/dockerfile/parser, whose syntax tree this is.

use super::directives::EscapeReader;
use super::error::{Fault, ParseError};
use super::heredoc::{self, Opening};
use super::lines::{self, Lines, LogicalLine, Start};
use super::words::{self, Json, Part};
use super::{Span, Warning};

pub use super::heredoc::Opening as HeredocOpening;
pub use super::lines::LogicalLine as Line;
pub use super::words::Word;

/// A text, cut into statements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    /// Backslash or backtick.
    pub escape: char,
    /// In the order of the file; never empty.
    pub statements: Vec<Statement>,
    /// What the cutting found doubtful.
    pub warnings: Vec<Warning>,
}

/// One instruction of the file, whatever its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The parts of the line.
    pub item: Item,
    /// The joined line.
    pub line: LogicalLine,
    /// From the first letter of the name to the end of the last heredoc's body.
    pub span: Span,
    /// With their bodies, in the order of the line.
    pub heredocs: Vec<RawHeredoc>,
    /// The comment lines above it, without `#`: those after the last empty one, and no directives.
    pub comments: Vec<String>,
    /// Whether a blank line stands between the last of them and the statement.
    pub apart: bool,
}

impl Statement {
    /// What a comment above the statement says about the stage or argument of that name:
    /// `# NAME text`.
    pub fn doc_comment(&self, name: &str) -> Option<&str> {
        doc_comment(&self.comments, name)
    }
}

/// What one of the comments above a stage or argument says about it: `# NAME text`.
pub fn doc_comment<'a>(comments: &'a [String], name: &str) -> Option<&'a str> {
    let text = |comment| str::strip_prefix(comment, name)?.strip_prefix(' ');
    comments.iter().find_map(|comment| text(comment))
}

/// A heredoc as it stands in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawHeredoc {
    /// The word that opened it.
    pub opening: Opening,
    /// The body; tabs are not stripped yet.
    pub content: String,
}

/// The parts of an instruction's line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The instruction's name as written.
    pub name: Word,
    /// The words with `--` before the arguments.
    pub flags: Vec<Word>,
    /// The arguments; what a word is depends on the instruction. ENV and LABEL have three for
    /// each pair: key, value, and `=` or nothing for the old form without `=`.
    pub args: Vec<Word>,
    /// Whether the arguments are a JSON array.
    pub json: bool,
    /// The instruction after ONBUILD.
    pub inner: Option<Box<Item>>,
}

impl Item {
    /// The name in small letters.
    pub fn keyword(&self) -> String {
        self.name.text.to_lowercase()
    }

    /// Only RUN, COPY and ADD have bodies, and not in JSON form.
    fn can_open_heredocs(&self) -> bool {
        let item = self.inner.as_deref().unwrap_or(self);
        !item.json && matches!(item.keyword().as_str(), "run" | "copy" | "add")
    }
}

/// Cuts a text without its byte order mark.
///
/// # Errors
///
/// A directive, an instruction's words, a JSON array or a heredoc breaks the rules, or there is no
/// instruction.
pub fn read(text: &str) -> Result<Tree, ParseError> {
    let mut lines = Lines::new(text)?;
    let mut escape = EscapeReader::new();
    let mut tree = Tree { escape: '\\', statements: Vec::new(), warnings: Vec::new() };
    let mut comments = Vec::new();
    let mut apart = false;
    while let Some(first) = lines.next() {
        let is_directive = escape.line(first.text(), first.start)?;
        match lines::classify(&first) {
            Start::Nothing => apart = true,
            Start::Comment(_) if is_directive => {}
            Start::Comment("") => comments.clear(),
            Start::Comment(comment) => {
                comments.push(comment.to_owned());
                apart = false;
            }
            Start::Instruction => {
                let (line, blank) = lines::join(first, &mut lines, escape.escape);
                tree.warnings.extend(blank.map(empty_continuation));
                let mut statement = statement(line, escape.escape)?;
                statement.comments = std::mem::take(&mut comments);
                statement.apart = std::mem::take(&mut apart);
                read_bodies(&mut statement, &mut lines)?;
                tree.statements.push(statement);
            }
        }
    }
    tree.escape = escape.escape;
    if tree.statements.is_empty() {
        return Err(ParseError {
            message: "file with no instructions".into(),
            span: 0..text.len(),
            help: Some("a Dockerfile starts with FROM".into()),
        });
    }
    Ok(tree)
}

fn empty_continuation(span: Span) -> Warning {
    Warning { rule: "NoEmptyContinuation", message: "Empty continuation line".into(), span }
}

fn statement(line: LogicalLine, escape: char) -> Result<Statement, ParseError> {
    let item = item(Part { text: &line.text, start: 0 }, escape, false);
    let item = item.map_err(|fault| locate(fault, &line))?;
    let span = line.whole();
    let (heredocs, comments) = (Vec::new(), Vec::new());
    Ok(Statement { item, line, span, heredocs, comments, apart: false })
}

/// The place of a fault in the text.
pub(super) fn locate(fault: Fault, line: &LogicalLine) -> ParseError {
    let span = fault.at.map_or_else(|| line.whole(), |range| line.span(&range));
    ParseError { message: fault.message, span, help: fault.help }
}

fn item(part: Part<'_>, escape: char, nested: bool) -> Result<Item, Fault> {
    let (name, rest) = part.trim().split_once();
    let rest = rest.unwrap_or_else(|| name.from(name.text.len()));
    let (flags, args) = words::leading_flags(rest);
    let args = args.trim();
    let mut item = Item { name: name.word(), flags, args: Vec::new(), json: false, inner: None };
    match item.keyword().as_str() {
        "from" | "expose" => item.args = words::plain(args),
        "add" | "copy" | "volume" => item.take_json_or(args, words::plain)?,
        "run" | "cmd" | "entrypoint" | "shell" => item.take_json_or(args, whole)?,
        "healthcheck" => {
            let (kind, command) = first_word(args);
            item.args = whole(kind);
            item.take_json_or(command, whole)?;
        }
        "arg" => item.args = words::quoted(args, escape),
        "env" | "label" => item.args = pairs(args, escape, &item.name.text)?,
        "maintainer" | "stopsignal" | "user" | "workdir" => item.args = whole(args),
        // A chain is refused later; following it here would let a file choose the stack's depth.
        "onbuild" if nested => item.args = whole(args),
        "onbuild" if !args.text.is_empty() => {
            item.inner = Some(Box::new(self::item(args, escape, true)?));
        }
        // An unknown name is an error of the next layer.
        _ => {}
    }
    Ok(item)
}

impl Item {
    /// Adds the strings of a JSON array, or else what `cut` makes of the text.
    fn take_json_or(
        &mut self,
        part: Part<'_>,
        cut: fn(Part<'_>) -> Vec<Word>,
    ) -> Result<(), Fault> {
        match words::json_array(part.text) {
            Json::No => self.args.extend(cut(part)),
            Json::NotStrings => {
                let message =
                    "when using JSON array syntax, arrays must be comprised of strings only";
                return Err(Fault::new(message).at(&part.range()));
            }
            Json::Strings(texts) => {
                self.json = true;
                self.args.extend(texts.into_iter().map(|text| Word { text, at: part.range() }));
            }
        }
        Ok(())
    }
}

/// The text as one word, if there is any.
fn whole(part: Part<'_>) -> Vec<Word> {
    if part.text.is_empty() { Vec::new() } else { vec![part.word()] }
}

/// HEALTHCHECK's first word ends at any white space.
fn first_word(part: Part<'_>) -> (Part<'_>, Part<'_>) {
    let end = part.text.find(char::is_whitespace).unwrap_or(part.text.len());
    (part.slice(0..end), part.from(end).trim())
}

/// `key=value …`, or the old form `key rest of the line`, which the first word decides.
fn pairs(part: Part<'_>, escape: char, name: &str) -> Result<Vec<Word>, Fault> {
    let words = words::quoted(part, escape);
    let Some(first) = words.first() else { return Ok(Vec::new()) };
    if !first.text.contains('=') {
        let (key, Some(value)) = part.split_once() else {
            let name = name.to_uppercase();
            let help = format!("write {name} {}=value", part.text);
            return Err(Fault::new(format!("{name} must have two arguments")).help(help));
        };
        let end = value.range().end;
        return Ok(vec![key.word(), value.word(), Word { text: String::new(), at: end..end }]);
    }
    let mut triples = Vec::with_capacity(words.len() * 3);
    for word in words {
        let Some((key, value)) = word.text.split_once('=') else {
            let message = format!(
                "Syntax error - can't find = in {:?}. Must be of the form: name=value",
                word.text
            );
            return Err(Fault::new(message).at(&word.at));
        };
        for text in [key, value, "="] {
            triples.push(Word { text: text.to_owned(), at: word.at.clone() });
        }
    }
    Ok(triples)
}

fn read_bodies(statement: &mut Statement, lines: &mut Lines<'_>) -> Result<(), ParseError> {
    if !statement.item.can_open_heredocs() {
        return Ok(());
    }
    let openings = heredoc::openings(&statement.line.text)
        .map_err(|error| locate(Fault::new(error.to_string()), &statement.line))?;
    for opening in openings {
        let mut content = String::new();
        loop {
            let Some(line) = lines.next() else {
                return Err(unterminated(&opening, statement));
            };
            let text = line.text();
            let text = if opening.chomp { text.trim_start_matches('\t') } else { text };
            if text == opening.name {
                statement.span.end = line.span().end;
                break;
            }
            content.push_str(line.raw);
        }
        statement.heredocs.push(RawHeredoc { opening, content });
    }
    Ok(())
}

fn unterminated(opening: &Opening, statement: &Statement) -> ParseError {
    ParseError {
        message: "unterminated heredoc".into(),
        span: statement.line.whole(),
        help: Some(format!("its body ends at a line that is exactly {:?}", opening.name)),
    }
}
