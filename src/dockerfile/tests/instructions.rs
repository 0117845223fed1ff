use std::time::Duration;

use super::*;

#[test]
fn stages_and_global_arguments() {
    let file =
        parsed("\u{feff}ARG V=1\nFROM --platform=$BUILDPLATFORM a:$V as Base\nRUN x\nfrom base");
    assert!(file.text.starts_with("ARG"));
    let v = Arg { name: "V".into(), default: Some("1".into()) };
    assert_eq!(file.global_args[0].instruction, Instruction::Arg(vec![v]));
    let from = &file.stages[0].from;
    assert_eq!(from.platform.as_deref(), Some("$BUILDPLATFORM"));
    assert_eq!((from.base.as_str(), from.name.as_deref()), ("a:$V", Some("base")));
    assert_eq!(file.stages[0].nodes.len(), 1);
    assert_eq!(file.stages[1].from.base, "base");
    assert_eq!(&file.text[file.stages[1].node_span.clone()], "from base");
}

#[test]
fn directives_are_kept() {
    let file = parsed(
        "# syntax=docker/dockerfile:1.7-labs\n# escape=`\n# check=skip=all\nFROM a `\n AS b",
    );
    assert_eq!(file.directives.escape, '`');
    let (syntax, span) = file.directives.syntax.expect("a syntax");
    assert_eq!(syntax, "docker/dockerfile:1.7-labs");
    assert_eq!(file.text[span], syntax);
    assert_eq!(file.directives.check.map(|(value, _)| value).as_deref(), Some("skip=all"));
    assert_eq!(file.stages[0].from.name.as_deref(), Some("b"));
}

#[test]
fn lines_and_places() {
    let text = "FROM a\n  run  x \\\n # why\n  y <<E z  \nbody\nE\nUSER u\n";
    let file = parsed(text);
    let node = &file.stages[0].nodes[0];
    assert_eq!(node.line, "run  x   y <<E z");
    assert_eq!(&text[node.span.clone()], "run  x \\\n # why\n  y <<E z  \nbody\nE");
    let Instruction::Run(run) = &node.instruction else { panic!("{node:?}") };
    assert_eq!(run.command, shell("x   y <<E z"));
    assert_eq!(run.heredocs[0].body, "body\n");
    assert_eq!(file.stages[0].nodes[1].instruction, Instruction::User("u".into()));
}

#[test]
fn run_with_everything() {
    let node = one(
        "RUN --mount=type=cache,target=/c --mount='type=secret,id=a b' --network=none --security=insecure --device=v.com/d=x [\"a\", \"b\"]",
    );
    let Instruction::Run(run) = node.instruction else { panic!("{node:?}") };
    assert_eq!(run.mounts, ["type=cache,target=/c", "type=secret,id=a b"]);
    assert_eq!(run.network.as_deref(), Some("none"));
    assert_eq!(run.security.as_deref(), Some("insecure"));
    assert_eq!(run.devices, ["v.com/d=x"]);
    assert_eq!(run.command, exec(&["a", "b"]));
}

#[test]
fn copy_and_add_with_everything() {
    let node = one(
        "COPY --from=a --chown=1:2 --chmod=u+x --link --parents=false --exclude=*.a --exclude=b \"x y\" $z /d/",
    );
    let expected = Transfer {
        sources: strings(&["\"x", "y\"", "$z"]),
        dest: "/d/".into(),
        from: Some("a".into()),
        chown: Some("1:2".into()),
        chmod: Some("u+x".into()),
        link: true,
        exclude: strings(&["*.a", "b"]),
        ..Transfer::default()
    };
    assert_eq!(node.instruction, Instruction::Copy(expected));

    let node = one("ADD --checksum=sha256:0 --keep-git-dir=TRUE --unpack=false [\"a b\", \"<<E\"]");
    let expected = Transfer {
        sources: strings(&["a b"]),
        dest: "<<E".into(),
        checksum: Some("sha256:0".into()),
        keep_git_dir: true,
        unpack: Some(false),
        ..Transfer::default()
    };
    assert_eq!(node.instruction, Instruction::Add(expected));
}

