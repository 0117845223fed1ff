//! What stands after the question mark of a repository's address.

use super::reference::{GitReference, GitReferenceError as Wrong, MTime};
use crate::remote::address::decoded;

/// Keys that are switched on by their name alone.
const SWITCHES: [&str; 3] = ["submodules", "keep-git-dir", "fetch-by-commit"];
const TAGS: &str = "refs/tags/";
const BRANCHES: &str = "refs/heads/";

/// Adds what a query says.
pub(super) fn apply(mut found: GitReference, query: &str) -> Result<GitReference, Wrong> {
    let (mut tag, mut branch) = (None, None);
    let mut seen: Vec<String> = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (key, value) = (spaced(key), spaced(value));
        if seen.contains(&key) {
            return Err(Wrong::SeveralValues(key));
        }
        if value.is_empty() && !SWITCHES.contains(&key.as_str()) {
            return Err(Wrong::NoValue(key));
        }
        match key.as_str() {
            "ref" => set(&mut found.reference, value, Wrong::RefConflict)?,
            "tag" => tag = Some(full_name(TAGS, &value)),
            "branch" => branch = Some(full_name(BRANCHES, &value)),
            "subdir" => set(&mut found.subdir, value, Wrong::SubdirConflict)?,
            "checksum" | "commit" => found.checksum = Some(value),
            "keep-git-dir" => found.keep_git_dir = Some(switch("keep-git-dir", &value)?),
            "submodules" => found.submodules = Some(switch("submodules", &value)?),
            "fetch-by-commit" => found.fetch_by_commit = switch("fetch-by-commit", &value)?,
            "mtime" => found.mtime = Some(mtime(value)?),
            _ => return Err(Wrong::UnknownKey(key)),
        }
        seen.push(key);
    }
    if tag.is_some() && branch.is_some() {
        return Err(Wrong::BranchAndTag);
    }
    if let Some(name) = tag.or(branch) {
        set(&mut found.reference, name, Wrong::RefConflict)?;
    }
    if found.reference.is_none() && !found.fetch_by_commit {
        found.reference.clone_from(&found.checksum);
    }
    Ok(found)
}

fn set(
    place: &mut Option<String>,
    value: String,
    conflict: fn(String, String) -> Wrong,
) -> Result<(), Wrong> {
    match place.take().filter(|known| *known != value) {
        Some(known) => Err(conflict(known, value)),
        None => {
            *place = Some(value);
            Ok(())
        }
    }
}

fn full_name(prefix: &str, name: &str) -> String {
    if name.starts_with(prefix) { name.to_owned() } else { format!("{prefix}{name}") }
}

/// As Go's `strconv.ParseBool`; without a value, on.
fn switch(key: &'static str, value: &str) -> Result<bool, Wrong> {
    match value {
        "" | "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(Wrong::BadValue { key, value: value.to_owned() }),
    }
}

fn mtime(value: String) -> Result<MTime, Wrong> {
    match value.as_str() {
        "checkout" => Ok(MTime::Checkout),
        "commit" => Ok(MTime::Commit),
        _ => Err(Wrong::BadValue { key: "mtime", value }),
    }
}

fn spaced(text: &str) -> String {
    decoded(&text.replace('+', " "))
}
