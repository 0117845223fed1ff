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

/// Why a value says nothing about warnings. The wording is BuildKit's (linter/linter.go).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChecksError {
    /// Neither `skip`, `experimental` nor `error`, or no `=`.
    #[error("invalid check option {0:?}")]
    Option(String),
    /// `error=` is neither true nor false.
    #[error("failed to parse check option {0:?}: expected true or false")]
    Bool(String),
}

impl Checks {
    /// Reads a value.
    ///
    /// # Errors
    ///
    /// An option is none that there is, or its value is not one of its own.
    pub fn parse(value: &str) -> Result<Self, ChecksError> {
        let mut checks = Self::default();
        if value.trim().is_empty() {
            return Ok(checks);
        }
        for option in value.split(';') {
            let unknown = |text: &str| ChecksError::Option(text.to_owned());
            let (key, value) = option.split_once('=').ok_or_else(|| unknown(option))?;
            let rules = || value.split(',').map(|rule| rule.trim().to_lowercase());
            match key.trim() {
                "skip" => checks.skip = rules().collect(),
                "experimental" => checks.experimental = rules().collect(),
                "error" => {
                    let no_bool = || ChecksError::Bool(option.to_owned());
                    checks.error = truth(value.trim()).ok_or_else(no_bool)?;
                }
                other => return Err(unknown(other)),
            }
        }
        Ok(checks)
    }

    /// What a comment `check=…` among those above an instruction says about that instruction alone.
    /// The first one counts; one that cannot be read says nothing, as with BuildKit.
    pub fn of_comments(comments: &[String]) -> Self {
        let values = comments.iter().filter_map(|comment| {
            let (key, value) = comment.split_once('=')?;
            key.trim_end().eq_ignore_ascii_case("check").then(|| value.trim_start())
        });
        let first = values.map(|value| value.split(' ').next().unwrap_or_default()).next();
        first.and_then(|value| Self::parse(value).ok()).unwrap_or_default()
    }

    /// Whether a rule is off.
    pub fn skips(&self, rule: &str) -> bool {
        holds(&self.skip, rule)
    }

    /// Whether an experimental rule is on.
    pub fn tries(&self, rule: &str) -> bool {
        holds(&self.experimental, rule)
    }
}

fn holds(rules: &BTreeSet<String>, rule: &str) -> bool {
    rules.contains("all") || rules.contains(&rule.to_lowercase())
}

/// The words of Go's strconv.ParseBool.
fn truth(word: &str) -> Option<bool> {
    match word {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options() {
        let read = |value| Checks::parse(value).expect("a value");
        let checks = read("skip=JSONArgsRecommended, StageNameCasing; error=true");
        assert!(checks.error);
        assert!(checks.skips("StageNameCasing") && checks.skips("JSONArgsRecommended"));
        assert!(!checks.skips("FromAsCasing"));
        assert!(read("skip=all").skips("FromAsCasing"));
        assert!(read("experimental=A;error=0").tries("A"));
        assert!(!read("experimental=A").tries("B"));
        assert_eq!(read(" "), Checks::default());
        for (value, message) in [
            ("x=1", "invalid check option \"x\""),
            ("skip=A;y", "invalid check option \"y\""),
            ("error=yes", "failed to parse check option \"error=yes\": expected true or false"),
        ] {
            assert_eq!(Checks::parse(value).expect_err(value).to_string(), message);
        }
    }

    #[test]
    fn a_comment_speaks_for_its_instruction() {
        let read = |lines: &[&str]| {
            let comments: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
            Checks::of_comments(&comments)
        };
        assert!(read(&["why", "Check = skip=A because", "check=skip=B"]).skips("A"));
        assert!(!read(&["check=skip=A", "check=skip=B"]).skips("B"));
        assert_eq!(read(&["check=nothing", "checks=skip=A", "a"]), Checks::default());
    }
}
