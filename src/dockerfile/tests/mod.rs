mod errors;
mod instructions;
mod mounts;
mod round_trip;
mod warnings;

use super::*;

fn parsed(text: &str) -> Dockerfile {
    parse(text.as_bytes()).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The instruction after a FROM.
fn one(line: &str) -> Node {
    let mut file = parsed(&format!("FROM scratch\n{line}"));
    assert_eq!(file.stages[0].nodes.len(), 1, "{line}");
    file.stages[0].nodes.remove(0)
}

fn strings(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn shell(text: &str) -> CommandLine {
    CommandLine::Shell(text.to_owned())
}

fn exec(words: &[&str]) -> CommandLine {
    CommandLine::Exec(strings(words))
}
