//! `--help`, made of the tables.

use super::Tool;
use super::table::{Effect, Flag, Kind};

/// Columns of a line.
const WIDTH: usize = 80;
/// Where texts begin.
const INDENT: usize = 6;

pub(super) fn text(tool: Tool) -> String {
    let (does, example) = match tool {
        Tool::Executor => (
            "Build an image from a Dockerfile and push it, with kaniko's command line.",
            "executor --context $CI_PROJECT_DIR --destination registry.example/app:1",
        ),
        Tool::Warmer => (
            "Fetch base images for `executor --cache`, with kaniko's command line.",
            "warmer --cache-dir /cache --image debian:12",
        ),
    };
    let name = tool.name();
    let mut text = format!("{does}\n\nUsage: {name} [FLAGS]\n       {name} version\n\nFlags\n");
    for flag in tool.table().iter().copied().flatten() {
        text.push_str(&entry(flag));
    }
    text.push_str(&format!("\nExample\n  {example}\n"));
    text
}

fn entry(flag: &Flag) -> String {
    let short = flag.short.map(|letter| format!("-{letter}, ")).unwrap_or_default();
    let value = match flag.kind {
        Kind::Switch => String::new(),
        Kind::Word(_) => " WORD".to_owned(),
        Kind::Number => " N".to_owned(),
        Kind::Duration => " DURATION".to_owned(),
        Kind::Pairs => " NAME=VALUE".to_owned(),
        Kind::Text | Kind::List => " VALUE".to_owned(),
    };
    let default = match flag.default {
        "" | "false" => String::new(),
        default => format!(" [default: {default}]"),
    };
    let why = match flag.effect {
        Effect::Honoured => "",
        Effect::Nothing => "No effect: ",
    };
    let mut text = format!("  {short}--{}{value}{default}\n", flag.name);
    let words = match flag.kind {
        Kind::Word(words) => format!(" ({})", words.join(", ")),
        _ => String::new(),
    };
    for line in wrap(&format!("{why}{}{words}", flag.text)) {
        text.push_str(&format!("{:INDENT$}{line}\n", ""));
    }
    text
}

fn wrap(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.len() - 1;
        if !lines[last].is_empty() && INDENT + lines[last].len() + word.len() >= WIDTH {
            lines.push(word.to_owned());
            continue;
        }
        if !lines[last].is_empty() {
            lines[last].push(' ');
        }
        lines[last].push_str(word);
    }
    lines
}
