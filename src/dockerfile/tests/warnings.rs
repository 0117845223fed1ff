use super::*;

/// Rule and marked text of each warning.
fn warnings(text: &str) -> Vec<(&'static str, String)> {
    let file = parsed(text);
    file.warnings.iter().map(|one| (one.rule, file.text[one.span.clone()].to_owned())).collect()
}

#[test]
fn each_rule_marks_its_place() {
    for (text, expected) in [
        ("FROM a\nRUN b \\\n\n c", vec![("NoEmptyContinuation", "")]),
        ("FROM a\nENV b c", vec![("LegacyKeyValueFormat", "ENV b c")]),
        ("FROM a\nENV b=c d=", vec![]),
        ("FROM a\nLABEL b c", vec![("LegacyKeyValueFormat", "LABEL b c")]),
        ("FROM a\nCMD b", vec![("JSONArgsRecommended", "CMD b")]),
        ("FROM a\nCMD [\"b\"]", vec![]),
        ("FROM a\nSHELL [\"b\"]\nCMD b", vec![]),
        ("FROM a AS s\nSHELL [\"b\"]\nFROM S\nCMD b", vec![]),
        (
            "FROM a\nSHELL [\"b\"]\nFROM c\nENTRYPOINT b",
            vec![("JSONArgsRecommended", "ENTRYPOINT b")],
        ),
        ("FROM a\nMAINTAINER b", vec![("MaintainerDeprecated", "MAINTAINER b")]),
        ("FROM a AS B", vec![("StageNameCasing", "B")]),
        ("FROM a as b", vec![("FromAsCasing", "as")]),
        ("from a AS b", vec![("FromAsCasing", "AS")]),
        ("FROM a AS scratch", vec![("ReservedStageName", "scratch")]),
        ("FROM a AS b\nFROM c AS b", vec![("DuplicateStageName", "b")]),
        ("FROM a\nrun b\nRUN c", vec![("ConsistentInstructionCasing", "run")]),
        ("from a\nrun b\nRUN c", vec![("ConsistentInstructionCasing", "RUN")]),
        ("FROM a\nRun b", vec![("ConsistentInstructionCasing", "Run")]),
        ("arg x\nFROM a", vec![]),
        (
            "FROM a\nCMD [\"b\"]\nCMD []\nFROM c\nCMD []",
            vec![("MultipleInstructionsDisallowed", "CMD [\"b\"]")],
        ),
        (
            "FROM a\nHEALTHCHECK NONE\nHEALTHCHECK NONE",
            vec![("MultipleInstructionsDisallowed", "HEALTHCHECK NONE")],
        ),
    ] {
        let expected: Vec<_> =
            expected.into_iter().map(|(rule, place)| (rule, place.to_owned())).collect();
        assert_eq!(warnings(text), expected, "{text}");
    }
}

#[test]
fn a_comment_switches_a_rule_off_for_one_instruction() {
    let text = "FROM a\n# check=skip=JSONArgsRecommended,x\nCMD b\nENTRYPOINT c\n";
    assert_eq!(warnings(text), [("JSONArgsRecommended", "ENTRYPOINT c".to_owned())]);
}

#[test]
fn wording_is_buildkits() {
    let file = parsed("FROM a AS B\nENV a b\nCMD c");
    let messages: Vec<&str> = file.warnings.iter().map(|one| one.message.as_str()).collect();
    assert_eq!(
        messages,
        [
            "Stage name 'B' should be lowercase",
            "\"ENV key=value\" should be used instead of legacy \"ENV key value\" format",
            "JSON arguments recommended for CMD to prevent unintended behavior related to OS signals",
        ]
    );
}
