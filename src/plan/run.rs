//! RUN: the command, its environment, its heredocs.

use super::mounts;
use super::run_step::{NetworkMode, RunStep, StepMount};
use super::steps::Draft;
use super::text::{clean, command_args, run_history};
use super::{Action, Inputs};
use crate::dockerfile::{CommandLine, Located, Node, Run};

/// Where a heredoc that is a program of its own is.
const SCRIPTS: &str = "/dev/pipes/";

/// Arguments that mean something without being declared, in both spellings: programs do not agree
/// on one, so a RUN gets both, whichever was given.
pub(super) const PROXIES: &[[&str; 2]] = &[
    ["HTTP_PROXY", "http_proxy"],
    ["HTTPS_PROXY", "https_proxy"],
    ["FTP_PROXY", "ftp_proxy"],
    ["NO_PROXY", "no_proxy"],
    ["ALL_PROXY", "all_proxy"],
];

/// The step and its history text.
pub(super) fn run(draft: &Draft<'_>, run: &Run, node: &Node) -> Result<(Action, String), Located> {
    let (command, script) = command(draft, run, node)?;
    let args = command_args(&command, draft.config.config.shell.as_deref());
    let created_by = run_history(&args, &draft.scope);
    let mut mounts = mounts::mounts(draft, run, node)?;
    mounts.splice(0..0, script);
    let step = RunStep {
        args,
        env: draft.scope.environment(),
        proxies: proxies(draft.inputs),
        cwd: draft.workdir_now(),
        user: draft.config.config.user.clone(),
        network: run.network.as_deref().and_then(network),
        mounts,
    };
    Ok((Action::Run(step), created_by))
}

fn network(word: &str) -> Option<NetworkMode> {
    match word {
        "none" => Some(NetworkMode::None),
        "host" => Some(NetworkMode::Host),
        // As in BuildKit, `default` means what the build says.
        _ => None,
    }
}

/// The command, with its heredocs in the form in which it gets them:
/// - one that is the whole command is what the shell is told, so that shells which know no heredocs
///   can be told one;
/// - such a one with `#!` is a file that is run;
/// - all others the shell reads itself, as they are written.
fn command(
    draft: &Draft<'_>,
    run: &Run,
    node: &Node,
) -> Result<(CommandLine, Option<StepMount>), Located> {
    let CommandLine::Shell(line) = &run.command else { return Ok((run.command.clone(), None)) };
    if let Some(heredoc) = run.script() {
        let text = heredoc.chomped();
        if !text.starts_with("#!") {
            return Ok((CommandLine::Shell(text), None));
        }
        let target = clean(&format!("{SCRIPTS}{}", heredoc.name));
        if !target.starts_with(SCRIPTS) {
            let message = format!("the heredoc's name `{}` is no file name", heredoc.name);
            return Err(draft.error(node, message));
        }
        let script = StepMount::Script { target: target.clone(), text };
        return Ok((CommandLine::Shell(target), Some(script)));
    }
    let mut text = line.clone();
    for heredoc in &run.heredocs {
        text.push('\n');
        text.push_str(&heredoc.body);
        text.push_str(&heredoc.name);
    }
    Ok((CommandLine::Shell(text), None))
}

/// As in BuildKit, a proxy that is given for this build stands above the image's own, in whichever
/// spelling that has it.
fn proxies(inputs: &Inputs) -> Vec<(String, String)> {
    let mut given = Vec::new();
    for spellings in PROXIES {
        let value = spellings.iter().find_map(|name| inputs.args.get(*name));
        let Some(value) = value.filter(|value| !value.is_empty()) else { continue };
        given.extend(spellings.map(|name| (name.to_owned(), value.clone())));
    }
    given
}
