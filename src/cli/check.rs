//! What is asked about a Dockerfile: `kiln check`, `--check`, `--call`.
//!
//! Source: docs.docker.com/reference/cli/docker/buildx/build, `--call`.

use super::check_flags::{CallFlags, CheckFlags};
use super::error::CliError;
use super::flags::BuildFlags;
use super::values;
use crate::dockerfile::fields;

/// A question about a Dockerfile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// The question.
    pub subject: Subject,
    /// Whether a program reads the answer.
    pub json: bool,
    /// Whether findings leave the exit code at 0.
    pub ignore_status: bool,
}

/// What can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// What is doubtful or wrong in it?
    Check,
    /// What does the target ask for?
    Outline,
    /// Which stages are there?
    Targets,
}

/// The value of `--call`: a question, or none, to build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wish {
    subject: Option<Subject>,
    json: bool,
    ignore_status: bool,
}

/// Reads `check`, `outline,format=json` and the like.
pub(super) fn wish(text: &str) -> Result<Wish, String> {
    let mut subject = None;
    let (mut json, mut ignore_status) = (false, false);
    for field in fields::split(text).map_err(|error| error.to_string())? {
        match field.split_once('=') {
            Some(("format", "json")) => json = true,
            Some(("format", "text")) => json = false,
            Some(("format", _)) => return Err("expected format=text or format=json".into()),
            Some(("ignorestatus", value)) => ignore_status = values::switch(value)?,
            None if subject.is_none() => subject = Some(self::subject(&field)?),
            _ => return Err(format!("`{field}` does not belong here")),
        }
    }
    // As with buildx, where a format alone is for a build.
    Ok(Wish { subject: subject.flatten(), json, ignore_status })
}

fn subject(word: &str) -> Result<Option<Subject>, String> {
    match word {
        "build" => Ok(None),
        "check" | "lint" => Ok(Some(Subject::Check)),
        "outline" => Ok(Some(Subject::Outline)),
        "targets" => Ok(Some(Subject::Targets)),
        _ => Err("expected one of build, check, outline, targets".into()),
    }
}

/// What flags of `kiln build` ask, if they ask something.
pub(super) fn of_build(flags: &CallFlags) -> Option<Call> {
    if flags.check {
        return Some(Call { subject: Subject::Check, json: false, ignore_status: false });
    }
    let Wish { subject, json, ignore_status } = flags.call?;
    Some(Call { subject: subject?, json, ignore_status })
}

/// What flags of `kiln check` ask, and the rest of them.
pub(super) fn of_check(flags: CheckFlags) -> Result<(Call, BuildFlags), CliError> {
    let CheckFlags { build, json } = flags;
    let call = match (of_build(&build.call), &build.call.call) {
        (Some(call), _) => call,
        (None, None) => Call { subject: Subject::Check, json: false, ignore_status: false },
        (None, Some(_)) => {
            return Err(CliError::new(
                "`kiln check` does not build",
                "use `kiln build`, or --call with check, outline or targets",
            ));
        }
    };
    Ok((Call { json: call.json || json, ..call }, build))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions() {
        let ask = |subject, json, ignore_status| Ok(Wish { subject, json, ignore_status });
        let check = Some(Subject::Check);
        assert_eq!(wish("check"), ask(check, false, false));
        assert_eq!(wish("lint,format=json"), ask(check, true, false));
        assert_eq!(wish("format=json,outline"), ask(Some(Subject::Outline), true, false));
        assert_eq!(wish("targets,format=text"), ask(Some(Subject::Targets), false, false));
        assert_eq!(wish("check,ignorestatus=true"), ask(check, false, true));
        assert_eq!(wish("build"), ask(None, false, false));
        for wrong in ["", "x", "check,outline", "check,format=xml", "check,x=y", "\"check"] {
            assert!(wish(wrong).is_err(), "{wrong}");
        }
    }
}
