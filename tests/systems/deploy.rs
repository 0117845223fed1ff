//! The files of deploy/. They are read as text: each list and value that a test wants stands in
//! them in YAML's plain form, an item a line.

use std::fs;
use std::path::Path;

/// A file of deploy/.
pub struct Deploy {
    text: String,
}

impl Deploy {
    pub fn read(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(name);
        Self { text: fs::read_to_string(path).unwrap() }
    }

    /// All of it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The items of the first list under this key.
    pub fn list(&self, key: &str) -> Vec<String> {
        let mut lines = self.text.lines();
        let name = format!("{key}:");
        let at = lines.by_ref().find(|line| line.trim() == name);
        let at = at.unwrap_or_else(|| panic!("there is no list `{key}`"));
        let depth = indentation(at);
        let inside = |line: &&str| {
            let is_item = line.trim_start().starts_with("- ");
            indentation(line) > depth || indentation(line) == depth && is_item
        };
        let lines = lines.take_while(inside).map(str::trim);
        let lines = lines.filter(|line| !line.starts_with('#'));
        let items: Vec<_> =
            lines.map(|line| unquoted(line.strip_prefix("- ").expect("an item"))).collect();
        assert!(!items.is_empty(), "the list `{key}` is empty");
        items
    }

    /// The value of the first line with this key.
    pub fn value(&self, key: &str) -> String {
        let name = format!("{key}: ");
        let mut lines = self.text.lines().map(|line| line.trim().trim_start_matches("- "));
        let line = lines.find_map(|line| line.strip_prefix(&name));
        unquoted(line.unwrap_or_else(|| panic!("there is no value `{key}`")))
    }

    /// The text that `>-` folds into one line, of the first line that ends with this.
    pub fn folded(&self, end: &str) -> String {
        let end = format!("{end} >-");
        let mut lines = self.text.lines();
        let at = lines.by_ref().find(|line| line.trim_end().ends_with(&end)).expect("folded text");
        let inside = lines.take_while(|line| indentation(line) > indentation(at));
        inside.map(str::trim).collect::<Vec<_>>().join(" ")
    }
}

fn indentation(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

fn unquoted(text: &str) -> String {
    let quoted = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    quoted.unwrap_or(text).to_owned()
}

#[test]
fn lists_values_and_folded_text_are_found() {
    let text =
        "a:\n  args:\n    # of a\n    - --one=1\n    - \"\"\n  run: >-\n    x\n    y\nb: \"2\"\n";
    let deploy = Deploy { text: text.to_owned() };
    assert_eq!(deploy.list("args"), ["--one=1", ""]);
    assert_eq!(deploy.value("b"), "2");
    assert_eq!(deploy.folded("run:"), "x y");
}
