//! Which repository, and what of it: the forms in which Docker's users write that.
//!
//! Source: BuildKit's dfgitutil/git_ref.go and gitutil/git_url.go; its messages are kept where people
//! search for them.

use std::fmt;

use super::query;
use crate::remote::address::{decoded, without_secrets};

/// A git repository and what is wanted of it. `Display` shows no password.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct GitReference {
    /// The repository, as git takes it; `github.com/…` has no scheme and means https.
    pub remote: String,
    /// The last name of its path, without `.git`.
    pub short_name: String,
    /// A branch, a tag, a full name (`refs/…`) or a commit; the default branch if none.
    pub reference: Option<String>,
    /// What the commit's name must begin with.
    pub checksum: Option<String>,
    /// A directory of the repository.
    pub subdir: Option<String>,
    /// Whether it could be a path as well: `github.com/…`, which only a context may be.
    pub looks_local: bool,
    /// Whether nobody proves who the other side is: `git://` and `http://`.
    pub unencrypted: bool,
    /// Whether `.git` stays.
    pub keep_git_dir: Option<bool>,
    /// Whether submodules are fetched.
    pub submodules: Option<bool>,
    /// The files' times.
    pub mtime: Option<MTime>,
    /// Whether the commit of `checksum` is fetched rather than what `reference` means now.
    pub fetch_by_commit: bool,
}

/// Which times files get.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MTime {
    /// That of the checkout.
    Checkout,
    /// That of the commit.
    Commit,
}

/// A reference to a repository that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GitReferenceError {
    /// Two places name different refs.
    #[error("ref conflicts: {0:?} vs {1:?}")]
    RefConflict(String, String),
    /// Two places name different directories.
    #[error("subdir conflicts: {0:?} vs {1:?}")]
    SubdirConflict(String, String),
    /// Both are given.
    #[error("branch conflicts with tag")]
    BranchAndTag,
    /// A key without a value.
    #[error("query {0:?} has no value")]
    NoValue(String),
    /// A key twice.
    #[error("query {0:?} has multiple values")]
    SeveralValues(String),
    /// A key that means nothing.
    #[error("unexpected query {0:?}")]
    UnknownKey(String),
    /// A value that means nothing for its key.
    #[error("invalid {key} value: {value:?}")]
    BadValue {
        /// The key.
        key: &'static str,
        /// Its value.
        value: String,
    },
    /// A name that git would take for an option, or that no ref has.
    #[error("{0:?} is not the name of a branch, tag or commit")]
    BadRef(String),
}

/// Reads a reference to a repository; nothing where the text is none.
///
/// # Errors
/// A reference to a repository that says something wrong of it.
pub fn parse(text: &str) -> Option<Result<GitReference, GitReferenceError>> {
    if text.starts_with("./") || text.starts_with("../") {
        return None;
    }
    let (text_before, fragment) = cut(text, '#');
    let (base, query) = cut(text_before, '?');
    if base.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return None;
    }
    let mut found = repository(base)?;
    let (reference, subdir) = cut(fragment.unwrap_or_default(), ':');
    found.reference = given(reference);
    found.subdir = given(subdir.unwrap_or_default());
    Some(query::apply(found, query.unwrap_or_default()).and_then(checked))
}

fn given(text: &str) -> Option<String> {
    Some(decoded(text)).filter(|text| !text.is_empty())
}

fn cut(text: &str, at: char) -> (&str, Option<&str>) {
    text.split_once(at).map_or((text, None), |(before, after)| (before, Some(after)))
}

fn repository(base: &str) -> Option<GitReference> {
    let named = |remote: String| {
        let last = remote.rsplit(['/', ':']).next().unwrap_or_default();
        let short_name = last.strip_suffix(".git").unwrap_or(last).to_owned();
        GitReference { remote, short_name, ..GitReference::default() }
    };
    if base.starts_with("github.com/") {
        return Some(GitReference { looks_local: true, ..named(base.to_owned()) });
    }
    let Some((scheme, rest)) = base.split_once("://") else {
        return is_scp(base).then(|| named(base.to_owned()));
    };
    let scheme = scheme.to_ascii_lowercase();
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let host = authority.rsplit('@').next().unwrap_or_default();
    let known = match scheme.as_str() {
        "http" | "https" => path.ends_with(".git"),
        "git" | "ssh" => true,
        _ => false,
    };
    let unencrypted = scheme == "http" || scheme == "git";
    (known && !host.is_empty() && !host.starts_with('-'))
        .then(|| GitReference { unencrypted, ..named(format!("{scheme}://{rest}")) })
}

/// `user@host:path`, as scp has it.
fn is_scp(text: &str) -> bool {
    let Some((user, rest)) = text.split_once('@') else { return false };
    let Some((host, path)) = rest.split_once(':') else { return false };
    let word = |text: &str, more: &str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || more.contains(c);
        !text.is_empty() && !text.starts_with('-') && text.chars().all(plain)
    };
    word(user, "_") && word(host, ".") && !path.is_empty()
}

/// Refuses what git would take for something else than a name (git-check-ref-format(1)).
///
/// # Errors
/// [`GitReferenceError::BadRef`].
pub fn checked(found: GitReference) -> Result<GitReference, GitReferenceError> {
    let bad = |name: &&String| {
        let forbidden = |c: char| c.is_control() || c.is_whitespace() || "~^:?*[\\".contains(c);
        name.starts_with('-') || name.contains("..") || name.chars().any(forbidden)
    };
    match found.reference.iter().chain(&found.checksum).find(bad) {
        Some(name) => Err(GitReferenceError::BadRef(name.clone())),
        None => Ok(found),
    }
}

impl GitReference {
    /// The repository's address, with a scheme or in scp's form.
    pub fn address(&self) -> String {
        if self.looks_local { format!("https://{}", self.remote) } else { self.remote.clone() }
    }

    /// `remote#ref`, or with its directory `remote#ref:subdir`.
    pub fn fragment_form(&self, with_subdir: bool) -> String {
        self.with_fragment(&self.remote, with_subdir)
    }

    fn with_fragment(&self, remote: &str, with_subdir: bool) -> String {
        let reference = self.reference.as_deref().unwrap_or_default();
        let subdir = self.subdir.as_deref().filter(|_| with_subdir).unwrap_or_default();
        match (reference, subdir.trim_start_matches('/')) {
            ("", "") => remote.to_owned(),
            (reference, "") => format!("{remote}#{reference}"),
            (reference, subdir) => format!("{remote}#{reference}:{subdir}"),
        }
    }
}

impl fmt::Display for GitReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.with_fragment(&without_secrets(&self.remote), true))
    }
}
