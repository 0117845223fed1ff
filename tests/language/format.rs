//! What stands in a case file: sections, each with a line that begins with `===`.

use std::fs;
use std::path::{Path, PathBuf};

/// One case.
#[derive(Debug)]
pub struct Case {
    pub path: PathBuf,
    /// `feature/file`, without the ending.
    pub name: String,
    pub sections: Vec<Section>,
}

/// One section: `=== kind words`, and the lines below.
#[derive(Debug, Clone)]
pub struct Section {
    pub kind: String,
    /// What stands behind the kind, divided at blanks.
    pub words: Vec<String>,
    /// All lines with their ends.
    pub body: String,
}

/// What a section may be.
const KINDS: &[&str] = &[
    "Dockerfile",
    "context",
    "archive",
    "image",
    "args",
    "tree",
    "config",
    "history",
    "log",
    "error",
];

impl Case {
    /// Reads a file.
    pub fn read(path: &Path, feature: &str) -> Self {
        let text = fs::read_to_string(path).expect("a case");
        let stem = path.file_stem().expect("a name").to_string_lossy();
        let mut sections: Vec<Section> = Vec::new();
        for line in text.split_inclusive('\n') {
            if let Some(head) = line.strip_prefix("=== ") {
                let mut words = head.split_whitespace().map(str::to_owned);
                let kind = words.next().unwrap_or_default();
                assert!(KINDS.contains(&kind.as_str()), "{}: {line}", path.display());
                sections.push(Section { kind, words: words.collect(), body: String::new() });
            } else if let Some(section) = sections.last_mut() {
                section.body.push_str(line);
            }
        }
        let case = Self { path: path.to_owned(), name: format!("{feature}/{stem}"), sections };
        case.validate();
        case
    }

    /// The sections of a kind.
    pub fn all<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Section> {
        self.sections.iter().filter(move |section| section.kind == kind)
    }

    /// The section of a kind, if there is one.
    pub fn one(&self, kind: &str) -> Option<&Section> {
        self.sections.iter().find(|section| section.kind == kind)
    }

    /// Whether the build has to fail.
    pub fn fails(&self) -> bool {
        self.one("error").is_some()
    }

    /// A case that expects nothing could not fail.
    fn validate(&self) {
        let has = |kind: &str| self.one(kind).is_some_and(|section| !section.body.is_empty());
        let name = &self.name;
        assert!(has("Dockerfile"), "{name} has no Dockerfile");
        let outcomes = ["tree", "config", "history", "log"];
        let succeeds = outcomes.iter().any(|kind| self.one(kind).is_some());
        assert!(succeeds != self.fails(), "{name} needs either expectations or an error");
    }

    /// Writes the sections of an outcome anew; the words above the first section stay.
    pub fn rewrite(&self, new: impl Fn(&Section) -> Option<String>) {
        let text = fs::read_to_string(&self.path).expect("a case");
        let start = text.find("=== ").unwrap_or_default();
        let mut out = text[..start].to_owned();
        for section in &self.sections {
            let mut head = vec!["===".to_owned(), section.kind.clone()];
            head.extend(section.words.iter().cloned());
            out.push_str(&head.join(" "));
            out.push('\n');
            out.push_str(&new(section).unwrap_or_else(|| section.body.clone()));
        }
        fs::write(&self.path, out).expect("a case");
    }
}

impl Section {
    /// Its lines.
    pub fn lines(&self) -> Vec<String> {
        self.body.lines().map(str::to_owned).collect()
    }

    /// Its lines as bytes. With the word `escaped` they are one text with Rust's escapes, `\xff`
    /// for a byte among them, without the ends of its lines.
    pub fn bytes(&self) -> Vec<u8> {
        if !self.words.iter().any(|word| word == "escaped") {
            return self.body.clone().into_bytes();
        }
        let text: String = self.body.lines().collect();
        let mut bytes = Vec::new();
        let mut rest = text.chars();
        while let Some(c) = rest.next() {
            let escape = if c == '\\' { rest.next() } else { None };
            match escape {
                None => bytes.extend(c.to_string().bytes()),
                Some('n') => bytes.push(b'\n'),
                Some('r') => bytes.push(b'\r'),
                Some('t') => bytes.push(b'\t'),
                Some('x') => {
                    let hex: String = rest.by_ref().take(2).collect();
                    bytes.push(u8::from_str_radix(&hex, 16).expect("two digits"));
                }
                Some(other) => bytes.extend(other.to_string().bytes()),
            }
        }
        bytes
    }
}
