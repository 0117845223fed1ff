//! Questions at the terminal, and passwords from a pipe.

use std::io::{self, IsTerminal as _, Read as _, Write as _};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// No password is longer.
const LONGEST: u64 = 64 << 10;

/// Asks for a line. None where nobody sits at standard input.
pub fn ask(question: &str) -> io::Result<Option<String>> {
    if !io::stdin().is_terminal() {
        return Ok(None);
    }
    write!(io::stderr(), "{question}")?;
    line().map(Some)
}

/// The same for what must not be seen.
pub fn ask_secretly(question: &str) -> io::Result<Option<String>> {
    if !io::stdin().is_terminal() {
        return Ok(None);
    }
    write!(io::stderr(), "{question}")?;
    let hidden = Hidden::new()?;
    let answer = line();
    drop(hidden);
    writeln!(io::stderr())?;
    answer.map(Some)
}

/// All of standard input but a line break at its end.
pub fn read_secret() -> io::Result<String> {
    let mut text = String::new();
    io::stdin().take(LONGEST).read_to_string(&mut text)?;
    Ok(without_line_break(text))
}

fn line() -> io::Result<String> {
    let mut text = String::new();
    io::stdin().read_line(&mut text)?;
    Ok(without_line_break(text))
}

fn without_line_break(text: String) -> String {
    let end = text.strip_suffix('\n').map_or(text.as_str(), |line| line.trim_end_matches('\r'));
    end.to_owned()
}

/// While it lives, the terminal shows nothing of what is typed; a signal that ends the program ends
/// that first.
struct Hidden {
    before: Termios,
    signals: signal_hook::iterator::Handle,
}

impl Hidden {
    fn new() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM])?;
        let handle = signals.handle();
        let shown = before.clone();
        std::thread::spawn(move || {
            if let Some(signal) = signals.forever().next() {
                _ = tcsetattr(io::stdin(), OptionalActions::Now, &shown);
                _ = writeln!(io::stderr());
                std::process::exit(128 + signal);
            }
        });
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Now, &silent)?;
        Ok(Self { before, signals: handle })
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
        self.signals.close();
    }
}
