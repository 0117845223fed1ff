//! One statement → one typed instruction, with BuildKit's checks and its wording.
//!
//! Source: BuildKit's frontend/dockerfile/instructions/parse.go.

pub(super) mod device;
pub(super) mod flags;
pub(super) mod healthcheck;
pub(super) mod mount;
mod mount_words;
mod pairs;
mod run;
mod stage;
mod transfer;

use flags::Flags;

use super::error::Fault;
use super::lines;
use super::suggest::did_you_mean;
use super::tree::{Item, RawHeredoc, Word};
use super::{CommandLine, From, Instruction, OnBuild};

/// All instructions, as messages name them.
const NAMES: [&str; 18] = [
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

/// What a statement is.
#[derive(Debug)]
pub(super) enum Typed {
    From(From),
    Instruction(Instruction),
}

/// A statement's parts, or those of the instruction within an ONBUILD.
#[derive(Debug, Clone, Copy)]
pub(super) struct Request<'a> {
    pub item: &'a Item,
    pub heredocs: &'a [RawHeredoc],
    /// The joined line.
    pub line: &'a str,
}

pub(super) fn instruction(request: Request<'_>) -> Result<Typed, Fault> {
    let item = request.item;
    Ok(Typed::Instruction(match item.keyword().as_str() {
        "from" => return stage::from(item).map(Typed::From),
        "arg" => Instruction::Arg(pairs::arg(item)?),
        "env" => Instruction::Env(pairs::env_or_label(item, "ENV")?),
        "label" => Instruction::Label(pairs::env_or_label(item, "LABEL")?),
        "run" => Instruction::Run(run::run(request)?),
        "cmd" => Instruction::Cmd(only_command(item)?),
        "entrypoint" => Instruction::Entrypoint(only_command(item)?),
        "copy" => Instruction::Copy(transfer::copy(request)?),
        "add" => Instruction::Add(transfer::add(request)?),
        "expose" => Instruction::Expose(texts(some_arguments(item, "EXPOSE")?)),
        "user" => Instruction::User(one_argument(item, "USER")?),
        "workdir" => Instruction::Workdir(one_argument(item, "WORKDIR")?),
        "volume" => Instruction::Volume(volume(item)?),
        "stopsignal" => Instruction::StopSignal(one_argument(item, "STOPSIGNAL")?),
        "shell" => Instruction::Shell(shell(item)?),
        "healthcheck" => Instruction::Healthcheck(healthcheck::healthcheck(item)?),
        "onbuild" => Instruction::OnBuild(onbuild(request)?),
        "maintainer" => Instruction::Maintainer(one_argument(item, "MAINTAINER")?),
        _ => return Err(unknown(&item.name)),
    }))
}

fn unknown(name: &Word) -> Fault {
    let suggestion = did_you_mean(&name.text, NAMES);
    let mut fault = Fault::new(format!("unknown instruction: {}{suggestion}", name.text));
    if suggestion.is_empty() {
        fault = fault.help("if it belongs to the line above, that line must end with the escape");
    }
    fault.at(&name.at)
}

fn texts(words: &[Word]) -> Vec<String> {
    words.iter().map(|word| word.text.clone()).collect()
}

/// The arguments of an instruction without flags that takes one or more.
fn some_arguments<'a>(item: &'a Item, name: &str) -> Result<&'a [Word], Fault> {
    Flags::none(item)?;
    if item.args.is_empty() {
        return Err(Fault::new(format!("{name} requires at least one argument")));
    }
    Ok(&item.args)
}

/// The argument of an instruction without flags that takes the rest of its line.
fn one_argument(item: &Item, name: &str) -> Result<String, Fault> {
    let [word] = item.args.as_slice() else {
        return Err(Fault::new(format!("{name} requires exactly one argument")));
    };
    Flags::none(item)?;
    Ok(word.text.clone())
}

/// Shell or exec form. Nothing at all is the empty line for the shell.
fn command(args: &[Word], json: bool) -> CommandLine {
    if json {
        return CommandLine::Exec(texts(args));
    }
    CommandLine::Shell(texts(args).join(" "))
}

fn only_command(item: &Item) -> Result<CommandLine, Fault> {
    Flags::none(item)?;
    Ok(command(&item.args, item.json))
}

fn volume(item: &Item) -> Result<Vec<String>, Fault> {
    let volume = |word: &Word| match word.text.trim() {
        "" => Err(Fault::new("VOLUME specified can not be an empty string").at(&word.at)),
        path => Ok(path.to_owned()),
    };
    some_arguments(item, "VOLUME")?.iter().map(volume).collect()
}

fn shell(item: &Item) -> Result<Vec<String>, Fault> {
    let args = some_arguments(item, "SHELL")?;
    if !item.json {
        return Err(Fault::new("SHELL requires the arguments to be in JSON form")
            .at(&args[0].at)
            .help("write SHELL [\"/bin/bash\", \"-c\"]"));
    }
    Ok(texts(args))
}

/// An instruction that cannot follow ONBUILD.
pub(super) fn refuse_trigger(keyword: &str) -> Result<(), Fault> {
    match keyword {
        "onbuild" => Err(Fault::new("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")),
        "from" | "maintainer" => {
            let name = keyword.to_uppercase();
            Err(Fault::new(format!("{name} isn't allowed as an ONBUILD trigger")))
        }
        _ => Ok(()),
    }
}

fn onbuild(request: Request<'_>) -> Result<OnBuild, Fault> {
    Flags::none(request.item)?;
    let Some(inner) = request.item.inner.as_deref() else {
        return Err(Fault::new("ONBUILD requires at least one argument"));
    };
    refuse_trigger(&inner.keyword()).map_err(|fault| fault.at(&inner.name.at))?;
    let mut text = request.line[inner.name.at.start..].trim_end().to_owned();
    // The text is read again with the default escape.
    text.push_str(lines::seal(&text, '\\'));
    for heredoc in request.heredocs {
        text.push('\n');
        text.push_str(&heredoc.content);
        text.push_str(&heredoc.opening.name);
    }
    match instruction(Request { item: inner, ..request })? {
        Typed::Instruction(instruction) => Ok(OnBuild { text, instruction: Box::new(instruction) }),
        Typed::From(_) => Err(Fault::new("FROM isn't allowed as an ONBUILD trigger")),
    }
}
