//! What is said of a Dockerfile without a build: findings, outlines, targets; for people and, with
//! BuildKit's names (frontend/subrequests), for programs.

use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::{clean, diagnostic};
use crate::dockerfile::{Located, line_of};
use crate::lint::Finding;
use crate::lint::outline::{Outline, OutlineMount};
use crate::lint::targets::Target;

/// The file that was looked at.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// As people would name it.
    pub path: &'a str,
    /// Its whole text; spans are ranges of it.
    pub text: &'a str,
}

/// Findings as people read them, each with its place, and how many they are.
pub fn findings(source: Source<'_>, findings: &[Finding], colour: bool) -> String {
    let mut page = String::new();
    for finding in findings {
        let url = finding.rule.url();
        let name = (finding.rule.name, url.as_deref());
        let place = (source.text, &finding.span);
        let path = source.path;
        page.push_str(&diagnostic::render_warning(name, &finding.message, path, place, colour));
        page.push('\n');
    }
    page
}

/// The last line of a check that came to its end.
pub fn conclusion(findings: usize) -> String {
    match findings {
        0 => "Check complete, no warnings found.\n".to_owned(),
        1 => "Check complete, 1 warning has been found!\n".to_owned(),
        some => format!("Check complete, {some} warnings have been found!\n"),
    }
}

/// The same for programs; with the error that a build would end with.
pub fn findings_json(
    source: Source<'_>,
    findings: &[Finding],
    error: Option<&anyhow::Error>,
) -> String {
    let warning = |finding: &Finding| {
        let mut object = Map::new();
        object.insert("ruleName".into(), finding.rule.name.into());
        object.insert("description".into(), finding.rule.description.into());
        object.extend(finding.rule.url().map(|url| ("url".to_owned(), url.into())));
        object.insert("detail".into(), finding.message.as_str().into());
        object.insert("location".into(), location(source, &finding.instruction));
        Value::Object(object)
    };
    let mut document = Map::new();
    document.insert("warnings".into(), findings.iter().map(warning).collect());
    document.insert(
        "sources".into(),
        json!([{
            "filename": source.path,
            "data": STANDARD.encode(source.text),
            "language": "Dockerfile",
        }]),
    );
    if let Some(error) = error {
        document.insert("buildError".into(), build_error(source, error));
    }
    pretty(document)
}

fn build_error(source: Source<'_>, error: &anyhow::Error) -> Value {
    let message = diagnostic::sentence(error.as_ref());
    let place = error.chain().find_map(|cause| cause.downcast_ref::<Located>());
    let location = place.map_or_else(|| json!({}), |at| location(source, &at.span));
    json!({ "message": message, "location": location })
}

/// What a target asks for, in tables.
pub fn outline(outline: &Outline) -> String {
    let name = outline.name.as_deref().unwrap_or("(default)");
    let mut head = vec![vec!["TARGET:".to_owned(), name.to_owned()]];
    head.extend(
        outline.description.iter().map(|text| vec!["DESCRIPTION:".to_owned(), text.clone()]),
    );
    let mut page = table(&head, 1);
    let or_nothing = |text: &Option<String>| text.clone().unwrap_or_default();
    let args = outline
        .args
        .iter()
        .map(|arg| vec![arg.name.clone(), or_nothing(&arg.value), or_nothing(&arg.description)]);
    section(&mut page, &["BUILD ARG", "VALUE", "DESCRIPTION"], args.collect());
    for (title, mounts) in [("SECRET", &outline.secrets), ("SSH", &outline.ssh)] {
        let required = |mount: &OutlineMount| if mount.required { "true" } else { "" }.to_owned();
        let rows = mounts.iter().map(|mount| vec![mount.name.clone(), required(mount)]);
        section(&mut page, &[title, "REQUIRED"], rows.collect());
    }
    page
}

