//! The rows of BuildKit's own tests, read from the folder that KILN_VECTORS names or from
//! `../shared/vectors` beside the package. Its README says what the rows mean.

mod expand;
mod instructions;
mod parser;
mod ports;

use std::path::{Path, PathBuf};

use serde_json::Value;

/// One file of rows.
fn file(name: &str) -> Value {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/vectors");
    let folder = std::env::var_os("KILN_VECTORS").map_or(beside, PathBuf::from);
    let path = folder.join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| {
        panic!(
            "the conformance rows are not at {} ({error}): set KILN_VECTORS to their folder",
            path.display()
        )
    });
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn rows<'a>(file: &'a Value, list: &str) -> &'a [Value] {
    let rows = file[list].as_array().map(Vec::as_slice).unwrap_or_default();
    assert!(!rows.is_empty(), "the list {list} has no rows");
    rows
}

fn text<'a>(row: &'a Value, key: &str) -> &'a str {
    row[key].as_str().unwrap_or_else(|| panic!("{key} is no text in {row}"))
}

fn texts(value: &Value) -> Vec<String> {
    let values = value.as_array().map(Vec::as_slice).unwrap_or_default();
    values.iter().map(|value| value.as_str().expect("a text").to_owned()).collect()
}

/// Checks an outcome against `error`, and gives it back if the row accepts the input.
fn judge<T: std::fmt::Debug>(row: &Value, outcome: Result<T, String>) -> Option<T> {
    let error = &row["error"];
    match (error["match"].as_str(), outcome) {
        (None, Ok(value)) => Some(value),
        (None, Err(message)) => panic!("refused with {message:?}: {row}"),
        (Some(_), Ok(value)) => panic!("accepted as {value:?}: {row}"),
        (Some("any"), Err(_)) => None,
        (Some("contains"), Err(message)) => {
            assert!(message.contains(text(error, "text")), "{message:?}: {row}");
            None
        }
        (Some(_), Err(message)) => {
            assert_eq!(message, text(error, "text"), "{row}");
            None
        }
    }
}
