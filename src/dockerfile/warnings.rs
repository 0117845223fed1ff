//! What is legal but doubtful, seen without any value. Names and wording are those of BuildKit's
//! frontend/dockerfile/linter; the checks that need values are not here.

use std::collections::BTreeMap;

use super::checks::Checks;
use super::tree::{Statement, Tree};
use super::typed::Typed;
use super::{CommandLine, From, Instruction, Span, Warning};

/// Looks at a whole file, statement by statement.
#[derive(Debug, Default)]
pub(super) struct Linter<'a> {
    found: Vec<Warning>,
    /// The stages so far, and whether each has a SHELL.
    stages: BTreeMap<&'a str, bool>,
    /// The stage at hand.
    stage: Option<&'a str>,
    /// Whether it has a SHELL, as far as this file shows.
    has_shell: bool,
    /// Its last CMD, ENTRYPOINT and HEALTHCHECK.
    last: BTreeMap<&'static str, &'a Statement>,
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

    fn warn(&mut self, at: &Statement, rule: &'static str, message: String, span: Span) {
        if !skipped(at, rule) {
            self.found.push(Warning { rule, message, span });
        }
    }

    fn from(&mut self, statement: &'a Statement, from: &'a From) {
        if let Some(name) = self.stage.take() {
            self.stages.insert(name, self.has_shell);
        }
        self.has_shell =
            self.stages.get(from.base.to_lowercase().as_str()).copied().unwrap_or_default();
        self.last.clear();
        let (Some(name), [_, keyword, written]) = (&from.name, statement.item.args.as_slice())
        else {
            return;
        };
        let place = statement.line.span(&written.at);
        if written.text != *name {
            let message = format!("Stage name '{}' should be lowercase", written.text);
            self.warn(statement, "StageNameCasing", message, place.clone());
        }
        let command = &statement.item.name.text;
        if Case::of(command).is_some_and(|case| !case.fits(&keyword.text)) {
            let message =
                format!("'{}' and '{command}' keywords' casing do not match", keyword.text);
            self.warn(statement, "FromAsCasing", message, statement.line.span(&keyword.at));
        }
        if matches!(name.as_str(), "context" | "scratch") {
            let message =
                format!("Stage name should not use the same name as reserved stage {name:?}");
            self.warn(statement, "ReservedStageName", message, place.clone());
        }
        if self.stages.contains_key(name.as_str()) {
            let message = format!("Duplicate stage name {name:?}, stage names should be unique");
            self.warn(statement, "DuplicateStageName", message, place);
        }
        self.stage = Some(name);
    }

    fn instruction(&mut self, statement: &'a Statement, instruction: &Instruction) {
        let span = statement.line.whole();
        let name = instruction.name();
        match instruction {
            Instruction::Maintainer(_) => {
                let message = "Maintainer instruction is deprecated in favor of using label";
                self.warn(statement, "MaintainerDeprecated", message.into(), span);
            }
            Instruction::Env(_) | Instruction::Label(_) if is_old_form(statement) => {
                let message = format!(
                    "\"{name} key=value\" should be used instead of legacy \"{name} key value\" \
                     format"
                );
                self.warn(statement, "LegacyKeyValueFormat", message, span);
            }
            Instruction::Shell(_) => self.has_shell = true,
            Instruction::Cmd(command) | Instruction::Entrypoint(command) => {
                if matches!(command, CommandLine::Shell(_)) && !self.has_shell {
                    let message = format!(
                        "JSON arguments recommended for {name} to prevent unintended behavior \
                         related to OS signals"
                    );
                    self.warn(statement, "JSONArgsRecommended", message, span);
                }
                self.used_once(name, statement);
            }
            Instruction::Healthcheck(_) => self.used_once(name, statement),
            _ => {}
        }
    }

    /// The earlier one is the one without effect, so that is where the warning stands.
    fn used_once(&mut self, name: &'static str, statement: &'a Statement) {
        if let Some(earlier) = self.last.insert(name, statement) {
            let message = format!(
                "Multiple {name} instructions should not be used in the same stage because only \
                 the last one will be used"
            );
            let rule = "MultipleInstructionsDisallowed";
            self.warn(earlier, rule, message, earlier.line.whole());
        }
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
                self.warn(one, rule, message, one.line.span(&name.at));
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

/// Whether a comment `# check=skip=RULE` above the instruction switches the rule off for it.
fn skipped(statement: &Statement, rule: &str) -> bool {
    let values = statement.comments.iter().filter_map(|comment| comment.strip_prefix("check="));
    values.map(Checks::parse).any(|checks| checks.skips(rule))
}
