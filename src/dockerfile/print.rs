//! [`Dockerfile`] → text. Comments and layout are lost, the meaning is not: parsing the text gives
//! the same instructions again.

use std::fmt::Write;
use std::time::Duration;

use super::words::{self, Json, Part};
use super::{
    Arg, CommandLine, Dockerfile, From, Healthcheck, Heredoc, Instruction, Pair, Run, Transfer,
    heredoc, lines,
};

/// Longer lines are continued: the parser refuses lines of 64 KiB.
const LONG: usize = 32 * 1024;

/// A Dockerfile with the same meaning, one line for each instruction.
pub fn print(file: &Dockerfile) -> String {
    let escape = file.directives.escape;
    let mut printer = Printer { out: String::new(), escape };
    if let Some((syntax, _)) = &file.directives.syntax {
        let _ = writeln!(printer.out, "# syntax={syntax}");
    }
    if escape != '\\' {
        let _ = writeln!(printer.out, "# escape={escape}");
    }
    if let Some((check, _)) = &file.directives.check {
        let _ = writeln!(printer.out, "# check={check}");
    }
    for node in &file.global_args {
        printer.instruction(&node.instruction);
    }
    for stage in &file.stages {
        printer.line(&from(&stage.from));
        for node in &stage.nodes {
            printer.instruction(&node.instruction);
        }
    }
    printer.out
}

struct Printer {
    out: String,
    escape: char,
}

impl Printer {
    fn instruction(&mut self, instruction: &Instruction) {
        let name = instruction.name();
        match instruction {
            Instruction::Arg(args) => self.quoted(name, join(args.iter().map(arg))),
            Instruction::Env(pairs) | Instruction::Label(pairs) => {
                self.quoted(name, self.pairs(pairs));
            }
            Instruction::Run(run) => self.run(run),
            Instruction::Cmd(line) | Instruction::Entrypoint(line) => {
                self.simple(name, &command(line));
            }
            Instruction::Copy(transfer) | Instruction::Add(transfer) => {
                self.transfer(name, transfer);
            }
            Instruction::Expose(words) => self.simple(name, &words.join(" ")),
            Instruction::User(text)
            | Instruction::Workdir(text)
            | Instruction::StopSignal(text)
            | Instruction::Maintainer(text) => self.simple(name, text),
            Instruction::Volume(words) | Instruction::Shell(words) => {
                self.simple(name, &json(words));
            }
            Instruction::Healthcheck(check) => self.line(&healthcheck(check)),
            Instruction::OnBuild(onbuild) => {
                let (line, bodies) = match onbuild.text.split_once('\n') {
                    Some((line, bodies)) => (line, Some(bodies)),
                    None => (onbuild.text.as_str(), None),
                };
                self.line(&format!("{name} {line}"));
                if let Some(bodies) = bodies {
                    self.out.push_str(bodies);
                    self.out.push('\n');
                }
            }
        }
    }

    fn simple(&mut self, name: &str, args: &str) {
        self.line(&with_flags(name, &[], args));
    }

    /// Arguments in which quotes and escapes count. An escaped blank at the end would be lost, an
    /// escape behind it is lost instead.
    fn quoted(&mut self, name: &str, mut args: String) {
        if args.ends_with(char::is_whitespace) {
            args.push(self.escape);
        }
        self.simple(name, &args);
    }

    /// Writes a logical line, continued where it is too long.
    fn line(&mut self, line: &str) {
        let mut rest = line;
        while rest.len() > LONG {
            let Some(end) = self.place_to_break(rest) else { break };
            let (piece, more) = rest.split_at(end);
            self.out.push_str(piece);
            self.out.push(self.escape);
            self.out.push('\n');
            rest = more;
        }
        self.out.push_str(rest);
        self.out.push_str(lines::seal(rest, self.escape));
        self.out.push('\n');
    }

    /// Where a continuation adds and loses nothing.
    fn place_to_break(&self, text: &str) -> Option<usize> {
        (1..=LONG).rev().filter(|&at| text.is_char_boundary(at)).find(|&at| {
            let (before, after) = text.split_at(at);
            !before.ends_with(self.escape)
                && !after.starts_with(|c: char| c.is_whitespace() || c == '#' || c == self.escape)
        })
    }

    /// The form with `=` if it can say it, else the old form.
    fn pairs(&self, pairs: &[Pair]) -> String {
        let words: Vec<String> =
            pairs.iter().map(|pair| format!("{}={}", pair.key, pair.value)).collect();
        let text = words.join(" ");
        let found = words::quoted(Part { text: &text, start: 0 }, self.escape);
        let same = found.iter().map(|word| word.text.as_str()).eq(words.iter().map(String::as_str));
        match pairs {
            [pair] if !same || pair.key.contains('=') => {
                // An escape takes one blank for its own.
                let gap = if pair.key.ends_with(self.escape) { "  " } else { " " };
                format!("{}{gap}{}", pair.key, pair.value)
            }
            _ => text,
        }
    }

    fn run(&mut self, run: &Run) {
        let mut flags = Vec::new();
        flags.extend(run.mounts.iter().map(|mount| flag("mount", mount)));
        flags.extend(run.network.iter().map(|network| flag("network", network)));
        flags.extend(run.security.iter().map(|security| flag("security", security)));
        flags.extend(run.devices.iter().map(|device| flag("device", device)));
        self.line(&with_flags("RUN", &flags, &command(&run.command)));
        self.bodies(&run.heredocs);
    }

