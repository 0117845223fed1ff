//! The rules and what they stand for. Names, descriptions and pages are BuildKit's
//! (frontend/dockerfile/linter/ruleset.go).

/// One thing that is looked for.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    /// As in `# check=skip=NAME`.
    pub name: &'static str,
    /// What it wants, one sentence without its full stop.
    pub description: &'static str,
    /// The last part of its page's address, if it has a page.
    page: Option<&'static str>,
    /// Whether it is off until `# check=experimental=NAME` asks for it.
    pub experimental: bool,
    /// Whether it looks at stages that the target does not need too.
    pub everywhere: bool,
}

impl Rule {
    /// The page that explains it.
    pub fn url(&self) -> Option<String> {
        self.page.map(|page| format!("https://docs.docker.com/go/dockerfile/rule/{page}/"))
    }

    /// The rule of a name, as the parser gives them.
    pub(super) fn named(name: &str) -> Option<&'static Self> {
        ALL.iter().copied().find(|rule| rule.name == name)
    }
}

/// A rule that is on, has a page, and looks at needed stages only.
const fn rule(name: &'static str, description: &'static str, page: &'static str) -> Rule {
    Rule { name, description, page: Some(page), experimental: false, everywhere: false }
}

/// The same for all stages: what BuildKit sees while it parses, or when it reads the FROMs.
const fn everywhere(name: &'static str, description: &'static str, page: &'static str) -> Rule {
    Rule { everywhere: true, ..rule(name, description, page) }
}

pub(super) static STAGE_NAME_CASING: Rule =
    everywhere("StageNameCasing", "Stage names should be lowercase", "stage-name-casing");
pub(super) static FROM_AS_CASING: Rule = everywhere(
    "FromAsCasing",
    "The 'as' keyword should match the case of the 'from' keyword",
    "from-as-casing",
);
pub(super) static NO_EMPTY_CONTINUATION: Rule = everywhere(
    "NoEmptyContinuation",
    "Empty continuation lines will become errors in a future release",
    "no-empty-continuation",
);
pub(super) static CONSISTENT_INSTRUCTION_CASING: Rule = everywhere(
    "ConsistentInstructionCasing",
    "All commands within the Dockerfile should use the same casing (either upper or lower)",
    "consistent-instruction-casing",
);
pub(super) static DUPLICATE_STAGE_NAME: Rule =
    everywhere("DuplicateStageName", "Stage names should be unique", "duplicate-stage-name");
pub(super) static RESERVED_STAGE_NAME: Rule = everywhere(
    "ReservedStageName",
    "Reserved words should not be used as stage names",
    "reserved-stage-name",
);
pub(super) static JSON_ARGS_RECOMMENDED: Rule = rule(
    "JSONArgsRecommended",
    "JSON arguments recommended for ENTRYPOINT/CMD to prevent unintended behavior related to OS \
     signals",
    "json-args-recommended",
);
pub(super) static MAINTAINER_DEPRECATED: Rule = everywhere(
    "MaintainerDeprecated",
    "The MAINTAINER instruction is deprecated, use a label instead to define an image author",
    "maintainer-deprecated",
);
pub(super) static UNDEFINED_ARG_IN_FROM: Rule = everywhere(
    "UndefinedArgInFrom",
    "FROM command must use declared ARGs",
    "undefined-arg-in-from",
);
pub(super) static WORKDIR_RELATIVE_PATH: Rule = rule(
    "WorkdirRelativePath",
    "Relative workdir without an absolute workdir declared within the build can have unexpected \
     results if the base image changes",
    "workdir-relative-path",
);
pub(super) static UNDEFINED_VAR: Rule =
    rule("UndefinedVar", "Variables should be defined before their use", "undefined-var");
