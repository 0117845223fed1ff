//! Finds the Dockerfile.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::{ContextError, in_context, open_root, read_text};

/// A Dockerfile as read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DockerfileText {
    /// Where it was found, as people would name it.
    pub path: PathBuf,
    /// The whole text.
    pub text: String,
}

/// The names that are tried where none is given.
const DEFAULTS: [&str; 2] = ["Dockerfile", "dockerfile"];

/// Reads the Dockerfile: `file` as it stands, which for a relative path means the working directory,
/// or else in the context; without `file`, `Dockerfile` or else `dockerfile` of the context.
pub fn read_dockerfile(
    context: &Path,
    file: Option<&Path>,
) -> Result<DockerfileText, ContextError> {
    let mut looked_for = Vec::new();
    if let Some(file) = file {
        if let Some(text) = on_this_machine(file)? {
            return text_of(file.to_owned(), text);
        }
        looked_for.push(file.to_owned());
        if file.is_absolute() {
            return Err(ContextError::NoDockerfile { looked_for });
        }
    }
    let names = match &file {
        Some(file) => vec![*file],
        None => DEFAULTS.map(Path::new).to_vec(),
    };
    let root = open_root(context)?;
    for name in names {
        let path = context.join(name);
        if let Some(text) = in_context(&root, name)? {
            return text_of(path, text);
        }
        if !looked_for.contains(&path) {
            looked_for.push(path);
        }
    }
    Err(ContextError::NoDockerfile { looked_for })
}

/// Reads this file as a Dockerfile. `path` is what messages call it.
///
/// # Errors
/// A file that is no text.
pub fn read_as_dockerfile(file: &Path, path: PathBuf) -> Result<DockerfileText, ContextError> {
    let open = File::open(file);
    let open = open.map_err(|source| ContextError::Unreadable { path: file.to_owned(), source })?;
    text_of(path, read_text(open, file)?)
}

/// The same for bytes that were read already.
///
/// # Errors
/// What is no text.
pub fn dockerfile_of(bytes: Vec<u8>, path: PathBuf) -> Result<DockerfileText, ContextError> {
    text_of(path, bytes)
}

/// May be a pipe: `-f <(generate)`.
fn on_this_machine(path: &Path) -> Result<Option<Vec<u8>>, ContextError> {
    match File::open(path) {
        Ok(file) => read_text(file, path).map(Some),
        Err(error)
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            Ok(None)
        }
        Err(source) => Err(ContextError::Unreadable { path: path.to_owned(), source }),
    }
}

/// Comments in another encoding, as old files have them, with what cannot be read replaced: BuildKit
/// takes them too. Not where a heredoc may be open: its lines with a # are text, and not kiln's to
/// change.
fn without_old_comments(text: Vec<u8>) -> Vec<u8> {
    if std::str::from_utf8(&text).is_ok() || text.windows(2).any(|pair| pair == b"<<") {
        return text;
    }
    let line = |line: &[u8]| match line.trim_ascii_start().starts_with(b"#") {
        true => String::from_utf8_lossy(line).into_owned().into_bytes(),
        false => line.to_owned(),
    };
    text.split_inclusive(|byte| *byte == b'\n').flat_map(line).collect()
}

pub(super) fn text_of(path: PathBuf, text: Vec<u8>) -> Result<DockerfileText, ContextError> {
    match String::from_utf8(without_old_comments(text)) {
        Ok(text) => Ok(DockerfileText { path, text }),
        Err(error) => Err(ContextError::NotText { path, offset: error.utf8_error().valid_up_to() }),
    }
}