    fn transfer(&mut self, name: &str, transfer: &Transfer) {
        let mut words: Vec<String> = transfer.heredocs.iter().map(opening).collect();
        words.extend(transfer.sources.iter().cloned());
        words.push(transfer.dest.clone());
        let flags = transfer_flags(transfer);
        let line = with_flags(name, &flags, &words.join(" "));
        if transfer.heredocs.is_empty() && !is_plain(&line, &words) {
            self.line(&with_flags(name, &flags, &json(&words)));
        } else {
            self.line(&line);
        }
        self.bodies(&transfer.heredocs);
    }

    fn bodies(&mut self, heredocs: &[Heredoc]) {
        for heredoc in heredocs {
            self.out.push_str(&heredoc.body);
            self.out.push_str(&heredoc.name);
            self.out.push('\n');
        }
    }
}

fn from(from: &From) -> String {
    let flags: Vec<String> =
        from.platform.iter().map(|platform| flag("platform", platform)).collect();
    let name = from.name.as_ref().map(|name| format!(" AS {name}")).unwrap_or_default();
    with_flags("FROM", &flags, &format!("{}{name}", from.base))
}

/// Arguments that look like a flag need `--` before them.
fn with_flags(name: &str, flags: &[String], args: &str) -> String {
    let mut line = name.to_owned();
    for flag in flags {
        line.push(' ');
        line.push_str(flag);
    }
    if args.starts_with("--") {
        line.push_str(" --");
    }
    if !args.is_empty() {
        line.push(' ');
        line.push_str(args);
    }
    line
}

/// A flag's word, in quotes if there is a blank, because a blank at the end of a line is lost even
/// if it is escaped. The escape is always a backslash here.
fn flag(name: &str, value: &str) -> String {
    let quote = if value.contains(char::is_whitespace) { "\"" } else { "" };
    let mut word = format!("--{name}={quote}");
    for c in value.chars() {
        if matches!(c, '\'' | '"' | '\\') {
            word.push('\\');
        }
        word.push(c);
    }
    word + quote
}

fn join(words: impl Iterator<Item = String>) -> String {
    words.collect::<Vec<_>>().join(" ")
}

fn arg(arg: &Arg) -> String {
    match &arg.default {
        Some(default) => format!("{}={default}", arg.name),
        None => arg.name.clone(),
    }
}

fn command(line: &CommandLine) -> String {
    match line {
        CommandLine::Shell(text) => text.clone(),
        CommandLine::Exec(words) => json(words),
    }
}

fn json(words: &[String]) -> String {
    serde_json::Value::from(words.to_vec()).to_string()
}

fn healthcheck(check: &Healthcheck) -> String {
    let Healthcheck::Check {
        command: line,
        interval,
        timeout,
        start_period,
        start_interval,
        retries,
    } = check
    else {
        return "HEALTHCHECK NONE".into();
    };
    let durations = [
        ("interval", interval),
        ("timeout", timeout),
        ("start-period", start_period),
        ("start-interval", start_interval),
    ];
    let mut flags: Vec<String> = durations
        .into_iter()
        .filter_map(|(name, value)| Some(flag(name, &duration((*value)?))))
        .collect();
    flags.extend(retries.map(|number| flag("retries", &number.to_string())));
    with_flags("HEALTHCHECK", &flags, &format!("CMD {}", command(line)))
}

fn duration(value: Duration) -> String {
    let nanoseconds = value.as_nanos();
    for (scale, unit) in [(1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "us")] {
        if nanoseconds.is_multiple_of(scale) {
            return format!("{}{unit}", nanoseconds / scale);
        }
    }
    format!("{nanoseconds}ns")
}

fn transfer_flags(transfer: &Transfer) -> Vec<String> {
    let texts = [
        ("from", &transfer.from),
        ("chown", &transfer.chown),
        ("chmod", &transfer.chmod),
        ("checksum", &transfer.checksum),
    ];
    let switches = [
        ("link", transfer.link),
        ("parents", transfer.parents),
        ("keep-git-dir", transfer.keep_git_dir),
    ];
    let mut flags = Vec::new();
    flags.extend(texts.into_iter().filter_map(|(name, value)| Some(flag(name, value.as_ref()?))));
    flags.extend(switches.into_iter().filter(|(_, on)| *on).map(|(name, _)| format!("--{name}")));
    flags.extend(transfer.exclude.iter().map(|pattern| flag("exclude", pattern)));
    flags.extend(transfer.unpack.map(|on| format!("--unpack={on}")));
    flags
}

/// Whether the words can stand without JSON: cut at blanks they are the same, and none of them
/// starts a heredoc.
fn is_plain(line: &str, words: &[String]) -> bool {
    let text = words.join(" ");
    let found = words::plain(Part { text: text.trim(), start: 0 });
    found.iter().map(|word| word.text.as_str()).eq(words.iter().map(String::as_str))
        && words::json_array(&text) == Json::No
        && !text.contains(['\n', '\r'])
        && heredoc::openings(line).is_ok_and(|openings| openings.is_empty())
}

/// The word of COPY that opens a body.
fn opening(heredoc: &Heredoc) -> String {
    let mut word = String::new();
    if heredoc.descriptor != 0 {
        let _ = write!(word, "{}", heredoc.descriptor);
    }
    word.push_str(if heredoc.chomp { "<<-" } else { "<<" });
    for c in heredoc.name.chars() {
        if !c.is_alphanumeric() && c != '_' {
            word.push('\\');
        }
        word.push(c);
    }
    if !heredoc.expand {
        // Any quote will do.
        word.push_str("''");
    }
    word
}
