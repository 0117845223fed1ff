//! Findings as they come, less those that are switched off.

use super::Finding;
use super::rules::Rule;
use crate::dockerfile::{Checks, Dockerfile, Node, Span};

/// Where an instruction stands, and what the comments above it say about rules.
#[derive(Debug, Clone)]
pub(super) struct At {
    /// The whole instruction.
    pub span: Span,
    /// What counts here and nowhere else.
    pub checks: Checks,
}

impl At {
    pub fn node(node: &Node) -> Self {
        Self { span: node.span.clone(), checks: Checks::of_comments(&node.comments) }
    }

    pub fn from(dockerfile: &Dockerfile, stage: usize) -> Self {
        let stage = &dockerfile.stages[stage];
        Self { span: stage.node_span.clone(), checks: Checks::of_comments(&stage.comments) }
    }

    /// All instructions, in the order of the file.
    pub fn all(dockerfile: &Dockerfile) -> Vec<Self> {
        let mut all: Vec<Self> = dockerfile.global_args.iter().map(Self::node).collect();
        for (id, stage) in dockerfile.stages.iter().enumerate() {
            all.push(Self::from(dockerfile, id));
            all.extend(stage.nodes.iter().map(Self::node));
        }
        all
    }

    /// The one of them that holds a byte of the text, if one does.
    pub fn holding(all: &[Self], byte: usize) -> Option<&Self> {
        let after = all.partition_point(|at| at.span.start <= byte);
        after.checked_sub(1).and_then(|last| all.get(last)).filter(|at| byte <= at.span.end)
    }
}

/// What was found so far.
#[derive(Debug)]
pub(super) struct Notebook<'a> {
    text: &'a str,
    checks: &'a Checks,
    found: Vec<Finding>,
}

impl<'a> Notebook<'a> {
    pub fn new(text: &'a str, checks: &'a Checks) -> Self {
        Self { text, checks, found: Vec::new() }
    }

    /// Adds a finding about an instruction.
    pub fn note(&mut self, rule: &'static Rule, at: &At, message: String) {
        self.note_part(rule, at, message, at.span.clone());
    }

    /// Adds a finding about a part of an instruction.
    pub fn note_part(&mut self, rule: &'static Rule, at: &At, message: String, span: Span) {
        let off = if rule.experimental {
            !self.checks.tries(rule.name) && !at.checks.tries(rule.name)
        } else {
            self.checks.skips(rule.name) || at.checks.skips(rule.name)
        };
        let finding = Finding { rule, message, span, instruction: at.span.clone() };
        // A variable that an instruction names twice is one mistake.
        let mut here = self.found.iter().rev().take_while(|one| one.instruction == at.span);
        if !off && !here.any(|one| *one == finding) {
            self.found.push(finding);
        }
    }

    /// The place of a word in an instruction, or the instruction where it does not stand as it is.
    pub fn place(&self, at: &At, word: &str) -> Span {
        let whole = self.text.get(at.span.clone()).unwrap_or_default();
        let in_name = |c: char| c.is_alphanumeric() || c == '_';
        let stands_alone = |(start, found): &(usize, &str)| {
            let before = whole[..*start].chars().next_back();
            let after = whole[start + found.len()..].chars().next();
            let joins =
                |a: Option<char>, b: Option<char>| a.is_some_and(in_name) && b.is_some_and(in_name);
            !joins(before, found.chars().next()) && !joins(found.chars().next_back(), after)
        };
        match whole.match_indices(word).filter(|_| !word.is_empty()).find(stands_alone) {
            Some((start, _)) => at.span.start + start..at.span.start + start + word.len(),
            None => at.span.clone(),
        }
    }

    /// The place of a variable in an instruction.
    pub fn variable(&self, at: &At, name: &str) -> Span {
        let forms = [format!("${name}"), format!("${{{name}")];
        let places = forms.iter().map(|form| self.place(at, form));
        let first = places.filter(|place| *place != at.span).min_by_key(|place| place.start);
        first.unwrap_or_else(|| at.span.clone())
    }

    /// All findings, in the order of the file.
    pub fn finish(mut self) -> Vec<Finding> {
        self.found.sort_by_key(|finding| finding.span.start);
        self.found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_words_of_their_own() {
        let text = "ENV A_KEY=1 KEY=$KEYS${KEY:-x}$KEY";
        let checks = Checks::default();
        let notebook = Notebook::new(text, &checks);
        let at = At { span: 0..text.len(), checks: Checks::default() };
        let start = |span: Span| span.start;
        assert_eq!(start(notebook.place(&at, "KEY")), 12);
        assert_eq!(start(notebook.variable(&at, "KEY")), 21);
        assert_eq!(start(notebook.variable(&at, "KEYS")), 16);
        assert_eq!(notebook.variable(&at, "NONE"), at.span);
        let at = At { span: 21..30, checks: Checks::default() };
        assert_eq!(notebook.variable(&at, "KEY"), 21..26);
    }
}
