use std::collections::BTreeMap;

use super::*;
use crate::dockerfile::parse;
use crate::image::ImageConfig;

/// A Dockerfile and what is known around it.
struct Case<'a> {
    text: &'a str,
    args: Vec<(&'a str, &'a str)>,
    target: Option<&'a str>,
    bases: Vec<(&'a str, ImageConfig)>,
}

fn case(text: &str) -> Case<'_> {
    Case { text, args: Vec::new(), target: None, bases: Vec::new() }
}

fn image(change: impl FnOnce(&mut ImageConfig)) -> ImageConfig {
    let mut config = ImageConfig::scratch(&amd64());
    config.rootfs.diff_ids.push(crate::digest::Digest::of(b"layer"));
    change(&mut config);
    config
}

fn amd64() -> Platform {
    "linux/amd64".parse().expect("a platform")
}

impl<'a> Case<'a> {
    fn arg(mut self, name: &'a str, value: &'a str) -> Self {
        self.args.push((name, value));
        self
    }

    fn target(mut self, name: &'a str) -> Self {
        self.target = Some(name);
        self
    }

    fn base(mut self, name: &'a str, config: ImageConfig) -> Self {
        self.bases.push((name, config));
        self
    }

    fn inputs(&self) -> Inputs {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Inputs {
            path: "Dockerfile".into(),
            args: self.args.iter().map(own).collect(),
            target: self.target.map(str::to_owned),
            platform: amd64(),
            labels: Vec::new(),
            contexts: BTreeMap::new(),
        }
    }

    fn bases(&self) -> Bases {
        let key = |name: &str| ImageKey { name: name.to_owned(), platform: "linux/amd64".into() };
        self.bases.iter().map(|(name, config)| (key(name), config.clone())).collect()
    }

    fn check(&self, which: Which) -> Result<Checked, LintError> {
        let file = parse(self.text.as_bytes()).expect("the text parses");
        check(&file, &self.inputs(), &self.bases(), None, which)
    }

    /// Rule and marked text of each finding.
    fn found(&self, which: Which) -> Vec<(&'static str, &'a str)> {
        let checked = self.check(which).expect("the wishes are clear");
        let pair = |one: &Finding| (one.rule.name, &self.text[one.span.clone()]);
        checked.findings.iter().map(pair).collect()
    }

    fn messages(&self) -> Vec<String> {
        let checked = self.check(Which::All).expect("the wishes are clear");
        checked.findings.into_iter().map(|one| one.message).collect()
    }
}

