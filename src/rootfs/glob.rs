//! Shell patterns as Go's `filepath.Match` reads them, which is what COPY and ADD promise for their
//! sources, and the machine under `.dockerignore` patterns ([`super::ignore`]).
//!
//! Source: <https://pkg.go.dev/path/filepath#Match>. `*` and `?` stop at a slash, a class such as
//! `[^a]` does not; a backslash takes the next character literally.
//!
//! Patterns come from strangers, so matching never backtracks: all the places where a pattern could
//! stand are followed at once, and a match costs at most (length of the name) × (length of the
//! pattern).

/// A pattern that is none, in Go's words: people search for them.
#[derive(Debug, thiserror::Error, Clone, Copy, PartialEq, Eq)]
#[error("syntax error in pattern")]
pub struct BadPattern;

/// A compiled pattern.
#[derive(Debug, Clone)]
pub struct Pattern {
    tokens: Vec<Token>,
    /// What every match ends with: most names are turned down by this alone.
    tail: Vec<u8>,
}

impl Pattern {
    /// Compiles a pattern; a malformed one is always an error, whatever it is matched with.
    pub fn new(text: &[u8]) -> Result<Self, BadPattern> {
        Ok(Self::of(Parser::new(text).tokens(false)?))
    }

    /// Compiles a pattern in which `**` stands for any depth (`**/` for any number of directories,
    /// none included).
    pub(super) fn deep(text: &[u8]) -> Result<Self, BadPattern> {
        Ok(Self::of(Parser::new(text).tokens(true)?))
    }

    fn of(tokens: Vec<Token>) -> Self {
        let literal = |token: &Token| match token {
            Token::Char(character) if *character < STRAY => Some(*character),
            _ => None,
        };
        let mut tail: Vec<char> = tokens.iter().rev().map_while(literal).collect();
        tail.reverse();
        let tail = tail.into_iter().collect::<String>().into_bytes();
        Self { tokens, tail }
    }

    /// Whether the whole name fits.
    pub fn matches(&self, name: &[u8]) -> bool {
        name.ends_with(&self.tail) && self.run(name)[self.tokens.len()]
    }

    /// Whether a longer name that starts with these bytes could fit.
    pub(super) fn may_match_after(&self, start: &[u8]) -> bool {
        self.run(start).into_iter().any(|possible| possible)
    }

    /// Whether a class has a range that runs backwards (`[z-a]`), which matches nothing.
    pub(super) fn has_reversed_range(&self) -> bool {
        self.tokens.iter().any(|token| match token {
            Token::Class(class) => class.ranges.iter().any(|(low, high)| low > high),
            _ => false,
        })
    }

    /// Where in the pattern one can stand after the name: state `i` is before token `i`.
    fn run(&self, name: &[u8]) -> Vec<bool> {
        let mut states = vec![false; self.tokens.len() + 1];
        states[0] = true;
        self.skip(&mut states);
        let mut next = vec![false; states.len()];
        for character in characters(name) {
            next.fill(false);
            for (at, token) in self.tokens.iter().enumerate().filter(|(at, _)| states[*at]) {
                token.step(character, at, &mut next);
            }
            self.skip(&mut next);
            std::mem::swap(&mut states, &mut next);
        }
        states
    }

    /// Adds the states that are reached without a character. They only lead forward.
    fn skip(&self, states: &mut [bool]) {
        for (at, token) in self.tokens.iter().enumerate() {
            if states[at] {
                match token {
                    Token::Star | Token::Anything => states[at + 1] = true,
                    Token::MaybeDirs => {
                        states[at + 1] = true;
                        states[at + 2] = true;
                    }
                    Token::Char(_) | Token::One | Token::Class(_) | Token::Dirs => {}
                }
            }
        }
    }
}

/// Whether a source has a wildcard, so that it is a pattern and not a path.
pub fn has_meta(text: &[u8]) -> bool {
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => {
                bytes.next();
            }
            b'*' | b'?' | b'[' => return true,
            _ => {}
        }
    }
    false
}

