use super::*;

/// Message and offending text of what is wrong.
fn wrong(text: &str) -> (String, String) {
    let error = parse(text.as_bytes()).expect_err(text);
    (error.message, text[error.span].to_owned())
}

#[test]
fn errors_point_at_the_word() {
    for (line, message, word) in [
        ("RUNN x", "unknown instruction: RUNN (did you mean RUN?)", "RUNN"),
        ("&& make", "unknown instruction: &&", "&&"),
        ("COPY --form=a b c", "unknown flag: --form (did you mean from?)", "--form=a"),
        ("ADD --from=a b c", "unknown flag: --from", "--from=a"),
        ("COPY --link --link a b", "duplicate flag specified: --link", "--link"),
        ("COPY --chown a b", "missing a value on flag: --chown", "--chown"),
        ("COPY --link=x a b", "expecting boolean value for flag --link, not: x", "--link=x"),
        ("COPY a <<E\nE", "COPY cannot accept a heredoc as a destination", "<<E"),
        ("COPY \"a <<E b", "COPY has a heredoc whose body cannot be found", "<<E"),
        ("COPY <<'A B' c\nA B", "COPY has a heredoc whose body cannot be found", "c"),
        ("RUN --network=lan x", "invalid network mode \"lan\"", "--network=lan"),
        ("RUN --security=x y", "security \"x\" is not valid", "--security=x"),
        ("RUN --device=a,b x", "invalid field 'b' must be a key=value pair", "--device=a,b"),
        (
            "ENV a=b \\\n  c",
            "Syntax error - can't find = in \"c\". Must be of the form: name=value",
            "c",
        ),
        ("ENV a", "ENV must have two arguments", "ENV a"),
        ("ENV =a", "ENV names can not be blank", "=a"),
        ("ARG a =b", "ARG names can not be blank", "=b"),
        ("VOLUME [\" \"]", "VOLUME specified can not be an empty string", "[\" \"]"),
        ("SHELL bash -c", "SHELL requires the arguments to be in JSON form", "bash -c"),
        (
            "CMD [1]",
            "when using JSON array syntax, arrays must be comprised of strings only",
            "[1]",
        ),
        ("FROM a B c", "FROM requires either one or three arguments", "FROM a B c"),
        (
            "FROM a AS 1b",
            "invalid name for build stage: \"1b\", name can't start with a number or contain symbols",
            "1b",
        ),
        ("HEALTHCHECK TCP 80", "Unknown type \"TCP\" in HEALTHCHECK (try CMD)", "TCP"),
        ("HEALTHCHECK NONE x", "HEALTHCHECK NONE takes no arguments", "x"),
        ("HEALTHCHECK CMD", "Missing command after HEALTHCHECK CMD", "CMD"),
        ("HEALTHCHECK --retries=-1 CMD x", "--retries cannot be negative (-1)", "--retries=-1"),
        ("HEALTHCHECK --timeout=5 CMD x", "time: missing unit in duration \"5\"", "--timeout=5"),
        (
            "ONBUILD ONBUILD RUN x",
            "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed",
            "ONBUILD",
        ),
        ("ONBUILD FROM x", "FROM isn't allowed as an ONBUILD trigger", "FROM"),
        ("ONBUILD COPPY x y", "unknown instruction: COPPY (did you mean COPY?)", "COPPY"),
        ("RUN <<A\nb", "unterminated heredoc", "RUN <<A"),
    ] {
        let found = wrong(&format!("FROM scratch\n{line}\n"));
        assert_eq!(found, (message.to_owned(), word.to_owned()), "{line}");
    }
}

#[test]
fn the_whole_file() {
    for (text, message) in [
        ("", "file with no instructions"),
        ("# only\n\n# comments\n", "file with no instructions"),
        ("RUN x\nFROM y", "no build stage in current context"),
        ("ARG a\n", "dockerfile contains no stages to build"),
        ("# escape=x\nFROM y", "invalid escape token 'x' does not match ` or \\"),
    ] {
        assert_eq!(wrong(text).0, message, "{text}");
    }
    let error = parse(b"FROM a\nRUN \xff\xfe").expect_err("no text");
    assert_eq!(error.message, "the Dockerfile is not UTF-8 text (line 2)");
    assert_eq!(error.span, 11..12);
    let error = parse(b"FROM a\nRUN \xe2").expect_err("half a character");
    assert_eq!(error.span, 11..12);
    assert!(error.to_string().starts_with("dockerfile parse error: "));
}

#[test]
fn a_chain_of_onbuild_does_not_use_the_stack() {
    let text = format!("FROM a\n{}RUN x", "ONBUILD ".repeat(8000));
    assert!(wrong(&text).0.starts_with("Chaining"));
}
