//! One stage, instruction by instruction, as [`crate::plan`] carries it out, but nothing stops at a
//! mistake: what has no value here is left out.

use std::collections::{BTreeMap, BTreeSet};

use super::copy;
use super::expose;
use super::notebook::{At, Notebook};
use super::rules::{self, Rule};
use super::secrets;
use super::sketch::Sketch;
use crate::context::ignore::Ignore;
use crate::dockerfile::{
    Arg, CommandLine, Instruction, Node, Pair, Run, Span, Transfer, closest, expand, fields,
    parse_onbuild, tree,
};
use crate::image::ImageConfig;
use crate::image::config::DEFAULT_PATH;

/// ARGs that are settings of BuildKit's and never variables (dockerfile2llb/convert.go).
const NO_VARIABLES: [&str; 2] = ["BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"];

/// What one instruction sees of those before it.
#[derive(Debug, Clone, Default)]
pub(super) struct State {
    /// ENV, and ARG with a value.
    variables: BTreeMap<String, String>,
    /// ARGs, with a value or without.
    args: BTreeSet<String>,
    /// Whether the base image's variables are among them.
    complete: bool,
    /// Whether a WORKDIR of this file stands before.
    has_workdir: bool,
    /// Whether a SHELL does, or the base image has one.
    has_shell: bool,
}

/// What a stage asks its caller for.
#[derive(Debug, Clone, Default)]
pub(super) struct Asked {
    /// ARGs with what is known of them, in order; a later one of the same name counts.
    pub args: Vec<AskedArg>,
    /// Secrets by their ids.
    pub secrets: BTreeMap<String, AskedMount>,
    /// SSH agents by their ids.
    pub ssh: BTreeMap<String, AskedMount>,
}

/// One ARG of a stage.
#[derive(Debug, Clone)]
pub(super) struct AskedArg {
    pub name: String,
    /// The value, if it has one.
    pub value: Option<String>,
    /// Whether the value is that of the argument before the first FROM.
    pub global: bool,
    /// The ARG.
    pub span: Span,
    /// What its comment says.
    pub description: Option<String>,
}

/// One secret or SSH agent.
#[derive(Debug, Clone)]
pub(super) struct AskedMount {
    /// Whether there is no build without it.
    pub required: bool,
    /// The first RUN that wants it.
    pub span: Span,
}

/// A stage that has been walked through.
#[derive(Debug, Clone)]
pub(super) struct Walked {
    pub state: State,
    /// Its ONBUILDs.
    pub on_build: Vec<String>,
    pub asked: Asked,
}

impl State {
    /// That of an image with this config; without one, of an image of which nothing is known.
    pub fn of_image(config: Option<&ImageConfig>) -> Self {
        let mut state = Self { complete: config.is_some(), ..Self::default() };
        state.variables.insert("PATH".to_owned(), DEFAULT_PATH.to_owned());
        let Some(config) = config else { return state };
        for pair in &config.config.env {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            state.variables.insert(name.to_owned(), value.to_owned());
        }
        state.has_shell = config.config.shell.as_ref().is_some_and(|shell| !shell.is_empty());
        state
    }

    /// That of `FROM scratch`.
    pub fn scratch() -> Self {
        Self { complete: true, ..Self::of_image(None) }
    }
}

/// Walks through a stage.
pub(super) struct Walk<'a, 'n> {
    sketch: &'a Sketch<'a>,
    ignore: Option<&'a Ignore>,
    notebook: &'a mut Notebook<'n>,
    state: State,
    asked: Asked,
    on_build: Vec<String>,
    /// The last CMD, ENTRYPOINT and HEALTHCHECK of this stage.
    last: BTreeMap<&'static str, At>,
}

impl<'a, 'n> Walk<'a, 'n> {
    pub fn new(
        sketch: &'a Sketch<'a>,
        ignore: Option<&'a Ignore>,
        notebook: &'a mut Notebook<'n>,
        state: State,
    ) -> Self {
        let (asked, on_build, last) = (Asked::default(), Vec::new(), BTreeMap::new());
        Self { sketch, ignore, notebook, state, asked, on_build, last }
    }

    /// The whole stage, what its base left for it first.
    pub fn stage(mut self, id: usize, triggers: &[String]) -> Walked {
        let at = At::from(self.sketch.dockerfile, id);
        for node in triggers.iter().filter_map(|text| parse_onbuild(text).ok()) {
            self.instruction(&Node { span: at.span.clone(), ..node });
        }
        for node in &self.sketch.dockerfile.stages[id].nodes {
            self.instruction(node);
        }
        Walked { state: self.state, on_build: self.on_build, asked: self.asked }
    }