#[test]
fn each_rule_marks_its_place() {
    let rows: &[(&str, &[(&str, &str)])] = &[
        ("ARG V=1\nFROM a:${V}$W", &[("UndefinedArgInFrom", "$W")]),
        ("FROM a-$TARGETARCH", &[]),
        ("ARG X\nFROM a$X", &[]),
        ("FROM --platform=$TARGETPLATFORM a", &[("RedundantTargetPlatform", "$TARGETPLATFORM")]),
        ("FROM --platform=$BUILDPLATFORM a", &[]),
        ("FROM --platform=linux/$TARGETARCH a", &[]),
        ("FROM --platform=linux/arm64 a", &[("FromPlatformFlagConstDisallowed", "linux/arm64")]),
        ("FROM --platform=linux/arm64 a AS for-arm64", &[]),
        ("ARG V\nFROM a:$V", &[("InvalidDefaultArgInFrom", "a:$V")]),
        ("ARG V=1\nFROM a:$V", &[]),
        ("FROM a AS Big\nFROM Big", &[("StageNameCasing", "Big")]),
        ("FROM scratch\nWORKDIR a\nWORKDIR b", &[("WorkdirRelativePath", "a")]),
        ("FROM scratch AS a\nWORKDIR /a\nFROM a\nWORKDIR b", &[]),
        ("FROM scratch\nARG API_KEY", &[("SecretsUsedInArgOrEnv", "API_KEY")]),
        ("FROM scratch\nENV A=1 MY_TOKEN=x", &[("SecretsUsedInArgOrEnv", "MY_TOKEN")]),
        ("FROM scratch\nENV TOKEN_FILE=x", &[]),
        // As in BuildKit, a default of its own does not make a variable known.
        (
            "FROM scratch\nCOPY $a ${b:-$c} /",
            &[("UndefinedVar", "$a"), ("UndefinedVar", "${b"), ("UndefinedVar", "$c")],
        ),
        ("FROM scratch\nARG a\nCOPY $a.x /$PATH", &[]),
        ("FROM scratch AS s\nARG a\nENV b=1\nFROM s\nCOPY $a$b /", &[]),
        ("FROM scratch\nCOPY <<E <<'F' /\n$x\nE\n$y\nF", &[("UndefinedVar", "$x")]),
        ("FROM scratch\nRUN --mount=target=/$t,from=$f x", &[("UndefinedVar", "$t")]),
        ("FROM scratch\nEXPOSE $p 80/TCP", &[("ExposeProtoCasing", "80/TCP")]),
        ("FROM scratch\nEXPOSE 1:80 80", &[("ExposeInvalidFormat", "1:80")]),
        ("FROM scratch\nCMD b", &[("JSONArgsRecommended", "CMD b")]),
        ("FROM scratch\nCMD [\"b\"]", &[]),
        ("FROM scratch\nSHELL [\"b\"]\nENTRYPOINT b", &[]),
        ("FROM scratch AS s\nSHELL [\"b\"]\nFROM S\nCMD b", &[]),
        (
            "FROM scratch\nCMD [\"b\"]\nCMD []\nFROM scratch\nCMD []",
            &[("MultipleInstructionsDisallowed", "CMD [\"b\"]")],
        ),
        ("FROM scratch AS s\nONBUILD CMD b\nFROM s", &[("JSONArgsRecommended", "FROM s")]),
    ];
    for (text, expected) in rows {
        assert_eq!(case(text).found(Which::All), *expected, "{text}");
    }
}

#[test]
fn what_was_perhaps_meant() {
    assert_eq!(
        case("FROM --platform=$BULIDPLATFORM scratch\nENV PATH=$PAHT:/x").messages(),
        [
            "FROM argument 'BULIDPLATFORM' is not declared (did you mean BUILDPLATFORM?)",
            "Usage of undefined variable '$PAHT' (did you mean $PATH?)",
        ]
    );
}

#[test]
fn only_needed_stages_are_walked_through() {
    let text = "FROM scratch AS a\nCMD x\nENV b c\nFROM scratch AS B\nENTRYPOINT y\n\
                FROM scratch\nCOPY --from=b / /";
    let all =
        ["JSONArgsRecommended", "LegacyKeyValueFormat", "StageNameCasing", "JSONArgsRecommended"];
    let names = |case: Case<'_>, which| -> Vec<&str> {
        case.found(which).into_iter().map(|(name, _)| name).collect()
    };
    assert_eq!(names(case(text), Which::All), all);
    assert_eq!(names(case(text), Which::Needed), all[2..]);
    assert_eq!(names(case(text).target("a"), Which::Needed), all[..3]);
}

#[test]
fn a_base_that_is_not_known_is_given_the_benefit_of_the_doubt() {
    let text = "FROM x\nCOPY $a /\nWORKDIR $b";
    assert_eq!(case(text).found(Which::All), []);
    let known = || image(|config| config.config.env = vec!["b=/".into()]);
    assert_eq!(case(text).base("x", known()).found(Which::All), [("UndefinedVar", "$a")]);
    let text = "FROM x\nCMD y";
    let shell = image(|config| config.config.shell = Some(vec!["sh".into()]));
    assert_eq!(case(text).base("x", shell).found(Which::All), []);
}

#[test]
fn an_image_for_another_platform() {
    let arm = image(|config| {
        config.architecture = "arm64".into();
        config.variant = Some("v8".into());
    });
    let case = case("FROM x").base("x", arm);
    assert_eq!(case.found(Which::Needed), [("InvalidBaseImagePlatform", "x")]);
    assert_eq!(
        case.messages(),
        ["Base image x was pulled with platform \"linux/arm64\", expected \"linux/amd64\" for \
          current build"]
    );
}

