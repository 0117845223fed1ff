//! What differs, and stays different.

use std::fmt;

use crate::compare::Difference;

/// A difference that has a reason.
#[derive(Debug)]
pub struct Known {
    /// The case in which it is seen.
    pub case: &'static str,
    /// A path of the tree, a field of the configuration, or `build`.
    pub subject: &'static str,
    /// Why kiln does not do what Docker 20.10 does.
    pub reason: &'static str,
}

impl Known {
    pub fn is(&self, case: &str, difference: &Difference) -> bool {
        self.case == case && self.subject == difference.subject
    }
}

impl fmt::Display for Known {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {} ({})", self.case, self.subject, self.reason)
    }
}

/// docs/conformance.md has the same table.
pub const KNOWN: &[Known] = &[];