/// The same for programs.
pub fn outline_json(source: Source<'_>, outline: &Outline) -> String {
    let mut document = Map::new();
    let named =
        |key: &str, value: &Option<String>| value.clone().map(|v| (key.to_owned(), v.into()));
    document.extend(named("name", &outline.name));
    document.extend(named("description", &outline.description));
    let args = outline.args.iter().map(|arg| {
        let mut object = Map::new();
        object.insert("name".into(), arg.name.as_str().into());
        object.extend(named("description", &arg.description));
        object.extend(named("value", &arg.value));
        object.insert("location".into(), location(source, &arg.span));
        Value::Object(object)
    });
    let mounts = |mounts: &[OutlineMount]| -> Vec<Value> {
        let mount = |mount: &OutlineMount| {
            let mut object = Map::new();
            object.insert("name".into(), mount.name.as_str().into());
            object.extend(mount.required.then(|| ("required".to_owned(), true.into())));
            object.insert("location".into(), location(source, &mount.span));
            Value::Object(object)
        };
        mounts.iter().map(mount).collect()
    };
    let lists = [
        ("args", args.collect()),
        ("secrets", mounts(&outline.secrets)),
        ("ssh", mounts(&outline.ssh)),
    ];
    for (key, list) in lists {
        if !list.is_empty() {
            document.insert(key.into(), Value::Array(list));
        }
    }
    document.insert("sources".into(), json!([STANDARD.encode(source.text)]));
    pretty(document)
}

/// The stages, in a table.
pub fn targets(targets: &[Target]) -> String {
    let mut rows = vec![vec!["TARGET".to_owned(), "DESCRIPTION".to_owned()]];
    rows.extend(targets.iter().map(|target| {
        let name = match (&target.name, target.default) {
            (Some(name), true) => format!("{name} (default)"),
            (Some(name), false) => name.clone(),
            (None, true) => "(default)".to_owned(),
            (None, false) => String::new(),
        };
        vec![name, target.description.clone().unwrap_or_default()]
    }));
    table(&rows, 1)
}

/// The same for programs.
pub fn targets_json(source: Source<'_>, targets: &[Target]) -> String {
    let target = |target: &Target| {
        let mut object = Map::new();
        let mut add = |key: &str, value: Option<Value>| {
            object.extend(value.map(|value| (key.to_owned(), value)));
        };
        add("name", target.name.as_deref().map(Value::from));
        add("default", target.default.then(|| true.into()));
        add("description", target.description.as_deref().map(Value::from));
        add("base", Some(target.base.as_str().into()));
        add("platform", target.platform.as_deref().map(Value::from));
        add("location", Some(location(source, &target.span)));
        Value::Object(object)
    };
    let mut document = Map::new();
    document.insert("targets".into(), targets.iter().map(target).collect());
    document.insert("sources".into(), json!([STANDARD.encode(source.text)]));
    pretty(document)
}

fn pretty(document: Map<String, Value>) -> String {
    format!("{:#}\n", Value::Object(document))
}

/// A range for each line, as BuildKit has it.
fn location(source: Source<'_>, span: &Range<usize>) -> Value {
    let last = span.end.saturating_sub(1).max(span.start);
    let lines = line_of(source.text, span.start)..=line_of(source.text, last);
    let ranges: Vec<Value> =
        lines.map(|line| json!({ "start": { "line": line }, "end": { "line": line } })).collect();
    json!({ "ranges": ranges })
}

/// A table with a line of titles and a blank line above it, if there is anything in it.
fn section(page: &mut String, titles: &[&str], rows: Vec<Vec<String>>) {
    if rows.is_empty() {
        return;
    }
    let titles = titles.iter().map(|title| (*title).to_owned()).collect();
    let all: Vec<Vec<String>> = std::iter::once(titles).chain(rows).collect();
    page.push('\n');
    page.push_str(&table(&all, 3));
}

/// Columns as wide as what is in them, and so many blanks between. Cells come from files: nothing of
/// them acts on a terminal.
fn table(rows: &[Vec<String>], gap: usize) -> String {
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|cell| clean::line(cell)).collect()).collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
    };
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or_default()).collect();
    let mut page = String::new();
    for row in &rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        let line = cells.collect::<Vec<_>>().join(&" ".repeat(gap));
        page.push_str(line.trim_end());
        page.push('\n');
    }
    page
}
