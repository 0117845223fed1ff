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
        ("# x is one\nARG x\nFROM a", vec![]),
        ("# one\nARG x\nFROM a", vec![("InvalidDefinitionDescription", "ARG x")]),
        ("# one\n\nARG x\n# two\n#\nFROM a AS b", vec![]),
        ("# two\nFROM a AS b", vec![("InvalidDefinitionDescription", "FROM a AS b")]),
        ("# escape=`\nARG x\n# two\nFROM a", vec![]),
    ] {
        let expected: Vec<_> =
            expected.into_iter().map(|(rule, place)| (rule, place.to_owned())).collect();
        assert_eq!(warnings(text), expected, "{text}");
    }
}

#[test]
fn wording_is_buildkits() {
    let file = parsed("FROM a AS B\nENV a b\n# one\nARG x y");
    let messages: Vec<&str> = file.warnings.iter().map(|one| one.message.as_str()).collect();
    assert_eq!(
        messages,
        [
            "Stage name 'B' should be lowercase",
            "\"ENV key=value\" should be used instead of legacy \"ENV key value\" format",
            "Comment for ARG should follow the format: `# <arg_key> <description>`",
        ]
    );
}