#[test]
fn heredocs_of_a_copy() {
    let node = one("COPY <<-A b 2<<\"C\" /d/\n\t\tx\n\t\tA\n$y\nC");
    let Instruction::Copy(copy) = node.instruction else { panic!("{node:?}") };
    assert_eq!(copy.sources, ["b"]);
    let heredoc = |name: &str, body: &str, expand, chomp, descriptor| Heredoc {
        name: name.into(),
        body: body.into(),
        expand,
        chomp,
        descriptor,
    };
    let expected = [heredoc("A", "x\n", true, true, 0), heredoc("C", "$y\n", false, false, 2)];
    assert_eq!(copy.heredocs, expected);
}

#[test]
fn a_body_may_hold_anything() {
    let node = one("RUN <<E\n# not a comment\r\n\n\\\nFROM x\nE\r\n");
    let Instruction::Run(run) = node.instruction else { panic!("{node:?}") };
    assert_eq!(run.heredocs[0].body, "# not a comment\r\n\n\\\nFROM x\n");
}

#[test]
fn onbuild_keeps_text_and_meaning() {
    let node = one("ONBUILD  copy <<A \\\n b /d\nx\nA");
    let Instruction::OnBuild(onbuild) = &node.instruction else { panic!("{node:?}") };
    assert_eq!(onbuild.text, "copy <<A  b /d\nx\nA");
    let again = parse_onbuild(&onbuild.text).expect("an instruction");
    assert_eq!(again.instruction, *onbuild.instruction);
    assert_eq!(again.line, "copy <<A  b /d");

    for text in ["", "RUN a\nRUN b", "FROM a", "ONBUILD RUN a", "RUNN", "COPY a"] {
        assert!(parse_onbuild(text).is_err(), "{text:?}");
    }
    assert!(parse_onbuild("MAINTAINER me").is_ok());
}

#[test]
fn the_other_instructions() {
    let pair = |key: &str, value: &str| Pair { key: key.into(), value: value.into() };
    let arg = |name: &str, default: Option<&str>| Arg {
        name: name.into(),
        default: default.map(str::to_owned),
    };
    for (line, expected) in [
        ("ENV a b  c", Instruction::Env(vec![pair("a", "b  c")])),
        ("ENV a='b c' d=\\ e", Instruction::Env(vec![pair("a", "'b c'"), pair("d", "\\ e")])),
        ("LABEL \"a b\"=c=d", Instruction::Label(vec![pair("\"a b\"", "c=d")])),
        (
            "ARG a b= c=$d",
            Instruction::Arg(vec![arg("a", None), arg("b", Some("")), arg("c", Some("$d"))]),
        ),
        ("CMD a  b", Instruction::Cmd(shell("a  b"))),
        ("CMD []", Instruction::Cmd(exec(&[]))),
        ("CMD", Instruction::Cmd(shell(""))),
        ("ENTRYPOINT [\"a\"]", Instruction::Entrypoint(exec(&["a"]))),
        ("ENTRYPOINT [\"a\"", Instruction::Entrypoint(shell("[\"a\""))),
        ("EXPOSE 80 $P/udp", Instruction::Expose(strings(&["80", "$P/udp"]))),
        ("USER  a:b ", Instruction::User("a:b".into())),
        ("WORKDIR /a b", Instruction::Workdir("/a b".into())),
        ("VOLUME /a /b", Instruction::Volume(strings(&["/a", "/b"]))),
        ("VOLUME [\"/a b\"]", Instruction::Volume(strings(&["/a b"]))),
        ("STOPSIGNAL 9", Instruction::StopSignal("9".into())),
        ("SHELL [\"a\", \"-c\"]", Instruction::Shell(strings(&["a", "-c"]))),
        ("MAINTAINER a <b>", Instruction::Maintainer("a <b>".into())),
        ("HEALTHCHECK none", Instruction::Healthcheck(Healthcheck::None)),
    ] {
        assert_eq!(one(line).instruction, expected, "{line}");
    }
}

#[test]
fn healthcheck_with_everything() {
    let node =
        one("HEALTHCHECK --interval=1m --timeout=1.5s --start-period=0s --retries=3 cmd [\"a\"]");
    let expected = Healthcheck::Check {
        command: exec(&["a"]),
        interval: Some(Duration::from_secs(60)),
        timeout: Some(Duration::from_millis(1500)),
        start_period: Some(Duration::ZERO),
        start_interval: None,
        retries: Some(3),
    };
    assert_eq!(node.instruction, Instruction::Healthcheck(expected));
}
