//! What a name means at a remote repository now.

use super::command::{Failed, Git};

/// A ref of a remote repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ref {
    /// The name of the object that it is now.
    pub(super) object: String,
    pub(super) name: String,
    /// The ref that it stands for.
    pub(super) target: Option<String>,
}

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
    Ok(choose(name, &refs(&said)))
}

/// The default branch, or the commit where the remote stands on none.
fn head(git: &Git<'_>, url: &str) -> Result<Option<Wanted>, Failed> {
    let said = git.run(&["ls-remote", "--symref", "--", url, "HEAD"])?;
    Ok(head_of(&refs(&said)))
}

/// The lines of git's answer.
fn refs(said: &str) -> Vec<Ref> {
    let mut refs: Vec<Ref> = Vec::new();
    let mut targets = Vec::new();
    for (value, name) in said.lines().filter_map(|line| line.split_once('\t')) {
        match value.strip_prefix("ref: ") {
            Some(target) => targets.push((name, target)),
            None => {
                refs.push(Ref { object: value.to_owned(), name: name.to_owned(), target: None })
            }
        }
    }
    for (name, target) in targets {
        if let Some(found) = refs.iter_mut().find(|found| found.name == name) {
            found.target = Some(target.to_owned());
        }
    }
    refs
}

/// The same, among these.
pub(super) fn head_of(refs: &[Ref]) -> Option<Wanted> {
    let head = refs.iter().find(|found| found.name == "HEAD" && is_commit(&found.object))?;
    let object = head.object.clone();
    Some(match head.target.clone() {
        Some(name) => Wanted::Ref { name, object },
        None => Wanted::Commit(object),
    })
}

/// The full names that a name may stand for: just this one, a branch, a tag.
pub(super) fn candidates(name: &str) -> [String; 3] {
    let bare = |prefix: &str| format!("{prefix}{}", name.strip_prefix(prefix).unwrap_or(name));
    ["refs/", "refs/heads/", "refs/tags/"].map(bare)
}

/// The first of them that there is.
pub(super) fn choose(name: &str, refs: &[Ref]) -> Option<Wanted> {
    candidates(name).into_iter().find_map(|candidate| {
        let found = refs.iter().find(|found| found.name == candidate)?;
        Some(Wanted::Ref { name: candidate, object: found.object.clone() })
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
            let chosen = match choose(name, &refs(said)) {
                Some(Wanted::Ref { name, .. }) => Some(name),
                _ => None,
            };
            assert_eq!(chosen.as_deref(), found, "{name}");
        }
    }

    #[test]
    fn the_default_branch_is_what_head_stands_for() {
        let one = "1".repeat(40);
        let on_branch = format!("ref: refs/heads/main\tHEAD\n{one}\tHEAD\n");
        let found = head_of(&refs(&on_branch));
        assert_eq!(
            found,
            Some(Wanted::Ref { name: "refs/heads/main".into(), object: one.clone() })
        );
        let detached = format!("{one}\tHEAD\n");
        assert_eq!(head_of(&refs(&detached)), Some(Wanted::Commit(one)));
        assert_eq!(head_of(&refs("")), None);
    }

    #[test]
    fn commits_are_named_in_full() {
        assert!(is_commit(&"a1".repeat(20)) && is_commit(&"0".repeat(64)));
        assert!(
            !is_commit("a1b2c3d") && !is_commit(&"A".repeat(40)) && !is_commit(&"g".repeat(40))
        );
    }
}
