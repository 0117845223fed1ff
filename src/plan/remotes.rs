//! Sources of ADD that are elsewhere: addresses of files, git repositories.
//!
//! Source: BuildKit's dockerfile2llb/convert_copy.go, whose messages are kept.

use std::collections::BTreeSet;

use super::steps::Draft;
use super::{Action, Base, CopySource, FilesFrom, Plan};
use crate::digest::Digest;
use crate::dockerfile::{Located, Node, Transfer};
use crate::remote::git::{self, GitReference};
use crate::remote::{Source, file_name, is_http};

/// What an instruction says of such sources.
pub(super) struct Remotes<'a, 'd> {
    draft: &'a Draft<'d>,
    node: &'a Node,
    is_add: bool,
    keep_git_dir: bool,
    checksum: Option<String>,
}

impl<'a, 'd> Remotes<'a, 'd> {
    pub(super) fn new(
        draft: &'a Draft<'d>,
        transfer: &Transfer,
        node: &'a Node,
        is_add: bool,
    ) -> Result<Self, Located> {
        let checksum = transfer.checksum.as_ref().map(|word| draft.word(word, node)).transpose()?;
        let checksum = checksum.filter(|checksum| !checksum.is_empty());
        Ok(Self { draft, node, is_add, keep_git_dir: transfer.keep_git_dir, checksum })
    }

    /// A checksum is one thing's, and of something that is fetched.
    pub(super) fn check(&self, words: &[String]) -> Result<(), Located> {
        if self.checksum.is_none() {
            return Ok(());
        }
        let [word] = words else {
            return Err(self.error("checksum can't be specified for multiple sources"));
        };
        if is_http(word) || git::parse(word).is_some() {
            return Ok(());
        }
        Err(self.error("checksum requires HTTP(S) or Git sources"))
    }

    /// What a word means.
    pub(super) fn source(&self, word: String) -> Result<CopySource, Located> {
        let reference = match git::parse(&word) {
            Some(Ok(reference)) if reference.looks_local => None,
            Some(found) => Some(found.map_err(|error| self.error(error.to_string()))?),
            None => None,
        };
        let source = match reference {
            Some(_) if !self.is_add => {
                return Err(self.error("source can't be a git ref for COPY"));
            }
            Some(reference) => self.repository(reference)?,
            None if !is_http(&word) => return Ok(CopySource::Path(word)),
            None if !self.is_add => return Err(self.error("source can't be a URL for COPY")),
            None => self.file(&word)?,
        };
        Ok(CopySource::Remote { written: word, source })
    }

    fn repository(&self, mut reference: GitReference) -> Result<Source, Located> {
        if self.keep_git_dir && reference.keep_git_dir == Some(false) {
            return Err(self.error("inconsistent keep-git-dir configuration"));
        }
        if let Some(given) = &self.checksum {
            match &reference.checksum {
                Some(own) if own != given => {
                    return Err(self.error(format!("checksum mismatch {given:?} != {own:?}")));
                }
                _ => reference.checksum = Some(given.clone()),
            }
        }
        Ok(Source::repository(reference, self.keep_git_dir))
    }

    fn file(&self, address: &str) -> Result<Source, Located> {
        let digest = |text: &String| {
            text.parse::<Digest>().map_err(|error| {
                self.error(format!("--checksum={text} is no checksum of a file: {error}"))
            })
        };
        let checksum = self.checksum.as_ref().map(digest).transpose()?;
        Ok(Source::File { address: address.to_owned(), name: file_name(address), checksum })
    }

    fn error(&self, message: impl Into<String>) -> Located {
        self.draft.error(self.node, message)
    }
}

impl Plan {
    /// What the plan fetches, each once, in the order of the file.
    pub fn remotes(&self) -> Vec<&Source> {
        let mut all: Vec<&Source> = Vec::new();
        let steps = self.stages.iter().flat_map(|stage| &stage.steps);
        for step in steps {
            let Action::Copy(copy) = &step.action else { continue };
            for source in &copy.sources {
                if let CopySource::Remote { source, .. } = source
                    && !all.contains(&source)
                {
                    all.push(source);
                }
            }
        }
        all
    }

    /// The named contexts that are no images and that the plan uses.
    pub fn named_contexts(&self) -> BTreeSet<&str> {
        let mut names = BTreeSet::new();
        for stage in &self.stages {
            if let Base::Named(name) = &stage.base {
                names.insert(name.as_str());
            }
            let froms = stage.steps.iter().flat_map(|step| match &step.action {
                Action::Copy(copy) => vec![&copy.from],
                Action::Run(run) => run.files_from().collect(),
                Action::Metadata | Action::Cached | Action::Workdir(_) => Vec::new(),
            });
            names.extend(froms.filter_map(|from| match from {
                FilesFrom::Named(name) => Some(name.as_str()),
                _ => None,
            }));
        }
        names
    }
}
