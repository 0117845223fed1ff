//! COPY and ADD.

use super::flags::{Kind, Spec};
use super::{Fault, Flags, Request, run};
use crate::dockerfile::tree::Word;
use crate::dockerfile::{Transfer, heredoc};

const COPY: [Spec; 6] = [
    ("from", Kind::Text),
    ("chown", Kind::Text),
    ("chmod", Kind::Text),
    ("link", Kind::Bool),
    ("parents", Kind::Bool),
    ("exclude", Kind::List),
];

const ADD: [Spec; 7] = [
    ("chown", Kind::Text),
    ("chmod", Kind::Text),
    ("link", Kind::Bool),
    ("exclude", Kind::List),
    ("checksum", Kind::Text),
    ("keep-git-dir", Kind::Bool),
    ("unpack", Kind::Bool),
];

pub(super) fn copy(request: Request<'_>) -> Result<Transfer, Fault> {
    transfer(request, "COPY", &COPY)
}

pub(super) fn add(request: Request<'_>) -> Result<Transfer, Fault> {
    transfer(request, "ADD", &ADD)
}

fn transfer(request: Request<'_>, name: &str, specs: &[Spec]) -> Result<Transfer, Fault> {
    let item = request.item;
    let Some((dest, words @ [_, ..])) = item.args.split_last() else {
        return Err(Fault::new(format!(
            "{name} requires at least two arguments, but only one was provided. Destination \
             could not be determined"
        )));
    };
    let flags = Flags::parse(specs, &item.flags)?;
    let mut transfer = Transfer {
        dest: dest.text.clone(),
        from: flags.text("from"),
        chown: flags.text("chown"),
        chmod: flags.text("chmod"),
        link: flags.bool("link").unwrap_or_default(),
        parents: flags.bool("parents").unwrap_or_default(),
        exclude: flags.texts("exclude"),
        checksum: flags.text("checksum"),
        keep_git_dir: flags.bool("keep-git-dir").unwrap_or_default(),
        unpack: flags.bool("unpack"),
        ..Transfer::default()
    };
    if item.json {
        transfer.sources = super::texts(words);
        return Ok(transfer);
    }
    if is_heredoc(dest) {
        let message = format!("{name} cannot accept a heredoc as a destination");
        return Err(Fault::new(message).at(&dest.at));
    }
    // The line was cut into words twice, and only the cut that found the heredocs knows quotes.
    // Where the two do not agree, BuildKit copies an empty file or a file named `<<'A`.
    let (opened, sources): (Vec<&Word>, Vec<&Word>) = words.iter().partition(|w| is_heredoc(w));
    if opened.len() != request.heredocs.len() {
        let word = opened.first().copied().unwrap_or(dest);
        return Err(Fault::new(format!("{name} has a heredoc whose body cannot be found"))
            .at(&word.at)
            .help("its name must have no blanks, and quotes in the line must come in pairs"));
    }
    transfer.sources = sources.into_iter().map(|word| word.text.clone()).collect();
    transfer.heredocs = request.heredocs.iter().map(run::heredoc).collect();
    Ok(transfer)
}

fn is_heredoc(word: &Word) -> bool {
    heredoc::opening(&word.text).is_ok_and(|opening| opening.is_some())
}
