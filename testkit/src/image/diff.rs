//! Differences for people to read.

use std::collections::BTreeSet;

use serde_json::Value;

use super::object::{Object, Objects};

/// The differences of two trees, a line each: `- path` is only in the left one, `+ path` only in
/// the right one, `~ path` differs. Modification times do not count.
pub fn diff_trees(left: &Objects, right: &Objects) -> Vec<String> {
    let paths: BTreeSet<_> = left.keys().chain(right.keys()).collect();
    let lines = paths.into_iter().filter_map(|path| match (left.get(path), right.get(path)) {
        (Some(object), None) => Some(format!("- /{path}: {object}")),
        (None, Some(object)) => Some(format!("+ /{path}: {object}")),
        (Some(left), Some(right)) => {
            let changes = diff_objects(left, right);
            (!changes.is_empty()).then(|| format!("~ /{path}: {}", changes.join(", ")))
        }
        (None, None) => None,
    });
    lines.collect()
}

fn diff_objects(left: &Object, right: &Object) -> Vec<String> {
    let (left, right) = (left.properties(), right.properties());
    let value = |properties: &[(String, String)], name: &str| {
        let found = properties.iter().find(|(key, _)| key == name);
        found.map_or("none".to_owned(), |(_, value)| value.clone())
    };
    let mut names: Vec<&str> = left.iter().map(|(name, _)| name.as_str()).collect();
    names.extend(right.iter().map(|(name, _)| name.as_str()).filter(|n| value(&left, n) == "none"));
    let changed = names.into_iter().filter_map(|name| {
        let (left, right) = (value(&left, name), value(&right, name));
        (left != right).then(|| format!("{name} {left} -> {right}"))
    });
    changed.collect()
}

/// The differences of two JSON values, a line each: `config.Env[1]: "A=1" -> "A=2"`.
pub fn diff_json(left: &Value, right: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    compare("", left, right, &mut lines);
    lines
}

fn compare(place: &str, left: &Value, right: &Value, lines: &mut Vec<String>) {
    match (left, right) {
        (Value::Object(a), Value::Object(b)) => {
            let keys: BTreeSet<_> = a.keys().chain(b.keys()).collect();
            for key in keys {
                let dot = if place.is_empty() { "" } else { "." };
                compare(&format!("{place}{dot}{key}"), &left[key], &right[key], lines);
            }
        }
        (Value::Array(a), Value::Array(b)) => {
            for index in 0..a.len().max(b.len()) {
                let item = |list: &[Value]| list.get(index).cloned().unwrap_or_default();
                compare(&format!("{place}[{index}]"), &item(a), &item(b), lines);
            }
        }
        _ if left == right => {}
        _ => lines.push(format!("{place}: {left} -> {right}")),
    }
}
