//! What an image is like, in the words of a case file.

use serde_json::{Value, json};
use testkit::image::{CONFIG_FIELDS, Image};

use crate::format::Section;
use crate::listing::Listing;

/// What BuildKit writes into each entry of the history.
const COMMENT: &str = "buildkit.dockerfile.v0";

/// An image and how much of it is its base's.
#[derive(Debug)]
pub struct Built {
    pub image: Image,
    pub base: Base,
}

/// How much of an image is its base's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Base {
    pub diff_ids: Vec<String>,
    pub history: usize,
}

impl Base {
    /// All of an image.
    pub fn of(image: &Image) -> Self {
        let history = image.config["history"].as_array().map_or(0, Vec::len);
        Self { diff_ids: diff_ids(image), history }
    }
}

fn diff_ids(image: &Image) -> Vec<String> {
    let ids = image.config["rootfs"]["diff_ids"].as_array().cloned().unwrap_or_default();
    ids.iter().map(|id| id.as_str().unwrap_or_default().to_owned()).collect()
}

impl Built {
    /// An image that was made from one of these bases, or from nothing.
    pub fn new(image: Image, bases: &[Base]) -> Self {
        let ids = diff_ids(&image);
        let fits = |base: &&Base| ids.starts_with(&base.diff_ids);
        let base = bases.iter().filter(fits).max_by_key(|base| base.diff_ids.len());
        Self { base: base.cloned().unwrap_or_default(), image }
    }

    /// What a section of an expectation would have to be; nothing for other sections.
    pub fn shown(&self, section: &Section) -> Option<Vec<String>> {
        let whole = section.words.iter().any(|word| word == "whole");
        Some(match section.kind.as_str() {
            "tree" => self.tree(whole).expect("the layers can be read"),
            "config" => self.config(),
            "history" => self.history(),
            _ => return None,
        })
    }

    /// What the layers above the base do, or all layers.
    fn tree(&self, whole: bool) -> anyhow::Result<Vec<String>> {
        let first = if whole { 0 } else { self.base.diff_ids.len() };
        let mut listing = Listing::default();
        for layer in first..self.image.layers.len() {
            listing.add(self.image.layer(layer)?)?;
        }
        Ok(listing.lines())
    }

    /// The filled fields, but for the default PATH.
    fn config(&self) -> Vec<String> {
        let config = &self.image.config["config"];
        let mut lines = Vec::new();
        for field in CONFIG_FIELDS {
            let mut value = config[*field].clone();
            if let Some(env) = value.as_array_mut().filter(|_| *field == "Env") {
                env.retain(|pair| pair != &json!(format!("PATH={}", crate::common::built::PATH)));
            }
            if !is_empty(&value) {
                lines.push(format!("{field} {value}"));
            }
        }
        let author = &self.image.config["author"];
        if !is_empty(author) {
            lines.push(format!("author {author}"));
        }
        lines
    }

    /// The entries of the history above the base's; `- ` for those without a layer.
    fn history(&self) -> Vec<String> {
        let history = self.image.config["history"].as_array().cloned().unwrap_or_default();
        let line = |entry: &Value| {
            let mark = if entry["empty_layer"] == true { "-" } else { "+" };
            let text = entry["created_by"].as_str().unwrap_or_default().escape_debug().to_string();
            let text = text.replace("\\\"", "\"").replace("\\'", "'").replace("\\\\", "\\");
            let comment = if entry["comment"] == COMMENT { "" } else { " (no comment)" };
            format!("{mark} {text}{comment}")
        };
        history.iter().skip(self.base.history).map(line).collect()
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}
