//! What a name means at a remote repository now.

use super::command::{Failed, Git};

/// What is to be fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    /// A ref.
    Ref {
        /// Its full name.
        name: String,
        /// The name of the object that it is now.
        object: String,
    },
    /// A commit by its name.
    Commit(String),
}

impl Wanted {
    /// Whether the repository names objects by SHA-256.
    pub(super) fn has_long_names(&self) -> bool {
        let (Self::Ref { object, .. } | Self::Commit(object)) = self;
        object.len() == 64
    }
}

/// Whether a text is a whole name of an object: SHA-1 or SHA-256.
pub(super) fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64)
        && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// Asks the remote what a name means; none where it has nothing of that name.
pub(super) fn resolve(
    git: &Git<'_>,
    url: &str,
    name: Option<&str>,
) -> Result<Option<Wanted>, Failed> {
    let Some(name) = name.filter(|name| *name != "HEAD") else { return head(git, url) };
    if is_commit(name) {
        return Ok(Some(Wanted::Commit(name.to_owned())));
    }
    let said = git.run(&["ls-remote", "--", url, name])?;
    Ok(choose(name, &said))
}

/// The default branch, or the commit where the remote stands on none.
fn head(git: &Git<'_>, url: &str) -> Result<Option<Wanted>, Failed> {
    let said = git.run(&["ls-remote", "--symref", "--", url, "HEAD"])?;
    let lines = || said.lines().filter_map(|line| line.split_once('\t'));
    let branch = lines().find_map(|(value, name)| {
        value.strip_prefix("ref: ").filter(|_| name == "HEAD").map(str::to_owned)
    });
    let commit = lines().find(|(value, name)| *name == "HEAD" && is_commit(value));
    let object = commit.map(|(value, _)| value.to_owned());
    Ok(object.map(|object| match branch {
        Some(name) => Wanted::Ref { name, object },
        None => Wanted::Commit(object),
    }))
}

/// Among the refs that end in a name: the one of just this name, else the branch, else the tag.
fn choose(name: &str, said: &str) -> Option<Wanted> {
    let refs: Vec<(&str, &str)> = said.lines().filter_map(|line| line.split_once('\t')).collect();
    let bare = |prefix: &str| format!("{prefix}{}", name.strip_prefix(prefix).unwrap_or(name));
    ["refs/", "refs/heads/", "refs/tags/"].map(bare).into_iter().find_map(|candidate| {
        let (object, _) = refs.iter().find(|(_, name)| *name == candidate)?;
        Some(Wanted::Ref { name: candidate, object: (*object).to_owned() })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_come_before_tags_and_whole_names_before_both() {
        let said = "1\trefs/heads/v1\n2\trefs/tags/v1\n3\trefs/heads/x/v1\n4\trefs/pull/7/head\n";
        for (name, found) in [
            ("v1", Some("refs/heads/v1")),
            ("refs/tags/v1", Some("refs/tags/v1")),
            ("tags/v1", Some("refs/tags/v1")),
            ("x/v1", Some("refs/heads/x/v1")),
            ("pull/7/head", Some("refs/pull/7/head")),
            ("refs/pull/7/head", Some("refs/pull/7/head")),
            ("head", None),
        ] {
            let chosen = match choose(name, said) {
                Some(Wanted::Ref { name, .. }) => Some(name),
                _ => None,
            };
            assert_eq!(chosen.as_deref(), found, "{name}");
        }
    }

    #[test]
    fn commits_are_named_in_full() {
        assert!(is_commit(&"a1".repeat(20)) && is_commit(&"0".repeat(64)));
        assert!(
            !is_commit("a1b2c3d") && !is_commit(&"A".repeat(40)) && !is_commit(&"g".repeat(40))
        );
    }
}
