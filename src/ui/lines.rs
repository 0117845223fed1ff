//! What a command prints, cut into lines that are safe to show.
//!
//! Commands draw progress bars, move the cursor and set titles as if they owned the terminal. Here
//! `\r` starts the line over, colours may stay, and every other control sequence goes. A line is
//! bounded, so a command without line breaks cannot fill the memory.
//!
//! Source of the sequences: ECMA-48; xterm's ctlseqs for OSC ended by BEL.

use super::clean::is_control;
use super::format;

/// Bytes of one line that are kept.
const LINE_LIMIT: usize = 8 * 1024;
/// Bytes of one colour sequence that are kept; true colour on two grounds takes 36.
const SEQUENCE_LIMIT: usize = 48;
const ESC: u8 = 0x1b;
const BEL: u8 = 0x07;

/// Turns a stream of bytes into clean lines, without their ends.
#[derive(Debug)]
pub(super) struct Lines {
    keep_colour: bool,
    state: State,
    /// The current line so far, colour sequences included.
    line: Vec<u8>,
    /// Bytes of the current line beyond the limit.
    cut: u64,
    /// A `\r` came: the next character starts the line over, unless it ends it.
    returned: bool,
    /// The sequence being read, if it may be a colour.
    sequence: Vec<u8>,
}

/// Where in a control sequence the stream is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Text,
    /// After ESC.
    Escape,
    /// In `ESC [ … letter`.
    Csi,
    /// In a text for the terminal (`ESC ] … BEL`), which a line break ends too: one that is never
    /// ended must not swallow the rest of the log.
    ControlString,
}

impl Lines {
    /// Starts a stream; `keep_colour` lets colour sequences pass.
    pub(super) fn new(keep_colour: bool) -> Self {
        Self {
            keep_colour,
            state: State::Text,
            line: Vec::new(),
            cut: 0,
            returned: false,
            sequence: Vec::new(),
        }
    }

    /// Takes bytes and gives every line that they complete.
    pub(super) fn feed(&mut self, bytes: &[u8], mut emit: impl FnMut(String)) {
        for &byte in bytes {
            if byte == b'\n' {
                emit(self.take());
            } else {
                self.step(byte);
            }
        }
    }

    /// The last line, if the stream did not end with a line break.
    pub(super) fn finish(&mut self) -> Option<String> {
        let rest = !self.line.is_empty();
        let line = self.take();
        rest.then_some(line)
    }

    /// The line that is not complete yet, if there is something in it.
    pub(super) fn partial(&self) -> Option<String> {
        (!self.line.is_empty()).then(|| self.render())
    }

    fn step(&mut self, byte: u8) {
        self.state = match (self.state, byte) {
            (State::Text, ESC) => State::Escape,
            (State::Text, b'\r') => {
                self.returned = true;
                State::Text
            }
            (State::Text, byte) => {
                self.text(byte);
                State::Text
            }
            (State::Escape, b'[') => {
                self.sequence.clear();
                State::Csi
            }
            // OSC, DCS, SOS, PM, APC.
            (State::Escape, b']' | b'P' | b'X' | b'^' | b'_') => State::ControlString,
            // `ESC ( B` and the like have bytes between ESC and the last one.
            (State::Escape, 0x20..=0x2f | ESC) => State::Escape,
            (State::Escape, _) => State::Text,
            (State::Csi, 0x20..=0x3f) => {
                self.sequence.push(byte);
                self.sequence.truncate(SEQUENCE_LIMIT + 1);
                State::Csi
            }
            (State::Csi, ESC) => State::Escape,
            (State::Csi, _) => {
                if byte == b'm' {
                    self.colour();
                }
                State::Text
            }
            (State::ControlString, BEL) => State::Text,
            // ESC begins the terminator `ESC \`, or a new sequence that cancels this one.
            (State::ControlString, ESC) => State::Escape,
            (State::ControlString, _) => State::ControlString,
        };
    }

    fn text(&mut self, byte: u8) {
        if byte < 0x20 && byte != b'\t' || byte == 0x7f {
            return;
        }
        self.start_over_if_returned();
        if self.line.len() < LINE_LIMIT {
            self.line.push(byte);
        } else {
            self.cut += 1;
        }
    }

    fn colour(&mut self) {
        let plain = self.sequence.iter().all(|b| matches!(b, b'0'..=b'9' | b';' | b':'));
        let fits = self.sequence.len() <= SEQUENCE_LIMIT && self.line.len() < LINE_LIMIT;
        if self.keep_colour && plain && fits {
            self.start_over_if_returned();
            self.line.extend([ESC, b'[']);
            self.line.extend(&self.sequence);
            self.line.push(b'm');
        }
    }

    fn start_over_if_returned(&mut self) {
        if std::mem::take(&mut self.returned) {
            self.line.clear();
            self.cut = 0;
        }
    }

