//! Parts of the language that kiln reads but cannot carry out yet. Each is an error at its place:
//! nothing in a Dockerfile is ever ignored without a word.

use super::graph::Source;
use crate::dockerfile::{Instruction, Located, Node, Run, Transfer};

/// Refuses an instruction that asks for more than kiln can do.
pub(super) fn check(source: &Source<'_>, node: &Node) -> Result<(), Located> {
    let feature = match &node.instruction {
        Instruction::Run(run) => run_feature(run),
        Instruction::Copy(transfer) | Instruction::Add(transfer) => transfer_feature(transfer),
        _ => None,
    };
    match feature {
        Some(feature) => Err(refuse(source, node, &feature)),
        None => Ok(()),
    }
}

/// Refuses sources of ADD that are no local files.
pub(super) fn check_sources(
    source: &Source<'_>,
    node: &Node,
    sources: &[String],
) -> Result<(), Located> {
    let remote = |word: &&String| {
        word.contains("://") || word.starts_with("git@") || word.starts_with("github.com/")
    };
    match sources.iter().find(remote) {
        Some(word) => {
            Err(refuse(source, node, &format!("ADD of a URL or git repository ({word})")))
        }
        None => Ok(()),
    }
}

fn refuse(source: &Source<'_>, node: &Node, feature: &str) -> Located {
    let message = format!("{feature} is not supported by this version of kiln");
    source.error(&node.span, message, None)
}

fn run_feature(run: &Run) -> Option<String> {
    if !run.mounts.is_empty() {
        return Some("RUN --mount".into());
    }
    if !run.devices.is_empty() {
        return Some("RUN --device".into());
    }
    if !run.heredocs.is_empty() {
        return Some("a here-document".into());
    }
    match (run.network.as_deref(), run.security.as_deref()) {
        (Some("host"), _) => Some("RUN --network=host".into()),
        (_, Some("insecure")) => Some("RUN --security=insecure".into()),
        _ => None,
    }
}

fn transfer_feature(transfer: &Transfer) -> Option<String> {
    let flags = [
        (transfer.checksum.is_some(), "--checksum"),
        (transfer.keep_git_dir, "--keep-git-dir"),
        (transfer.unpack == Some(true), "--unpack"),
    ];
    let (_, flag) = flags.iter().find(|(used, _)| *used)?;
    Some(format!("the flag {flag} of ADD"))
}