#[test]
fn what_a_base_left_to_do_counts() {
    let base = image(|config| {
        config.config.on_build = vec!["ENV a=1".into(), "CMD x".into(), "COPY $b /".into()];
    });
    let found = case("FROM x\nCOPY $a /\nCMD []").base("x", base).found(Which::All);
    assert_eq!(
        found,
        [
            ("JSONArgsRecommended", "FROM x"),
            ("UndefinedVar", "FROM x"),
            ("MultipleInstructionsDisallowed", "FROM x"),
        ]
    );
}

#[test]
fn rules_are_switched_off_and_on() {
    let text = "FROM scratch\nCMD b\nWORKDIR c";
    let names = |text: &str, arg: Option<&str>| -> Vec<&'static str> {
        let case = case(text);
        let case = match arg {
            Some(value) => case.arg(ARGUMENT, value),
            None => case,
        };
        case.found(Which::All).into_iter().map(|(name, _)| name).collect()
    };
    let both = ["JSONArgsRecommended", "WorkdirRelativePath"];
    assert_eq!(names(text, None), both);
    assert_eq!(names(text, Some("skip=JSONArgsRecommended")), both[1..]);
    assert_eq!(names(text, Some("skip=all")), both[..0]);
    let directive = format!("# check=skip=WorkdirRelativePath\n{text}");
    assert_eq!(names(&directive, None), both[..1]);
    assert_eq!(names(&directive, Some("")), both);
    let comment = "FROM scratch\n# check=skip=JSONArgsRecommended,x\nCMD b\nENTRYPOINT c";
    assert_eq!(case(comment).found(Which::All), [("JSONArgsRecommended", "ENTRYPOINT c")]);
    let comment =
        "# check=skip=all\n\n\nFROM scratch AS A\n# check=skip=StageNameCasing\nFROM a AS B";
    assert_eq!(names(comment, Some("")), ["StageNameCasing"]);
    let described = "# odd\nARG x\nFROM scratch";
    assert_eq!(names(described, None), both[..0]);
    let experimental = ["InvalidDefinitionDescription"];
    assert_eq!(names(described, Some("experimental=all")), experimental);
    let local = "FROM scratch\n# check=experimental=InvalidDefinitionDescription\nARG x";
    assert_eq!(names(local, None), experimental);
}

#[test]
fn findings_can_be_an_error() {
    let text = "# check=error=true\nFROM scratch\nCMD b\nWORKDIR c\nENTRYPOINT d";
    let violation = |case: Case<'_>| {
        let checked = case.check(Which::Needed).expect("the wishes are clear");
        checked.violation.map(|error| (error.message.clone(), error.span))
    };
    let message =
        "lint violation found for rules: JSONArgsRecommended, WorkdirRelativePath".to_owned();
    assert_eq!(violation(case(text)), Some((message.clone(), 8..18)));
    assert_eq!(violation(case(text).arg(ARGUMENT, "error=false")), None);
    assert_eq!(violation(case(&text[19..]).arg(ARGUMENT, "error=1")), Some((message, 13..18)));
    assert_eq!(violation(case("# check=error=true\nFROM scratch")), None);
}

#[test]
fn wishes_that_cannot_be_read() {
    let error = |case: Case<'_>| case.check(Which::All).expect_err("must fail").to_string();
    assert_eq!(
        error(case("# check=skip\nFROM scratch")),
        "Dockerfile:1: failed to parse check options: invalid check option \"skip\""
    );
    assert_eq!(
        error(case("FROM scratch").arg(ARGUMENT, "x=1")),
        "failed to parse BUILDKIT_DOCKERFILE_CHECK: invalid check option \"x\""
    );
}

