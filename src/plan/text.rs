//! Paths and texts: joining to the working directory, and history entries as BuildKit words them.

use super::scope::Scope;
use crate::dockerfile::CommandLine;

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
    let visible: Vec<String> =
        scope.visible_args().map(|(name, value)| format!("{name}={value}")).collect();
    let prefix = match visible.len() {
        0 => String::new(),
        count => format!("|{count} {} ", visible.join(" ")),
    };
    format!("RUN {prefix}{} # buildkit", args.join(" "))
}

/// `COPY --chown=1:1 a b / # buildkit`
pub(super) fn copy_history(
    is_add: bool,
    chown: Option<&str>,
    chmod: Option<&str>,
    sources: &[&str],
    dest: &str,
) -> String {
    let mut words = vec![if is_add { "ADD" } else { "COPY" }.to_owned()];
    words.extend(chown.map(|owner| format!("--chown={owner}")));
    words.extend(chmod.map(|mode| format!("--chmod={mode}")));
    words.extend(sources.iter().map(|&source| source.to_owned()));
    words.push(dest.to_owned());
    format!("{} # buildkit", words.join(" "))
}

/// `WORKDIR /app`
pub(super) fn workdir_history(path: &str) -> String {
    format!("WORKDIR {path}")
}

/// Go's `%q` of a list: `["a" "b"]`.
pub(super) fn quoted(words: &[String]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
    format!("[{}]", quoted.join(" "))
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
}
