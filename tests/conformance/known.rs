//! What differs, and stays different.

use std::fmt;

use crate::compare::Difference;

/// A difference that has a reason.
#[derive(Debug)]
pub struct Known {
    /// The case in which it is seen.
    pub case: &'static str,
    /// A path of the tree, a field of the configuration, or `build`. A star at the end stands for
    /// everything.
    pub subject: &'static str,
    /// Why kiln does not do what Docker 20.10 does.
    pub reason: &'static str,
}

impl Known {
    pub fn is(&self, case: &str, difference: &Difference) -> bool {
        let is_subject = match self.subject.strip_suffix('*') {
            Some(start) => difference.subject.starts_with(start),
            None => difference.subject == self.subject,
        };
        is_subject && self.case == case
    }
}

impl fmt::Display for Known {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {} ({})", self.case, self.subject, self.reason)
    }
}

/// docs/conformance.md has the same table.
pub const KNOWN: &[Known] = &[
    Known {
        case: "add-tar-chown",
        subject: "/owned/*",
        reason: "Docker 20.10 gives --chown to the destination alone; BuildKit now gives it to all \
                 that is unpacked",
    },
    Known {
        case: "arg-several-in-one",
        subject: "config.Labels.b",
        reason: "in Docker 20.10 the words of one ARG do not see each other; in BuildKit now they do",
    },
    Known {
        case: "copy-chmod",
        subject: "/m/three",
        reason: "Docker 20.10 drops the set-id bits of --chmod; BuildKit now sets them",
    },
    Known {
        case: "copy-from-stage-owner",
        subject: "/mode",
        reason: "Docker 20.10 keeps the source's set-id bits beside --chmod; BuildKit now does not",
    },
    Known {
        case: "copy-from-stage-owner",
        subject: "/owned/pipe",
        reason: "Docker 20.10 leaves named pipes out; BuildKit now copies them",
    },
    Known {
        case: "copy-from-stage-owner",
        subject: "/reset/pipe",
        reason: "Docker 20.10 leaves named pipes out; BuildKit now copies them",
    },
    Known {
        case: "copy-several-onto-file",
        subject: "build",
        reason: "Docker 20.10 lets the last of several sources win; BuildKit now refuses them, as \
                 the Dockerfile reference says",
    },
    Known {
        case: "target-by-number",
        subject: "build",
        reason: "Docker 20.10 knows the target by its name only",
    },
    Known {
        case: "xattrs-and-capabilities",
        subject: "/x/*",
        reason: "Docker 20.10 loses the extended attributes of the context's files",
    },
];