pub(super) static MULTIPLE_INSTRUCTIONS_DISALLOWED: Rule = rule(
    "MultipleInstructionsDisallowed",
    "Multiple instructions of the same type should not be used in the same stage",
    "multiple-instructions-disallowed",
);
pub(super) static LEGACY_KEY_VALUE_FORMAT: Rule = rule(
    "LegacyKeyValueFormat",
    "Legacy key/value format with whitespace separator should not be used",
    "legacy-key-value-format",
);
pub(super) static INVALID_BASE_IMAGE_PLATFORM: Rule = Rule {
    name: "InvalidBaseImagePlatform",
    description: "Base image platform does not match expected target platform",
    page: None,
    experimental: false,
    everywhere: false,
};
pub(super) static REDUNDANT_TARGET_PLATFORM: Rule = everywhere(
    "RedundantTargetPlatform",
    "Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default \
     behavior",
    "redundant-target-platform",
);
pub(super) static SECRETS_USED_IN_ARG_OR_ENV: Rule = rule(
    "SecretsUsedInArgOrEnv",
    "Sensitive data should not be used in the ARG or ENV commands",
    "secrets-used-in-arg-or-env",
);
pub(super) static INVALID_DEFAULT_ARG_IN_FROM: Rule = everywhere(
    "InvalidDefaultArgInFrom",
    "Default value for global ARG results in an empty or invalid base image name",
    "invalid-default-arg-in-from",
);
pub(super) static FROM_PLATFORM_FLAG_CONST_DISALLOWED: Rule = everywhere(
    "FromPlatformFlagConstDisallowed",
    "FROM --platform flag should not use a constant value",
    "from-platform-flag-const-disallowed",
);
pub(super) static COPY_IGNORED_FILE: Rule = rule(
    "CopyIgnoredFile",
    "Attempting to Copy file that is excluded by .dockerignore",
    "copy-ignored-file",
);
pub(super) static INVALID_DEFINITION_DESCRIPTION: Rule = Rule {
    experimental: true,
    ..everywhere(
        "InvalidDefinitionDescription",
        "Comment for build stage or argument should follow the format: `# <arg/stage name> \
         <description>`. If this is not intended to be a description comment, add an empty line or \
         comment between the instruction and the comment.",
        "invalid-definition-description",
    )
};
pub(super) static EXPOSE_PROTO_CASING: Rule = rule(
    "ExposeProtoCasing",
    "Protocol in EXPOSE instruction should be lowercase",
    "expose-proto-casing",
);
pub(super) static EXPOSE_INVALID_FORMAT: Rule = rule(
    "ExposeInvalidFormat",
    "IP address and host-port mapping should not be used in EXPOSE instruction. This will become \
     an error in a future release",
    "expose-invalid-format",
);

/// All rules, in BuildKit's order.
pub static ALL: [&Rule; 22] = [
    &STAGE_NAME_CASING,
    &FROM_AS_CASING,
    &NO_EMPTY_CONTINUATION,
    &CONSISTENT_INSTRUCTION_CASING,
    &DUPLICATE_STAGE_NAME,
    &RESERVED_STAGE_NAME,
    &JSON_ARGS_RECOMMENDED,
    &MAINTAINER_DEPRECATED,
    &UNDEFINED_ARG_IN_FROM,
    &WORKDIR_RELATIVE_PATH,
    &UNDEFINED_VAR,
    &MULTIPLE_INSTRUCTIONS_DISALLOWED,
    &LEGACY_KEY_VALUE_FORMAT,
    &INVALID_BASE_IMAGE_PLATFORM,
    &REDUNDANT_TARGET_PLATFORM,
    &SECRETS_USED_IN_ARG_OR_ENV,
    &INVALID_DEFAULT_ARG_IN_FROM,
    &FROM_PLATFORM_FLAG_CONST_DISALLOWED,
    &COPY_IGNORED_FILE,
    &INVALID_DEFINITION_DESCRIPTION,
    &EXPOSE_PROTO_CASING,
    &EXPOSE_INVALID_FORMAT,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_named_for_their_rules() {
        for rule in ALL {
            let Some(url) = rule.url() else { continue };
            let page: String = url.trim_end_matches('/').rsplit('/').next().into_iter().collect();
            assert_eq!(page.replace('-', ""), rule.name.to_lowercase());
            assert_eq!(Rule::named(rule.name), Some(rule));
        }
    }
}
