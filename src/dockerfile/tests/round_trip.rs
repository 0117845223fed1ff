use proptest::prelude::*;

use super::*;

/// What must survive: everything but text, places, layout and warnings.
fn meaning(file: &Dockerfile) -> impl PartialEq + std::fmt::Debug + use<> {
    let instructions =
        |nodes: &[Node]| nodes.iter().map(|node| node.instruction.clone()).collect::<Vec<_>>();
    let stages: Vec<_> =
        file.stages.iter().map(|stage| (stage.from.clone(), instructions(&stage.nodes))).collect();
    let syntax = file.directives.syntax.clone().map(|(name, _)| name);
    let check = file.directives.check.clone().map(|(value, _)| value);
    let directives = (file.directives.escape, syntax, check);
    (directives, instructions(&file.global_args), stages)
}

fn survives(text: &str) {
    let Ok(file) = parse(text.as_bytes()) else { return };
    let printed = print(&file);
    let again = parse(printed.as_bytes())
        .unwrap_or_else(|error| panic!("{error}\n--- was\n{text}\n--- printed\n{printed}"));
    assert_eq!(meaning(&again), meaning(&file), "--- was\n{text}\n--- printed\n{printed}");
    assert_eq!(print(&again), printed);
}

#[test]
fn oddities() {
    for line in [
        "RUN -- --x",
        "RUN a \\\u{a0}",
        "EXPOSE 1\\\u{a0}",
        "COPY [\"a b\", \"<<E\"]",
        "COPY [\"[\", \"]\"]",
        "COPY -- --a b",
        "COPY <<\\-a b\n-a",
        "COPY <<-a <<'$b' 3<<\\$c 'd' e\nx\n\ta\nb\n$b\n$c",
        "ENV \"a b\" c",
        "ENV a\u{a0}b=c d",
        "ENV a b=c d=e",
        "ENV a='b c\\' d=e",
        "ARG a='b c",
        "LABEL a=\"b\\\\",
        "USER -- --x",
        "RUN --mount=\"id=a b\" --mount=id=a\\\\\\'b c",
        "HEALTHCHECK --interval=1ms --retries=0 CMD  --x [\"y\"",
        "ONBUILD HEALTHCHECK CMD a",
        "ONBUILD RUN <<A <<B\na\nA\nb\nB",
        "VOLUME [\"\\u0000\\n\u{2028}\"]",
        "CMD [\"a\\n\"]",
        "WORKDIR a\tb",
    ] {
        let text = format!("FROM a\n{line}\n");
        assert!(parse(text.as_bytes()).is_ok(), "{line:?}");
        survives(&text);
    }
}

#[test]
fn long_lines_are_continued() {
    let piece = "echo  # \\\\ é x \\\n";
    survives(&format!("FROM a\nRUN {}y\n", piece.repeat(10000)));
}

/// Lines that are often right, made of parts that are often special.
fn line() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec![
        "FROM",
        "RUN",
        "CMD",
        "COPY",
        "ADD",
        "ENV",
        "LABEL",
        "ARG",
        "EXPOSE",
        "USER",
        "WORKDIR",
        "VOLUME",
        "SHELL",
        "STOPSIGNAL",
        "HEALTHCHECK CMD",
        "ENTRYPOINT",
        "ONBUILD RUN",
        "ONBUILD COPY",
        "MAINTAINER",
        "# escape=`\nFROM",
    ]);
    let part = prop::sample::select(vec![
        " ",
        " ",
        " ",
        "a",
        "b=c",
        "--link",
        "--from=x",
        "--mount=y",
        "--",
        "[\"a\"]",
        "[",
        "]",
        "\"",
        "'",
        "\\",
        "`",
        "\\\n",
        "`\n",
        "\n",
        "<<E",
        "<<-E",
        "<<'E'",
        "\nE\n",
        "\n\tE\n",
        "$X",
        "${X}",
        "${",
        "#",
        "\t",
        "\u{b}",
        "\u{a0}",
        "\r",
        "é",
        "AS",
        "=",
        "\\ ",
        "\\\"",
        "1",
    ]);
    (name, prop::collection::vec(part, 0..8))
        .prop_map(|(name, parts)| format!("{name} {}\n", parts.concat()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn print_and_parse_agree(line in line()) {
        survives(&format!("FROM a\n{line}"));
        survives(&line);
    }

    #[test]
    fn files_survive(lines in prop::collection::vec(line(), 1..6)) {
        survives(&format!("FROM a\n{}", lines.concat()));
    }

    #[test]
    fn any_bytes_end(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&bytes);
    }

    #[test]
    fn any_text_ends(text in any::<String>()) {
        let _ = parse(text.as_bytes());
        let _ = parse_onbuild(&text);
        let _ = directives::detect_syntax(&text);
        let _ = expose_ports(std::slice::from_ref(&text));
        let _ = fields::split(&text);
    }

    /// Each place is a range of the text, also where it is wrong.
    #[test]
    fn places_are_in_the_text(line in line()) {
        let text = format!("FROM a\n{line}");
        match parse(text.as_bytes()) {
            Ok(file) => {
                for warning in &file.warnings {
                    prop_assert!(text.get(warning.span.clone()).is_some());
                }
                for node in file.stages.iter().flat_map(|stage| &stage.nodes) {
                    prop_assert!(text.get(node.span.clone()).is_some());
                }
            }
            Err(error) => prop_assert!(text.get(error.span.clone()).is_some(), "{:?}", error),
        }
    }
}
