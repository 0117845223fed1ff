//! A config.json that is no JSON: what is wrong with it, and how such files come about.

use serde_json::error::Category;

/// The advice that fits every file which a shell has put together.
const WRITE_WITH_JQ: &str = "`jq -n --arg` writes such a file from variables whatever they hold, and an `auth` of \
     `printf '%s:%s' \"$USER\" \"$PASSWORD\" | base64 -w0` needs no escapes";

/// What is wrong, with line and column, and the likely reason. Never a part of the text:
/// serde_json's words about types quote the value, which may be a password; those about syntax
/// quote nothing.
pub(super) fn describe(error: &serde_json::Error) -> String {
    let (line, column) = (error.line(), error.column());
    if error.classify() == Category::Data {
        return format!("a value is of the wrong type at line {line} column {column}");
    }
    let problem = error.to_string();
    match likely_reason(&problem) {
        Some(reason) => format!("it is not valid JSON: {problem}. {reason}"),
        None => format!("it is not valid JSON: {problem}"),
    }
}

/// serde_json has a type for its messages, but does not show it.
fn likely_reason(problem: &str) -> Option<String> {
    let starts = |texts: &[&str]| texts.iter().any(|text| problem.starts_with(text));
    let value = if starts(&["expected `,`", "expected `:`", "trailing characters"]) {
        "has a `\"` in it that ends it too early"
    } else if starts(&["invalid escape", "invalid unicode", "unexpected end of hex"]) {
        "has a `\\` in it"
    } else if starts(&["control character"]) {
        "has a line break or another control character in it"
    } else if starts(&["key must be a string"]) {
        return Some(
            "The quotes around the names are missing, or a comma is too much: a shell removes \
             each `\"` that no `\\` or single quote protects"
                .into(),
        );
    } else if starts(&["EOF"]) {
        return Some("It ends too early".into());
    } else {
        return None;
    };
    Some(format!("Perhaps a value, such as a password, {value}: {WRITE_WITH_JQ}"))
}