/// A name that matches itself and nothing else, as a pattern.
pub fn escape(name: &str) -> String {
    let mut pattern = String::with_capacity(name.len());
    for c in name.chars() {
        if matches!(c, '*' | '?' | '[' | ']' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}

/// A text without its escaping backslashes.
pub fn unescape(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut bytes = text.iter();
    while let Some(&byte) = bytes.next() {
        match byte {
            b'\\' => plain.extend(bytes.next()),
            _ => plain.push(byte),
        }
    }
    plain
}

#[derive(Debug, Clone)]
enum Token {
    /// This character.
    Char(char),
    /// `?`
    One,
    /// `*`
    Star,
    /// `[…]`
    Class(Class),
    /// `**/`, first half: nothing, or go on to [`Token::Dirs`], which always follows.
    MaybeDirs,
    /// `**/`, second half: anything that ends with a slash.
    Dirs,
    /// `**` at the end.
    Anything,
}

impl Token {
    fn step(&self, character: char, at: usize, next: &mut [bool]) {
        match self {
            Self::Char(wanted) => next[at + 1] |= *wanted == character,
            Self::One => next[at + 1] |= character != '/',
            Self::Class(class) => next[at + 1] |= class.contains(character),
            Self::Star => next[at] |= character != '/',
            Self::Anything => next[at] = true,
            Self::MaybeDirs => {}
            Self::Dirs => {
                next[at] = true;
                next[at + 1] |= character == '/';
            }
        }
    }
}

#[derive(Debug, Clone)]
struct Class {
    negated: bool,
    ranges: Vec<(char, char)>,
}

impl Class {
    fn contains(&self, character: char) -> bool {
        let inside = self.ranges.iter().any(|(low, high)| (*low..=*high).contains(&character));
        inside != self.negated
    }
}

struct Parser<I: Iterator<Item = char>> {
    rest: std::iter::Peekable<I>,
}

impl<'a> Parser<Characters<'a>> {
    fn new(text: &'a [u8]) -> Self {
        Self { rest: characters(text).peekable() }
    }

    fn tokens(mut self, deep: bool) -> Result<Vec<Token>, BadPattern> {
        let mut tokens = Vec::new();
        while let Some(character) = self.rest.next() {
            match character {
                '*' if deep && self.rest.next_if_eq(&'*').is_some() => self.any_depth(&mut tokens),
                '*' => tokens.push(Token::Star),
                '?' => tokens.push(Token::One),
                '[' => tokens.push(Token::Class(self.class()?)),
                '\\' => tokens.push(Token::Char(self.rest.next().ok_or(BadPattern)?)),
                character => tokens.push(Token::Char(character)),
            }
        }
        Ok(tokens)
    }

    fn any_depth(&mut self, tokens: &mut Vec<Token>) {
        self.rest.next_if_eq(&'/');
        if self.rest.peek().is_some() {
            tokens.extend([Token::MaybeDirs, Token::Dirs]);
        } else {
            tokens.push(Token::Anything);
        }
    }

    fn class(&mut self) -> Result<Class, BadPattern> {
        let negated = self.rest.next_if_eq(&'^').is_some();
        let mut ranges = Vec::new();
        loop {
            if !ranges.is_empty() && self.rest.next_if_eq(&']').is_some() {
                return Ok(Class { negated, ranges });
            }
            let low = self.class_character()?;
            let high =
                if self.rest.next_if_eq(&'-').is_some() { self.class_character()? } else { low };
            ranges.push((low, high));
        }
    }

    fn class_character(&mut self) -> Result<char, BadPattern> {
        match self.rest.next() {
            None | Some('-' | ']') => Err(BadPattern),
            Some('\\') => self.rest.next().ok_or(BadPattern),
            Some(character) => Ok(character),
        }
    }
}

type Characters<'a> = Box<dyn Iterator<Item = char> + 'a>;

/// Where the characters begin that stand for stray bytes: the end of the last private plane.
const STRAY: char = '\u{10FF00}';

/// The characters of a name. Names need not be UTF-8: a stray byte becomes a character of its own,
/// so that it equals itself and nothing else.
fn characters(text: &[u8]) -> Characters<'_> {
    Box::new(text.utf8_chunks().flat_map(|chunk| {
        let stray = chunk.invalid().iter().map(|byte| {
            char::from_u32(STRAY as u32 + u32::from(*byte)).unwrap_or(char::REPLACEMENT_CHARACTER)
        });
        chunk.valid().chars().chain(stray)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, name: &str) -> Result<bool, BadPattern> {
        Ok(Pattern::new(pattern.as_bytes())?.matches(name.as_bytes()))
    }

    #[test]
    fn patterns_fit_as_in_go() {
        for (pattern, name, fits) in [
            ("", "", true),
            ("", "a", false),
            ("abc", "abc", true),
            ("*", "", true),
            ("*", "a/b", false),
            ("a*/b", "abc/b", true),
            ("a?b", "a/b", false),
            ("a[^x]b", "a/b", true),
            ("a**b", "a/b", false),
            ("a**b", "axxb", true),
            ("*.tar.??", "x.tar.gz", true),
            ("[a-c]x", "bx", true),
            ("[^a-c]x", "bx", false),
            ("[*]", "*", true),
            ("[*]", "x", false),
            (r"a\*", "a*", true),
            (r"a\*", "ab", false),
            ("a]", "a]", true),
            ("[z-a]", "m", false),
            ("ä?ü", "äöü", true),
        ] {
            assert_eq!(matches(pattern, name), Ok(fits), "{pattern} {name}");
        }
    }

    #[test]
    fn malformed_patterns_are_errors_whatever_the_name() {
        for pattern in ["[", "a[", "[]a]", "[-]", "[x-]", r"[\", r"a\", "[^", "[a-b-c]", "x*["] {
            assert_eq!(matches(pattern, "nothing like it"), Err(BadPattern), "{pattern}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_equal_themselves() {
        let pattern = Pattern::new(b"a\xff?").expect("a pattern");
        assert!(pattern.matches(b"a\xff\xfe"));
        assert!(!pattern.matches(b"a\xfe\xfe"));
    }

    #[test]
    fn a_pattern_made_to_backtrack_ends() {
        let pattern = Pattern::new("a*".repeat(200).as_bytes()).expect("a pattern");
        assert!(!pattern.matches(format!("{}b/", "a".repeat(5000)).as_bytes()));
    }

    #[test]
    fn escapes_make_no_pattern() {
        assert!(has_meta(b"a*") && has_meta(b"[a]") && has_meta(b"?"));
        assert!(!has_meta(br"a\*\[\?b") && !has_meta(b"a]b"));
        assert_eq!(unescape(br"a\*\\b"), br"a*\b");
        assert_eq!(escape("/a b/c"), "/a b/c");
        for name in [r"/a*[b]\?", "/[", r"\"] {
            assert!(!has_meta(escape(name).as_bytes()), "{name}");
            assert_eq!(unescape(escape(name).as_bytes()), name.as_bytes());
        }
    }
}
