//! Two images held against each other.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};
use testkit::image::{CONFIG_FIELDS, Kind, Objects, diff_json, diff_trees};

use crate::builders::Built;

/// One thing in which two images differ.
#[derive(Debug)]
pub struct Difference {
    /// A path of the tree, or a field of the configuration such as `config.Env[1]`.
    pub subject: String,
    text: String,
}

impl Difference {
    pub fn new(subject: &str, text: impl Into<String>) -> Self {
        Self { subject: subject.to_owned(), text: text.into() }
    }

    /// Of a line of testkit's, which has its subject before a colon.
    fn of_line(line: &str) -> Self {
        let (subject, text) = line.split_once(": ").unwrap_or((line, ""));
        let mark = subject.get(..2).filter(|mark| ["+ ", "- ", "~ "].contains(mark));
        let place = subject.get(mark.map_or(0, str::len)..).unwrap_or_default();
        Self { subject: place.to_owned(), text: format!("{}{text}", mark.unwrap_or_default()) }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.subject, self.text)
    }
}

/// In what kiln's image differs from Docker's. What is younger than `start` was made by a command.
pub fn compare(docker: &Built, kiln: &Built, start: SystemTime) -> Vec<Difference> {
    let mut found: Vec<_> = diff_trees(&docker.tree, &kiln.tree)
        .iter()
        .chain(&diff_json(&settings(&docker.image.config), &settings(&kiln.image.config)))
        .map(|line| Difference::of_line(line))
        .collect();
    found.iter_mut().for_each(|difference| show_texts(difference, docker, kiln));
    found.extend(mtimes(&docker.tree, &kiln.tree, start));
    found
}

/// Adds what is in two short files that have different content.
fn show_texts(difference: &mut Difference, docker: &Built, kiln: &Built) {
    let path = difference.subject.trim_start_matches('/');
    for (who, built) in [("docker", docker), ("kiln", kiln)] {
        let is_short = |built: &Built| built.tree.get(path).is_some_and(|file| file.size < 1000);
        if difference.text.contains("content") && is_short(docker) && is_short(kiln) {
            let text = built.image.text(path).unwrap_or_default();
            difference.text += &format!("\n{who}: {text:?}");
        }
    }
}

/// Regular files that were copied have their times from where they were copied.
fn mtimes(docker: &Objects, kiln: &Objects, start: SystemTime) -> Vec<Difference> {
    let start = start.duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let start = i64::try_from(start).unwrap_or(i64::MAX);
    let files = docker.iter().filter(|(_, object)| object.kind == Kind::File);
    files
        .filter_map(|(path, docker)| Some((path, docker.mtime, kiln.get(path)?.mtime)))
        .filter(|(_, docker, kiln)| docker.min(kiln) < &start && docker != kiln)
        .map(|(path, docker, kiln)| {
            Difference::new(&format!("/{path}"), format!("mtime {docker} -> {kiln}"))
        })
        .collect()
}

/// The compared part of a configuration. What is empty is as good as not there.
fn settings(image: &Value) -> Value {
    let is_empty = |value: &Value| match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    };
    let fields =
        CONFIG_FIELDS.iter().map(|field| (format!("config.{field}"), &image["config"][*field]));
    let all = fields
        .chain(["author", "os", "architecture"].map(|field| (field.to_owned(), &image[field])));
    let filled = all.filter(|(_, value)| !is_empty(value));
    Value::Object(filled.map(|(field, value)| (field, value.clone())).collect::<Map<_, _>>())
}
