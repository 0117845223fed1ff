//! The arguments before the first FROM.

use std::collections::{BTreeMap, BTreeSet};

use crate::dockerfile::{Arg, Dockerfile, Instruction, Span, expand};
use crate::plan::Inputs;
use crate::plan::automatic;

/// What FROM sees.
#[derive(Debug)]
pub(super) struct Globals {
    /// Values, those of the platform arguments included.
    pub values: BTreeMap<String, String>,
    /// Each declared argument, where it was declared last.
    pub args: BTreeMap<String, Global>,
    /// Whether all defaults could be expanded.
    pub complete: bool,
}

/// One that was declared.
#[derive(Debug)]
pub(super) struct Global {
    /// The value, if it has one.
    pub value: Option<String>,
    /// The arguments in its default.
    pub uses: BTreeSet<String>,
    /// The ARG.
    pub span: Span,
    /// What its comment says.
    pub description: Option<String>,
}

impl Globals {
    /// With the build arguments that were given.
    pub fn given(dockerfile: &Dockerfile, inputs: &Inputs) -> Self {
        Self::read(dockerfile, inputs, &inputs.args)
    }

    /// As if no build argument had been given; but for those that stand for a platform, as BuildKit
    /// has it.
    pub fn defaults(dockerfile: &Dockerfile, inputs: &Inputs) -> Self {
        Self::read(dockerfile, inputs, &BTreeMap::new())
    }

    fn read(dockerfile: &Dockerfile, inputs: &Inputs, given: &BTreeMap<String, String>) -> Self {
        let target = inputs.target.clone().unwrap_or_else(|| "default".to_owned());
        let automatic = automatic(&inputs.platform, target).into_iter().map(|(name, value)| {
            let value = inputs.args.get(&name).cloned().unwrap_or(value);
            (name, value)
        });
        let (values, args) = (automatic.collect(), BTreeMap::new());
        let mut globals = Self { values, args, complete: true };
        for node in &dockerfile.global_args {
            let Instruction::Arg(args) = &node.instruction else { continue };
            for arg in args {
                let (value, uses) = globals.value(arg, given, dockerfile.directives.escape);
                if let Some(value) = &value {
                    globals.values.insert(arg.name.clone(), value.clone());
                }
                let doc = crate::dockerfile::tree::doc_comment(&node.comments, &arg.name);
                let description = doc.map(str::to_owned);
                let global = Global { value, uses, span: node.span.clone(), description };
                globals.args.insert(arg.name.clone(), global);
            }
        }
        globals
    }

    /// The value, and the names in its default.
    fn value(
        &mut self,
        arg: &Arg,
        given: &BTreeMap<String, String>,
        escape: char,
    ) -> (Option<String>, BTreeSet<String>) {
        if let Some(value) = given.get(&arg.name) {
            return (Some(value.clone()), BTreeSet::new());
        }
        let Some(default) = &arg.default else { return (None, BTreeSet::new()) };
        let Ok(expanded) = expand::word(default, escape, &self.values) else {
            self.complete = false;
            return (None, BTreeSet::new());
        };
        (Some(expanded.text), expanded.matched)
    }

    /// Names that FROM may use.
    pub fn names(&self) -> BTreeSet<&str> {
        self.values.keys().chain(self.args.keys()).map(String::as_str).collect()
    }
}