    fn instruction(&mut self, node: &Node) {
        let at = At::node(node);
        match &node.instruction {
            Instruction::Arg(args) => {
                args.iter().for_each(|arg| self.arg(arg, node, &at));
            }
            Instruction::Env(pairs) => self.env(pairs, &at),
            Instruction::Label(pairs) => {
                self.pairs(pairs, &at);
            }
            Instruction::Run(run) => self.run(run, &at),
            Instruction::Cmd(command) | Instruction::Entrypoint(command) => {
                self.once(node.instruction.name(), &at);
                self.for_the_shell(node.instruction.name(), command, &at);
            }
            Instruction::Healthcheck(_) => self.once(node.instruction.name(), &at),
            Instruction::Copy(transfer) => self.transfer(transfer, "Copy", &at),
            Instruction::Add(transfer) => self.transfer(transfer, "Add", &at),
            Instruction::Expose(words) => self.expose(words, &at),
            Instruction::User(word) | Instruction::StopSignal(word) => {
                self.word(word, &at);
            }
            Instruction::Workdir(word) => self.workdir(word, &at),
            Instruction::Volume(words) => words.iter().for_each(|word| {
                self.word(word, &at);
            }),
            Instruction::Shell(words) => self.state.has_shell = !words.is_empty(),
            Instruction::OnBuild(trigger) => self.on_build.push(trigger.text.clone()),
            Instruction::Maintainer(_) => {}
        }
    }

    /// Expands a word and says which of its variables nobody has set. Nothing if the result is not
    /// known: the word is wrong, or the base image may have set them.
    fn word(&mut self, word: &str, at: &At) -> Option<String> {
        let escape = self.sketch.dockerfile.directives.escape;
        let expanded = expand::word(word, escape, &self.state.variables).ok()?;
        let certain = self.unmatched(&expanded.unmatched, at);
        certain.then_some(expanded.text)
    }

    /// Whether it is certain that these are not set.
    fn unmatched(&mut self, names: &BTreeSet<String>, at: &At) -> bool {
        let unknown: Vec<&String> =
            names.iter().filter(|n| !self.state.args.contains(*n)).collect();
        if !self.state.complete && !unknown.is_empty() {
            return false;
        }
        for name in unknown.into_iter().filter(|name| !NO_VARIABLES.contains(&name.as_str())) {
            let mut message = format!("Usage of undefined variable '${name}'");
            // BuildKit thinks of variables that have a value only.
            let known = self.state.variables.keys().chain(&self.state.args).map(String::as_str);
            let known: BTreeSet<&str> = known.collect();
            if let Some(meant) = closest(name, known) {
                message.push_str(&format!(" (did you mean ${meant}?)"));
            }
            let span = self.notebook.variable(at, name);
            self.notebook.note_part(&rules::UNDEFINED_VAR, at, message, span);
        }
        true
    }

    fn arg(&mut self, arg: &Arg, node: &Node, at: &At) {
        self.no_secret("ARG", &arg.name, at);
        let given = self.sketch.inputs.args.get(&arg.name);
        let global = self.sketch.globals.values.get(&arg.name);
        let inherits = given.is_none() && arg.default.is_none() && global.is_some();
        let value = match (given, &arg.default) {
            (Some(value), _) => Some(value.clone()),
            (None, Some(default)) => self.word(default, at),
            (None, None) => global.cloned(),
        };
        if let Some(value) = &value
            && !NO_VARIABLES.contains(&arg.name.as_str())
        {
            self.state.variables.insert(arg.name.clone(), value.clone());
        }
        self.state.args.insert(arg.name.clone());
        self.asked.args.push(AskedArg {
            name: arg.name.clone(),
            value,
            global: inherits,
            span: at.span.clone(),
            description: tree::doc_comment(&node.comments, &arg.name).map(str::to_owned),
        });
    }

    /// All values see the variables from before the instruction.
    fn env(&mut self, pairs: &[Pair], at: &At) {
        for (name, value) in self.pairs(pairs, at) {
            self.no_secret("ENV", &name, at);
            // A value that is not known is still one.
            self.state.variables.insert(name, value.unwrap_or_default());
        }
    }

    fn pairs(&mut self, pairs: &[Pair], at: &At) -> Vec<(String, Option<String>)> {
        let mut expanded = Vec::new();
        for pair in pairs {
            let (name, value) = (self.word(&pair.key, at), self.word(&pair.value, at));
            expanded.extend(name.map(|name| (name, value)));
        }
        expanded
    }

    fn no_secret(&mut self, instruction: &str, name: &str, at: &At) {
        if secrets::is_like_a_secret(name) {
            let message = format!(
                "Do not use ARG or ENV instructions for sensitive data ({instruction} {name:?})"
            );
            let span = self.notebook.place(at, name);
            self.notebook.note_part(&rules::SECRETS_USED_IN_ARG_OR_ENV, at, message, span);
        }
    }

