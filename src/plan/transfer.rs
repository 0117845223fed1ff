//! COPY and ADD: their words expanded, their sources found.

use super::files_from::files_from;
use super::remotes::Remotes;
use super::steps::Draft;
use super::text::{CopyText, absolute};
use super::{Action, CopySource, CopyStep, FilesFrom, Unpack};
use crate::dockerfile::{Heredoc, Located, Node, Transfer, expand};
use crate::remote;

/// The step and its history text.
pub(super) fn transfer(
    draft: &Draft<'_>,
    transfer: &Transfer,
    node: &Node,
    is_add: bool,
) -> Result<(Action, String), Located> {
    let optional =
        |word: &Option<String>| word.as_ref().map(|word| draft.word(word, node)).transpose();
    let (chown, chmod) = (optional(&transfer.chown)?, optional(&transfer.chmod)?);
    let sources = sources(draft, transfer, node, is_add)?;
    let dest = draft.word(&transfer.dest, node)?;
    let text = CopyText {
        instruction: if is_add { "ADD" } else { "COPY" },
        parents: transfer.parents,
        chown: chown.as_deref(),
        chmod: chmod.as_deref(),
        sources: &sources,
        dest: &dest,
    };
    let created_by = text.history();
    // As in BuildKit, a destination of no text is the working directory.
    let dest = if dest.is_empty() { "./" } else { &dest };
    let step = CopyStep {
        is_add,
        from: from(draft, transfer, node)?,
        sources,
        dest: absolute(&draft.workdir_now(), dest),
        chown,
        chmod,
        unpack: match (is_add, transfer.unpack) {
            (false, _) | (true, Some(false)) => Unpack::Never,
            (true, None) => Unpack::Local,
            (true, Some(true)) => Unpack::All,
        },
        // BuildKit copies the old way where there is a mode to set (convert_copy.go).
        link: transfer.link && transfer.chmod.is_none(),
        parents: transfer.parents,
        exclude: transfer.exclude.clone(),
    };
    Ok((Action::Copy(step), created_by))
}

fn sources(
    draft: &Draft<'_>,
    transfer: &Transfer,
    node: &Node,
    is_add: bool,
) -> Result<Vec<CopySource>, Located> {
    let words: Vec<String> =
        transfer.sources.iter().map(|word| draft.word(word, node)).collect::<Result<_, _>>()?;
    let remotes = Remotes::new(draft, transfer, node, is_add)?;
    remotes.check(&words)?;
    let paths = words.into_iter().map(|word| remotes.source(word));
    let inline = transfer.heredocs.iter().map(|heredoc| inline(draft, heredoc, node));
    paths.chain(inline).collect()
}

fn inline(draft: &Draft<'_>, heredoc: &Heredoc, node: &Node) -> Result<CopySource, Located> {
    let body = if heredoc.expand {
        let expanded = expand::heredoc(&heredoc.body, &draft.scope);
        let message = |error| format!("cannot expand the heredoc `{}`: {error}", heredoc.name);
        expanded.map_err(|error| draft.error(node, message(error)))?.text
    } else {
        heredoc.body.clone()
    };
    Ok(CopySource::Inline { name: heredoc.name.clone(), body })
}

fn from(draft: &Draft<'_>, transfer: &Transfer, node: &Node) -> Result<FilesFrom, Located> {
    match &transfer.from {
        Some(word) => named_in_from(draft, word, node),
        None => Ok(FilesFrom::Context),
    }
}

/// What a value of `--from` names.
pub(super) fn named_in_from(
    draft: &Draft<'_>,
    word: &str,
    node: &Node,
) -> Result<FilesFrom, Located> {
    let name = draft.graph.name_in_from(draft.id, &node.span, word);
    let from = files_from(draft.source, draft.inputs, draft.id, name, &node.span)?;
    let known = match &from {
        FilesFrom::Context | FilesFrom::Named(_) | FilesFrom::Nothing => true,
        FilesFrom::Stage(id) => draft.graph.bases.contains_key(id),
        FilesFrom::Image(key) => draft.graph.images.contains_key(key),
    };
    // A trigger that was not followed.
    if !known {
        return Err(draft
            .error(node, "takes files from a stage or image that this Dockerfile does not use"));
    }
    Ok(from)
}

impl CopySource {
    /// As history and logs show it.
    pub fn shown(&self) -> String {
        match self {
            Self::Path(path) => path.clone(),
            Self::Remote { written, .. } => remote::without_password(written),
            Self::Inline { name, .. } => format!("<<{name}"),
        }
    }
}