#[test]
fn an_outline_lists_what_is_asked_for() {
    let text = "# V of the base\nARG V=1\nARG U=$V\nARG NONE\n# a it is\nFROM x:$U AS a\n\
                # P says so\nARG P=$HOME/p\nARG V\nRUN --mount=type=secret,id=s,required x\n\
                FROM a AS b\nARG P=2\nARG TARGETOS Q\n\
                RUN --mount=type=ssh --mount=type=secret,target=/run/t x\nFROM scratch AS c";
    let file = parse(text.as_bytes()).expect("the text parses");
    let base = image(|config| config.config.env = vec!["HOME=/h".into()]);
    let case = case(text).target("b").arg("Q", "given").base("x:1", base);
    let outline = outline::outline(&file, &case.inputs(), &case.bases()).expect("a target");
    assert_eq!((outline.name.as_deref(), outline.description), (Some("b"), None));
    let args: BTreeMap<_, _> = outline
        .args
        .iter()
        .map(|arg| (arg.name.as_str(), (arg.value.as_deref(), arg.description.as_deref())))
        .collect();
    let expected = BTreeMap::from([
        ("U", (Some("1"), None)),
        ("V", (Some("1"), Some("of the base"))),
        ("P", (Some("2"), None)),
        ("Q", (Some("given"), None)),
    ]);
    assert_eq!(args, expected);
    let names: Vec<_> = outline.args.iter().map(|arg| arg.name.as_str()).collect();
    assert_eq!(names, ["V", "U", "P", "Q"]);
    let mounts = |mounts: &[outline::OutlineMount]| -> Vec<(String, bool)> {
        mounts.iter().map(|mount| (mount.name.clone(), mount.required)).collect()
    };
    assert_eq!(mounts(&outline.secrets), [("s".to_owned(), true), ("t".to_owned(), false)]);
    assert_eq!(mounts(&outline.ssh), [("default".to_owned(), false)]);
    let case = self::case(text).target("a");
    let outline = outline::outline(&file, &case.inputs(), &case.bases()).expect("a target");
    assert_eq!(outline.description.as_deref(), Some("it is"));
}

#[test]
fn a_huge_file_takes_no_time_to_speak_of() {
    // Every line is a finding of two kinds: looking through all of them for each would take minutes.
    let text = format!("FROM scratch\n{}", "env A_KEY $x\n".repeat(50_000));
    assert_eq!(case(&text).check(Which::All).expect("a check").findings.len(), 150_001);
}

proptest::proptest! {
    /// Whatever stands in a file, looking at it ends with an answer, and every place is in the file.
    #[test]
    fn odd_files_do_no_harm(lines in proptest::collection::vec(odd_line(), 0..12)) {
        let text = format!("ARG A\nFROM scratch AS a\n{}", lines.join("\n"));
        if parse(text.as_bytes()).is_ok() {
            for which in [Which::Needed, Which::All] {
                for finding in case(&text).check(which).expect("no wishes").findings {
                    assert!(text.get(finding.span).is_some() && text.get(finding.instruction).is_some());
                }
            }
            let file = parse(text.as_bytes()).expect("it parses");
            let _ = outline::outline(&file, &case(&text).inputs(), &Bases::new());
        }
    }
}

fn odd_line() -> impl proptest::strategy::Strategy<Value = String> {
    use proptest::prelude::*;
    let name = prop::sample::select(vec![
        "FROM",
        "FROM --platform=$A",
        "RUN --mount=type=secret,$A",
        "COPY",
        "COPY --from=0",
        "ADD",
        "ENV",
        "ARG",
        "EXPOSE",
        "WORKDIR",
        "ONBUILD COPY",
        "CMD",
        "HEALTHCHECK CMD",
        "LABEL",
        "#",
    ]);
    let word = prop::sample::select(vec![
        "$A",
        "${A:-$ß}",
        "a",
        "A",
        "é$é",
        "\"",
        "=$x",
        "KEY=1",
        "as",
        "AS",
        "b",
        "80:1/TCP",
        "/",
        "",
        "a\\",
        "<<E",
        "E",
        "$",
        "${",
        "scratch",
    ]);
    (name, prop::collection::vec(word, 0..5))
        .prop_map(|(name, words)| format!("{name} {}", words.join(" ")))
}
