//! Text from outside, made safe for a terminal and a log.
//!
//! Names, messages and Dockerfiles come from strangers. A control character in them could move the
//! cursor, retitle the window or fake a line; a bidirectional mark could make a line read other
//! than it is (CVE-2021-42574). What commands print goes through [`super::lines`].

/// One line without control characters: line breaks and tabs become blanks, the rest goes.
pub fn line(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for character in text.trim_end().chars() {
        match character {
            '\n' | '\t' => clean.push(' '),
            hidden if is_control(hidden) => {}
            shown => clean.push(shown),
        }
    }
    clean
}

/// A line of a command that GitLab's runner cannot take for its own. In Kubernetes it reads in the log
/// how a job ended: `{"command_exit_code":0,"script":"…"}`
/// (gitlab-org/gitlab-runner, shells and executors/kubernetes).
pub(super) fn harmless(line: String) -> String {
    let like_its_own = line.contains("command_exit_code") && line.contains('{');
    if like_its_own { format!("| {line}") } else { line }
}

/// Whether a character acts on the terminal instead of being shown.
pub(super) fn is_control(character: char) -> bool {
    character.is_control() || is_direction(character)
}

/// Line and paragraph separators, and marks that reorder the text around them.
fn is_direction(character: char) -> bool {
    matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Columns that a character takes, never too few: what is counted too wide is merely cut early.
fn columns(character: char) -> usize {
    match character {
        // The only characters from this range on that kiln itself prints.
        '…' | '│' => 1,
        // From Hangul on most scripts are wide.
        '\u{1100}'.. => 2,
        _ => 1,
    }
}

/// Columns that a line takes, at most.
pub(super) fn width(line: &str) -> usize {
    line.chars().map(columns).sum()
}

/// The line, cut to `limit` columns; what is cut shows as `…`.
pub(super) fn truncate(line: &str, limit: usize) -> String {
    if width(line) <= limit {
        return line.to_owned();
    }
    let mut used = 0;
    let mut short: String = line
        .chars()
        .take_while(|character| {
            used += columns(*character);
            used < limit
        })
        .collect();
    if limit > 0 {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_acts_on_a_terminal_is_left() {
        for (text, clean) in [
            ("RUN make", "RUN make"),
            ("a\nb\tc\r\n", "a b c"),
            ("\x1b]0;title\x07x\x1b[2J", "]0;titlex[2J"),
            ("\u{9b}31mred", "31mred"),
            ("is\u{202e}nimda", "isnimda"),
            ("größe 日本", "größe 日本"),
        ] {
            assert_eq!(line(text), clean);
        }
    }

    #[test]
    fn a_cut_line_fits() {
        for (text, limit, cut) in [
            ("abc", 3, "abc"),
            ("abcd", 3, "ab…"),
            ("日本語", 5, "日本…"),
            ("日本語", 4, "日…"),
            ("abc", 1, "…"),
            ("abc", 0, ""),
        ] {
            assert_eq!(truncate(text, limit), cut, "{text} {limit}");
            assert!(width(cut) <= limit);
        }
    }
}
