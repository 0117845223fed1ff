use std::fmt::Write;

use super::*;
use crate::dockerfile::tree::{self, Item};

#[test]
fn syntax_trees() {
    let file = file("parser.json");
    for row in rows(&file, "testfiles") {
        let name = text(row, "name");
        let tree = tree::read(text(row, "dockerfile")).unwrap_or_else(|e| panic!("{name}: {e}"));
        let dump: String =
            tree.statements.iter().map(|one| format!("({})\n", dump(&one.item))).collect();
        assert_eq!(dump, text(row, "result"), "{name}");
    }
}

#[test]
fn texts_that_are_no_dockerfile() {
    let file = file("parser.json");
    for row in rows(&file, "testfiles_negative") {
        assert!(tree::read(text(row, "dockerfile")).is_err(), "{row}");
    }
}

/// BuildKit's s-expression of an instruction.
fn dump(item: &Item) -> String {
    let mut out = item.keyword();
    if !item.flags.is_empty() {
        let flags: Vec<String> = item.flags.iter().map(|flag| quote(&flag.text)).collect();
        let _ = write!(out, " [{}]", flags.join(" "));
    }
    for arg in &item.args {
        let _ = write!(out, " {}", quote(&arg.text));
    }
    if let Some(inner) = &item.inner {
        let _ = write!(out, " ({})", dump(inner));
    }
    out
}

/// Go's strconv.Quote, as far as the rows need it.
fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => {
                let _ = write!(out, "\\x{:02x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