    fn take(&mut self) -> String {
        let line = self.render();
        self.state = State::Text;
        self.line.clear();
        self.cut = 0;
        self.returned = false;
        line
    }

    fn render(&self) -> String {
        let mut text: String = String::from_utf8_lossy(&self.line)
            .chars()
            // ESC stands only where `colour` put it.
            .filter(|character| matches!(character, '\t' | '\x1b') || !is_control(*character))
            .collect();
        if self.cut > 0 {
            text.push_str(&format!(" … ({} more)", format::size(self.cut)));
        }
        if text.contains('\x1b') && !text.ends_with("\x1b[0m") {
            text.push_str("\x1b[0m");
        }
        text
    }
}

/// The line without colours, and with blanks for tabs, for where columns count.
pub(super) fn flat(line: &str) -> String {
    let mut flat = String::with_capacity(line.len());
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            '\x1b' => {
                characters.find(|c| *c == 'm');
            }
            '\t' => flat.push_str("    "),
            other => flat.push(other),
        }
    }
    flat
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines of a stream that arrives in pieces of `piece` bytes.
    fn lines(keep_colour: bool, bytes: &[u8], piece: usize) -> Vec<String> {
        let mut lines = Lines::new(keep_colour);
        let mut seen = Vec::new();
        for chunk in bytes.chunks(piece) {
            lines.feed(chunk, |line| seen.push(line));
        }
        seen.extend(lines.finish());
        seen
    }

    #[test]
    fn lines_are_the_same_however_the_bytes_arrive() {
        let rows: &[(&[u8], &[&str])] = &[
            (b"", &[]),
            (b"a\nb\n", &["a", "b"]),
            (b"a\n\nb", &["a", "", "b"]),
            (b"windows\r\nlines\r\n", &["windows", "lines"]),
            (b" 10%\r 50%\r100%\ndone\n", &["100%", "done"]),
            (b"kept at the end\r", &["kept at the end"]),
            (b"\x1b[31mred\x1b[0m\n", &["red"]),
            (b"\x1b[2K\x1b[1A\x1b[?25lgone\n", &["gone"]),
            (b"\x1b]0;title\x07text\n", &["text"]),
            (b"\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\\n", &["link"]),
            (b"\x1b]0;never ended\nnext\n", &["", "next"]),
            (b"\x1b(Bcharset\x1b=\n", &["charset"]),
            (b"bell\x07 back\x08 nul\0 del\x7f\n", &["bell back nul del"]),
            (b"bad \xff\xfe bytes\n", &["bad \u{fffd}\u{fffd} bytes"]),
            ("größe \u{9b}31m\u{202e}\n".as_bytes(), &["größe 31m"]),
            (b"a\tb\n", &["a\tb"]),
        ];
        for (bytes, expected) in rows {
            for piece in [1, 2, 3, 1000] {
                assert_eq!(lines(false, bytes, piece), *expected, "{}", bytes.escape_ascii());
            }
        }
    }

    #[test]
    fn only_colours_are_kept_and_none_runs_on() {
        let rows: &[(&[u8], &str)] = &[
            (b"\x1b[1;31mred", "\x1b[1;31mred\x1b[0m"),
            (b"\x1b[38:2::1:2:3mtrue", "\x1b[38:2::1:2:3mtrue\x1b[0m"),
            (b"\x1b[31mred\x1b[0m", "\x1b[31mred\x1b[0m"),
            (b"\x1b[>4;2mnot a colour", "not a colour"),
            (b"\x1b[2Jcleared", "cleared"),
            (b"\x1b[32mold\r\x1b[Knew", "new"),
        ];
        for (bytes, expected) in rows {
            assert_eq!(lines(true, bytes, 1), [*expected], "{}", bytes.escape_ascii());
        }
        let long = [b"\x1b[".as_slice(), &[b'1'; 1000], b"mtext"].concat();
        assert_eq!(lines(true, &long, 7), ["text"]);
    }

    #[test]
    fn a_line_is_bounded() {
        let long = vec![b'x'; LINE_LIMIT + 12_300];
        let seen = lines(false, &long, 4096);
        assert_eq!(seen.len(), 1);
        assert!(seen[0].ends_with("xx … (12.3 kB more)"), "{}", &seen[0][LINE_LIMIT - 2..]);
        assert!(seen[0].len() < LINE_LIMIT + 40);
    }

    #[test]
    fn a_partial_line_can_be_looked_at() {
        let mut lines = Lines::new(true);
        lines.feed(b"\x1b[31mContinue?\t", |line| panic!("{line}"));
        assert_eq!(flat(&lines.partial().expect("a partial line")), "Continue?    ");
        assert_eq!(lines.finish().as_deref(), Some("\x1b[31mContinue?\t\x1b[0m"));
        assert_eq!(lines.partial(), None);
    }
}
