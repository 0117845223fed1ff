//! What is legal but doubtful, seen without any value. Names and wording are those of BuildKit's
//! frontend/dockerfile/linter; the checks that need values are in `crate::lint`, which also knows
//! which of these are switched off.

use std::collections::BTreeSet;

use super::tree::{Statement, Tree};
use super::typed::Typed;
use super::{Arg, From, Instruction, Span, Warning};

/// Looks at a whole file, statement by statement.
#[derive(Debug, Default)]
pub(super) struct Linter<'a> {
    found: Vec<Warning>,
    /// The names of the stages so far.
    stages: BTreeSet<&'a str>,
}

impl<'a> Linter<'a> {
    /// The next statement.
    pub fn look(&mut self, statement: &'a Statement, typed: &'a Typed) {
        match typed {
            Typed::From(from) => self.from(statement, from),
            Typed::Instruction(instruction) => self.instruction(statement, instruction),
        }
    }

    /// All that was found, in the order of the file.
    pub fn finish(mut self, tree: &Tree) -> Vec<Warning> {
        self.casing(tree);
        self.found.extend(tree.warnings.iter().cloned());
        self.found.sort_by_key(|warning| warning.span.start);
        self.found
    }

    fn warn(&mut self, rule: &'static str, message: String, span: Span) {
        self.found.push(Warning { rule, message, span });
    }

    fn from(&mut self, statement: &'a Statement, from: &'a From) {
        let (Some(name), [_, keyword, written]) = (&from.name, statement.item.args.as_slice())
        else {
            return;
        };
        let place = statement.line.span(&written.at);
        if written.text != *name {
            let message = format!("Stage name '{}' should be lowercase", written.text);
            self.warn("StageNameCasing", message, place.clone());
        }
        let command = &statement.item.name.text;
        if Case::of(command).is_some_and(|case| !case.fits(&keyword.text)) {
            let message =
                format!("'{}' and '{command}' keywords' casing do not match", keyword.text);
            self.warn("FromAsCasing", message, statement.line.span(&keyword.at));
        }
        if matches!(name.as_str(), "context" | "scratch") {
            let message =
                format!("Stage name should not use the same name as reserved stage {name:?}");
            self.warn("ReservedStageName", message, place.clone());
        }
        if !self.stages.insert(name) {
            let message = format!("Duplicate stage name {name:?}, stage names should be unique");
            self.warn("DuplicateStageName", message, place);
        }
        self.description(statement, "FROM", &[name.as_str()]);
    }

    fn instruction(&mut self, statement: &'a Statement, instruction: &Instruction) {
        let span = statement.line.whole();
        let name = instruction.name();
        match instruction {
            Instruction::Maintainer(_) => {
                let message = "Maintainer instruction is deprecated in favor of using label";
                self.warn("MaintainerDeprecated", message.into(), span);
            }
            Instruction::Env(_) | Instruction::Label(_) if is_old_form(statement) => {
                let message = format!(
                    "\"{name} key=value\" should be used instead of legacy \"{name} key value\" \
                     format"
                );
                self.warn("LegacyKeyValueFormat", message, span);
            }
            Instruction::Arg(args) => {
                let names: Vec<&str> = args.iter().map(|Arg { name, .. }| name.as_str()).collect();
                self.description(statement, "ARG", &names);
            }
            _ => {}
        }
    }

    /// The comment right above a stage or argument is taken for its description, which begins with
    /// the name.
    fn description(&mut self, statement: &Statement, instruction: &str, names: &[&str]) {
        let Some(comment) = statement.comments.last().filter(|_| !statement.apart) else { return };
        let first = comment.split(' ').next().unwrap_or_default();
        if names.contains(&first) {
            return;
        }
        let example = match names {
            [name] => name,
            _ => "<arg_key>",
        };
        let message = format!(
            "Comment for {instruction} should follow the format: `# {example} <description>`"
        );
        self.warn("InvalidDefinitionDescription", message, statement.line.whole());
    }

    /// The names of the instructions, those before the first FROM aside, as BuildKit does.
    fn casing(&mut self, tree: &Tree) {
        let first = tree.statements.iter().position(|one| one.item.keyword() == "from");
        let statements = &tree.statements[first.unwrap_or(tree.statements.len())..];
        let cases = statements.iter().filter_map(|one| Case::of(&one.item.name.text));
        let (lower, upper): (Vec<Case>, Vec<Case>) = cases.partition(|case| *case == Case::Lower);
        let (majority, word) = if lower.len() > upper.len() {
            (Case::Lower, "lowercase")
        } else {
            (Case::Upper, "uppercase")
        };
        for one in statements {
            let rule = "ConsistentInstructionCasing";
            let name = &one.item.name;
            if !majority.fits(&name.text) {
                let message = format!(
                    "Command '{}' should match the case of the command majority ({word})",
                    name.text
                );
                self.warn(rule, message, one.line.span(&name.at));
            }
        }
    }
}

/// `ENV key value`: the separator of the first pair is empty.
fn is_old_form(statement: &Statement) -> bool {
    statement.item.args.get(2).is_some_and(|separator| separator.text.is_empty())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Case {
    Lower,
    Upper,
}

impl Case {
    /// `None` if the word mixes them.
    fn of(word: &str) -> Option<Self> {
        [Self::Lower, Self::Upper].into_iter().find(|case| case.fits(word))
    }

    fn fits(self, word: &str) -> bool {
        match self {
            Self::Lower => word.to_lowercase() == word,
            Self::Upper => word.to_uppercase() == word,
        }
    }
}
