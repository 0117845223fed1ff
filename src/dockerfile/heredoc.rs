//! `<<EOF` in a line.
//!
//! Source: BuildKit's frontend/dockerfile/parser/parser.go. A line is cut into words as a shell
//! would, quotes and escapes kept; each word of the form `[digits]<<[-]name` starts a body.

use super::expand::{self, ExpandError, Mode, Nothing};

/// What a word `<<EOF` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// The line that ends the body.
    pub name: String,
    /// Whether no part of the name was quoted.
    pub expand: bool,
    /// Whether it was `<<-`.
    pub chomp: bool,
    /// The digits before `<<`.
    pub descriptor: u32,
}

/// The heredocs of a line, in order. A line that a shell's rules cannot cut has none: BuildKit
/// leaves the error to the shell.
pub(super) fn openings(line: &str) -> Result<Vec<Opening>, ExpandError> {
    if !line.contains("<<") {
        return Ok(Vec::new());
    }
    let mode = Mode { raw_quotes: true, raw_escapes: true, keep_unset: true, ..Mode::new('\\') };
    let words = expand::scan(line, mode, &Nothing).map_or_else(|_| Vec::new(), |out| out.words);
    words.iter().filter_map(|word| opening(word).transpose()).collect()
}

/// Reads one word; `None` if it is no heredoc.
pub(super) fn opening(word: &str) -> Result<Option<Opening>, ExpandError> {
    let digits = word.len() - word.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let Some(rest) = word[digits..].strip_prefix("<<") else { return Ok(None) };
    let (chomp, rest) = match rest.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    let rest = rest.trim_start_matches(['\t', '\n', '\u{c}', '\r', ' ']);
    if rest.is_empty() || rest.contains('<') {
        return Ok(None);
    }
    let mode = Mode { keep_unset: true, ..Mode::new('\\') };
    let mut names = expand::scan(rest, mode, &Nothing)?.words;
    let raw = expand::scan(rest, Mode { raw_quotes: true, ..mode }, &Nothing)?.words;
    let (Some(name), true) = (names.pop(), names.is_empty()) else { return Ok(None) };
    Ok(Some(Opening {
        // A quote that is there only as long as quotes are kept has quoted something.
        expand: raw.iter().map(|word| quotes(word)).sum::<usize>() == quotes(&name),
        name,
        chomp,
        descriptor: digits_to_number(&word[..digits]),
    }))
}

fn quotes(text: &str) -> usize {
    text.matches(['\'', '"']).count()
}

fn digits_to_number(digits: &str) -> u32 {
    if digits.is_empty() { 0 } else { digits.parse().unwrap_or(u32::MAX) }
}

/// The body as `<<-` means it: no tab at the start of a line.
pub(super) fn chomp(body: &str) -> String {
    body.split_inclusive('\n').map(|line| line.trim_start_matches('\t')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_open_a_body() {
        for (word, expected) in [
            ("<<EOF", Some(("EOF", true, false, 0))),
            ("<<-EOF", Some(("EOF", true, true, 0))),
            ("3<<EOF", Some(("EOF", true, false, 3))),
            ("<<'EOF'", Some(("EOF", false, false, 0))),
            ("<<\"E O F\"", Some(("E O F", false, false, 0))),
            ("<<E\\\"F", Some(("E\"F", true, false, 0))),
            ("<<$X", Some(("$X", true, false, 0))),
            ("<<${X}", Some(("${X}", true, false, 0))),
            ("99999999999<<E", Some(("E", true, false, u32::MAX))),
            ("<<", None),
            ("<<-", None),
            ("<<<EOF", None),
            ("a<<EOF", None),
            ("<EOF", None),
            ("", None),
        ] {
            let found = opening(word).expect("a word");
            let found = found.as_ref().map(|o| (o.name.as_str(), o.expand, o.chomp, o.descriptor));
            assert_eq!(found, expected, "{word:?}");
        }
        assert!(opening("<<'EOF").is_err());
    }

    #[test]
    fn lines_with_bodies() {
        let names = |line: &str| -> Vec<String> {
            let all = openings(line).expect("a line");
            all.into_iter().map(|opening| opening.name).collect()
        };
        assert_eq!(names("RUN <<A cat > x && <<-B cat"), ["A", "B"]);
        assert_eq!(names("RUN echo '<<A' \"<<B\""), [] as [&str; 0]);
        assert_eq!(names("RUN echo it's <<A"), [] as [&str; 0]);
        assert_eq!(names("RUN echo $X <<\"A\""), ["A"]);
        assert_eq!(names("RUN cat <<<A"), [] as [&str; 0]);
    }
}