    /// The earlier one is the one without effect, so that is where the finding stands.
    fn once(&mut self, name: &'static str, at: &At) {
        if let Some(earlier) = self.last.insert(name, at.clone()) {
            let message = format!(
                "Multiple {name} instructions should not be used in the same stage because only \
                 the last one will be used"
            );
            self.notebook.note(&rules::MULTIPLE_INSTRUCTIONS_DISALLOWED, &earlier, message);
        }
    }

    fn for_the_shell(&mut self, name: &str, command: &CommandLine, at: &At) {
        if matches!(command, CommandLine::Shell(_)) && !self.state.has_shell {
            let message = format!(
                "JSON arguments recommended for {name} to prevent unintended behavior related to \
                 OS signals"
            );
            self.notebook.note(&rules::JSON_ARGS_RECOMMENDED, at, message);
        }
    }

    fn workdir(&mut self, word: &str, at: &At) {
        let path = self.word(word, at);
        let relative = path.filter(|path| !path.starts_with('/') && !self.state.has_workdir);
        if let Some(path) = relative {
            let message = format!(
                "Relative workdir {path:?} can have unexpected results if the base image changes"
            );
            let span = self.notebook.place(at, word);
            self.notebook.note_part(&rules::WORKDIR_RELATIVE_PATH, at, message, span);
        }
        self.state.has_workdir = true;
    }

    fn transfer(&mut self, transfer: &Transfer, verb: &str, at: &At) {
        let options = [&transfer.chown, &transfer.chmod, &transfer.checksum];
        for word in options.into_iter().flatten().chain([&transfer.dest]) {
            self.word(word, at);
        }
        let ignore = self.ignore.filter(|_| transfer.from.is_none());
        for word in &transfer.sources {
            let Some(source) = self.word(word, at) else { continue };
            let Some(ignored) = ignore.and_then(|ignore| copy::ignored(ignore, &source)) else {
                continue;
            };
            let message =
                format!("Attempting to {verb} file {ignored:?} that is excluded by .dockerignore");
            let span = self.notebook.place(at, word);
            self.notebook.note_part(&rules::COPY_IGNORED_FILE, at, message, span);
        }
        for body in transfer.heredocs.iter().filter(|heredoc| heredoc.expand) {
            if let Ok(expanded) = expand::heredoc(&body.body, &self.state.variables) {
                self.unmatched(&expanded.unmatched, at);
            }
        }
    }

    fn expose(&mut self, words: &[String], at: &At) {
        let escape = self.sketch.dockerfile.directives.escape;
        let mut ports: Vec<String> = Vec::new();
        for word in words {
            // BuildKit asks nobody whether these are set.
            ports.extend(expand::words(word, escape, &self.state.variables).unwrap_or_default());
        }
        let mut note = |rule: &'static Rule, port: &str, message: String| {
            let span = self.notebook.place(at, port);
            self.notebook.note_part(rule, at, message, span);
        };
        for port in &ports {
            if expose::has_capitals(port) {
                let message =
                    format!("Defined protocol '{port}' in EXPOSE instruction should be lowercase");
                note(&rules::EXPOSE_PROTO_CASING, port, message);
            }
            if expose::names_the_host(port) {
                let message = format!(
                    "EXPOSE instruction should not define an IP address or host-port mapping, \
                     found '{port}'"
                );
                note(&rules::EXPOSE_INVALID_FORMAT, port, message);
            }
        }
    }

    fn run(&mut self, run: &Run, at: &At) {
        for mount in &run.mounts {
            let mut found = BTreeMap::new();
            for field in fields::split(mount).unwrap_or_default() {
                let (key, value) = field.split_once('=').unwrap_or((&field, ""));
                let key = key.to_lowercase();
                // The one that is no word: a variable in it is an error.
                let value = match key.as_str() {
                    "from" => value.to_owned(),
                    _ => self.word(value, at).unwrap_or_else(|| value.to_owned()),
                };
                found.insert(key, value);
            }
            self.mount(&found, at);
        }
    }

    /// Remembers what a mount asks for.
    fn mount(&mut self, fields: &BTreeMap<String, String>, at: &At) {
        let field = |names: &[&str]| names.iter().find_map(|name| fields.get(*name)).cloned();
        let required =
            field(&["required"]).is_some_and(|value| value.is_empty() || value == "true");
        let mount = AskedMount { required, span: at.span.clone() };
        match field(&["type"]).as_deref() {
            Some("secret") => {
                let target = field(&["target", "dst", "destination"]);
                let base = target.and_then(|path| path.rsplit('/').next().map(str::to_owned));
                if let Some(id) = field(&["source", "src", "id"]).or(base) {
                    self.asked.secrets.entry(id).or_insert(mount);
                }
            }
            Some("ssh") => {
                let id = field(&["id"]).unwrap_or_else(|| "default".to_owned());
                self.asked.ssh.entry(id).or_insert(mount);
            }
            _ => {}
        }
    }
}
