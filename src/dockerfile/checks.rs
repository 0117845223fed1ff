//! `# check=` and what it says about warnings.

use std::collections::BTreeSet;

/// The value of `# check=` or of the build argument BUILDKIT_DOCKERFILE_CHECK:
/// `skip=RuleA,RuleB;error=true;experimental=RuleC`, where a list may be `all`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Checks {
    /// Rules that are off, in small letters; may hold `all`.
    pub skip: BTreeSet<String>,
    /// Experimental rules that are on, in small letters; may hold `all`.
    pub experimental: BTreeSet<String>,
    /// Whether a warning fails the build.
    pub error: bool,
}

impl Checks {
    /// Reads a value. What it does not know it ignores.
    pub fn parse(value: &str) -> Self {
        let mut checks = Self::default();
        for option in value.split(';') {
            let Some((key, value)) = option.split_once('=') else { continue };
            let rules = || value.split(',').map(|rule| rule.trim().to_lowercase());
            match key.trim() {
                "skip" => checks.skip.extend(rules()),
                "experimental" => checks.experimental.extend(rules()),
                "error" => checks.error = value.trim().eq_ignore_ascii_case("true"),
                _ => {}
            }
        }
        checks
    }

    /// Whether a rule is off.
    pub fn skips(&self, rule: &str) -> bool {
        self.skip.contains("all") || self.skip.contains(&rule.to_lowercase())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options() {
        let checks = Checks::parse("skip=JSONArgsRecommended, StageNameCasing; error=true;x=1;y");
        assert!(checks.error);
        assert!(checks.skips("StageNameCasing") && checks.skips("JSONArgsRecommended"));
        assert!(!checks.skips("FromAsCasing"));
        assert!(Checks::parse("skip=all").skips("FromAsCasing"));
        assert_eq!(Checks::parse(""), Checks::default());
    }
}
