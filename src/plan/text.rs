//! Paths and texts: joining to the working directory, and history entries as BuildKit words them.

use super::CopySource;
use super::scope::Scope;
use crate::dockerfile::CommandLine;
use crate::image::config::HealthConfig;

/// A path as seen from `cwd`, with its trailing slash; `.` and `x/.` name a directory, so they
/// get one.
pub(super) fn absolute(cwd: &str, path: &str) -> String {
    let joined = if path.starts_with('/') { path.to_owned() } else { format!("{cwd}/{path}") };
    let is_dir = path == "." || path.ends_with('/') || path.ends_with("/.");
    let mut cleaned = clean(&joined);
    if is_dir && cleaned != "/" {
        cleaned.push('/');
    }
    cleaned
}

/// Without `.`, `..` and doubled slashes; `..` stops at the root.
pub(super) fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// What exec gets: the arguments, or the shell and the line.
pub(super) fn command_args(command: &CommandLine, shell: Option<&[String]>) -> Vec<String> {
    match command {
        CommandLine::Exec(args) => args.clone(),
        CommandLine::Shell(line) => {
            let mut args = match shell {
                Some(shell) if !shell.is_empty() => shell.to_vec(),
                _ => vec!["/bin/sh".to_owned(), "-c".to_owned()],
            };
            args.push(line.clone());
            args
        }
    }
}

/// `RUN |1 A=1 /bin/sh -c make # buildkit`
pub(super) fn run_history(args: &[String], scope: &Scope) -> String {
    let declared: Vec<String> =
        scope.declared_args().map(|(name, value)| format!("{name}={value}")).collect();
    let prefix = match declared.len() {
        0 => String::new(),
        count => format!("|{count} {} ", declared.join(" ")),
    };
    format!("RUN {prefix}{} # buildkit", args.join(" "))
}

/// The words of a COPY or an ADD that its history entry has, all expanded.
pub(super) struct CopyText<'a> {
    pub instruction: &'static str,
    pub parents: bool,
    pub chown: Option<&'a str>,
    pub chmod: Option<&'a str>,
    pub sources: &'a [CopySource],
    pub dest: &'a str,
}

impl CopyText<'_> {
    /// `COPY --chown=1:1 a b / # buildkit`
    pub(super) fn history(&self) -> String {
        let mut words = vec![self.instruction.to_owned()];
        words.extend(self.parents.then(|| "--parents".to_owned()));
        words.extend(self.chown.map(|owner| format!("--chown={owner}")));
        words.extend(self.chmod.map(|mode| format!("--chmod={mode}")));
        words.extend(self.sources.iter().map(CopySource::shown));
        words.push(self.dest.to_owned());
        format!("{} # buildkit", words.join(" "))
    }
}

/// `WORKDIR /app`
pub(super) fn workdir_history(path: &str) -> String {
    format!("WORKDIR {path}")
}

/// `HEALTHCHECK {Test:[CMD-SHELL true] Interval:30s …}`: Go's `%+v` of the image's settings.
pub(super) fn healthcheck_history(check: &HealthConfig) -> String {
    let [interval, timeout, start_period, start_interval] =
        [check.interval, check.timeout, check.start_period, check.start_interval].map(duration);
    format!(
        "HEALTHCHECK {{Test:[{}] Interval:{interval} Timeout:{timeout} StartPeriod:{start_period} \
         StartInterval:{start_interval} Retries:{}}}",
        check.test.join(" "),
        check.retries
    )
}

/// Nanoseconds as Go's time.Duration prints itself: `1h0m0.5s`, `20ms`, `0s`.
fn duration(nanos: u64) -> String {
    let (unit, name) = match nanos {
        0 => return "0s".into(),
        1..1_000 => return format!("{nanos}ns"),
        1_000..1_000_000 => (1_000, "µs"),
        1_000_000..1_000_000_000 => (1_000_000, "ms"),
        _ => (1_000_000_000, "s"),
    };
    let (whole, rest) = (nanos / unit, nanos % unit);
    let digits = unit.ilog10() as usize;
    let fraction = match rest {
        0 => String::new(),
        _ => format!(".{}", format!("{rest:0digits$}").trim_end_matches('0')),
    };
    let (hours, minutes) = (whole / 3600, whole / 60 % 60);
    match name {
        "s" if hours > 0 => format!("{hours}h{minutes}m{}{fraction}s", whole % 60),
        "s" if minutes > 0 => format!("{minutes}m{}{fraction}s", whole % 60),
        _ => format!("{whole}{fraction}{name}"),
    }
}

/// Go's `%q` of a list: `["a" "b"]`.
pub(super) fn quoted(words: &[String]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| quote(word)).collect();
    format!("[{}]", quoted.join(" "))
}

/// Go's `%q` of a text (strconv.Quote): what cannot be printed is escaped.
fn quote(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\x07' => quoted.push_str("\\a"),
            '\x08' => quoted.push_str("\\b"),
            '\x0b' => quoted.push_str("\\v"),
            '\x0c' => quoted.push_str("\\f"),
            '\0'..' ' | '\x7f' => quoted.push_str(&format!("\\x{:02x}", u32::from(c))),
            ' '..='~' => quoted.push(c),
            // Rust escapes what is no letter, sign or mark, and marks that would sit on the quote.
            _ if c.is_alphanumeric() || c.escape_debug().len() == 1 => quoted.push(c),
            _ if u32::from(c) <= 0xffff => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
            _ => quoted.push_str(&format!("\\U{:08x}", u32::from(c))),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_keep_what_names_a_directory() {
        for (cwd, path, expected) in [
            ("/", "a", "/a"),
            ("/app", ".", "/app/"),
            ("/app", "./", "/app/"),
            ("/app/", "x/../y/", "/app/y/"),
            ("/app", "../../..", "/"),
            ("/app", "/", "/"),
            ("/app", "sub/.", "/app/sub/"),
        ] {
            assert_eq!(absolute(cwd, path), expected, "{cwd} {path}");
        }
    }

    #[test]
    fn durations_as_go_prints_them() {
        for (nanos, text) in [
            (0, "0s"),
            (1, "1ns"),
            (1_100, "1.1µs"),
            (2_200_000, "2.2ms"),
            (20_000_000, "20ms"),
            (30_000_000_000, "30s"),
            (90_500_000_000, "1m30.5s"),
            (3_600_000_000_000, "1h0m0s"),
        ] {
            assert_eq!(duration(nanos), text);
        }
    }

    #[test]
    fn texts_as_go_quotes_them() {
        for (text, quoted) in [
            ("a \"b\" \\c", r#""a \"b\" \\c""#),
            ("\n\t\x07\x1b\x7f", r#""\n\t\a\x1b\x7f""#),
            ("it's ~", "\"it's ~\""),
            ("é 한 👽", "\"é 한 👽\""),
            ("\u{a0}\u{200b}\u{e000}", r#""\u00a0\u200b\ue000""#),
            ("\u{f0000}", r#""\U000f0000""#),
        ] {
            assert_eq!(quote(text), quoted);
        }
    }
}
