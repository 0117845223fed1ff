use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

mod cache;

use super::super::{Invocation, Job, Remark, Warming, parse};
use super::table::{Effect, Flag, Kind};
use super::*;
use crate::image::Platform;
use crate::request::{Annotated, DockerfileSource, Export, IsolationChoice};
use crate::ui::{LogFormat, LogLevel, ProgressChoice};

/// A directory with a project in it, where the programs run.
struct Project(tempfile::TempDir);

impl Project {
    fn new() -> Self {
        let project = Self(tempfile::tempdir().expect("a directory"));
        fs::create_dir_all(project.path("app/docker")).expect("a directory");
        for file in ["here.Dockerfile", "app/Dockerfile", "app/docker/Dockerfile"] {
            fs::write(project.path(file), "").expect("a file");
        }
        project
    }

    fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.0.path().join(relative)
    }

    fn run(
        &self,
        line: &str,
        variables: &[(&str, &str)],
    ) -> Result<Invocation, super::super::CliError> {
        let args = line.split(' ').filter(|arg| !arg.is_empty()).map(|arg| match arg {
            "''" => OsString::new(),
            arg => arg.into(),
        });
        let variables = variables.iter().map(|(name, value)| (name.into(), value.into()));
        parse(args, &Environment::new(self.0.path().to_owned(), variables))
    }

    fn job_with(&self, flags: &str, variables: &[(&str, &str)]) -> Job {
        match self.run(&format!("/kaniko/executor {flags}"), variables) {
            Ok(Invocation::Build(job) | Invocation::Plan(job)) => job,
            other => panic!("{flags}: {other:?}"),
        }
    }

    fn job(&self, flags: &str) -> Job {
        self.job_with(flags, &[])
    }

    fn warming(&self, flags: &str) -> Warming {
        match self.run(&format!("warmer {flags}"), &[]) {
            Ok(Invocation::Warm(warming)) => warming,
            other => panic!("{flags}: {other:?}"),
        }
    }

    /// The error as it is printed, with the project's directory as `$PROJECT`.
    fn error(&self, line: &str, variables: &[(&str, &str)]) -> String {
        match self.run(line, variables) {
            Err(error) => {
                assert_eq!(error.exit_code(), 1, "{line}");
                error.render(false).replace(&self.0.path().display().to_string(), "$PROJECT")
            }
            other => panic!("{line}: {other:?}"),
        }
    }
}

fn warnings(job: &Job) -> Vec<&str> {
    let mut texts = Vec::new();
    for remark in &job.remarks {
        if let Remark::Warning(text) = remark {
            texts.push(text.as_str());
        }
    }
    texts
}

fn flags(tool: Tool) -> impl Iterator<Item = &'static Flag> {
    tool.table().iter().copied().flatten()
}

/// A value that the flag does not have by default.
fn sample(flag: &Flag) -> String {
    let words = |words: &[&str]| {
        let other = words.iter().find(|word| **word != flag.default);
        (*other.expect("two words")).to_owned()
    };
    match (flag.name, flag.kind) {
        (_, Kind::Switch) => (flag.default == "false").to_string(),
        (_, Kind::Word(all)) => words(all),
        (_, Kind::Number) => "3".into(),
        (_, Kind::Duration) => "1h".into(),
        ("registry-client-cert", _) => "r.test=/c,/k".into(),
        (_, Kind::Pairs) => "r.test=x".into(),
        ("label" | "build-arg", _) => "NAME=value".into(),
        ("insecure-registry" | "skip-tls-verify-registry", _) => "r.test:5000".into(),
        ("context", _) => "dir://app".into(),
        ("dockerfile", _) => "here.Dockerfile".into(),
        ("custom-platform" | "customPlatform", _) => "linux/arm64".into(),
        _ => "some/thing".into(),
    }
}

#[test]
fn every_flag_is_read_in_every_spelling() {
    for tool in [Tool::Executor, Tool::Warmer] {
        for flag in flags(tool) {
            let value = sample(flag);
            let names = std::iter::once(&flag.name).chain(flag.old).map(|n| format!("--{n}"));
            let mut spellings: Vec<Vec<String>> = Vec::new();
            for name in names {
                spellings.push(vec![format!("{name}={value}")]);
                if flag.kind != Kind::Switch {
                    spellings.push(vec![name.clone(), value.clone()]);
                } else if value == "true" {
                    spellings.push(vec![name.clone()]);
                }
            }
            if let Some(letter) = flag.short {
                if flag.kind == Kind::Switch {
                    spellings.push(vec![format!("-{letter}")]);
                } else {
                    spellings.push(vec![format!("-{letter}"), value.clone()]);
                    spellings.push(vec![format!("-{letter}{value}")]);
                }
                spellings.push(vec![format!("-{letter}={value}")]);
            }
            for args in spellings {
                let values = Values::read(tool.table(), args.iter().map(OsString::from))
                    .unwrap_or_else(|error| panic!("{args:?}: {error}"));
                assert_eq!(values.list(flag.name), std::slice::from_ref(&value), "{args:?}");
                let old = flag.old.iter().any(|old| args[0].starts_with(&format!("--{old}")));
                let warned = values.remarks().iter().any(|remark| match remark {
                    Remark::Warning(text) => text.contains("old spelling"),
                    _ => false,
                });
                assert_eq!(warned, old, "{args:?}");
            }
            let twice = [format!("--{}={value}", flag.name), format!("--{}={value}", flag.name)];
            let values = Values::read(tool.table(), twice.iter().map(OsString::from));
            let count = values.expect("values").list(flag.name).len();
            assert_eq!(count, if flag.kind.repeats() { 2 } else { 1 }, "{}", flag.name);
        }
    }
}

#[test]
fn names_are_unique_and_defaults_are_values() {
    for tool in [Tool::Executor, Tool::Warmer] {
        let mut names = BTreeSet::new();
        let mut letters = BTreeSet::new();
        for flag in flags(tool) {
            for name in std::iter::once(&flag.name).chain(flag.old) {
                assert!(names.insert(*name), "{name}");
            }
            assert!(flag.short.is_none_or(|letter| letters.insert(letter)), "{}", flag.name);
            if !flag.kind.repeats() && !flag.default.is_empty() {
                let arg = OsString::from(format!("--{}={}", flag.name, flag.default));
                let values = Values::read(tool.table(), [arg]).expect(flag.name);
                assert_eq!(values.remarks(), [], "{}: its default needs no word", flag.name);
            }
        }
    }
}

/// Without a flag nothing is done: each one either changes what is asked of kiln or is talked about.
#[test]
fn no_flag_is_ignored_without_a_word() {
    let project = Project::new();
    // What some flags need to be of use.
    let company = BTreeMap::from([
        ("context", "--context=dir://app/docker"),
        ("context-sub-path", "--context=dir://app --context-sub-path=docker"),
        ("cache-dir", "--cache --cache-dir=/elsewhere"),
        ("cache-repo", "--cache --cache-repo=r.test/c"),
        ("cache-ttl", "--cache --cache-ttl=1h"),
        ("cache-run-layers", "--cache --cache-run-layers=false"),
        ("cache-copy-layers", "--cache --cache-copy-layers"),
        ("no-push-cache", "--cache --no-push-cache"),
        ("tar-path", "--tar-path=out.tar"),
        ("ignore-var-run", "--ignore-var-run"),
        ("compression-level", "--compression-level=3"),
        ("secret", "--secret=id=a,env=NAME"),
        ("credential-helpers", "--credential-helpers=ecr"),
        ("bucket", "--bucket=b/context.tar.gz"),
        ("git", "--context=git://r.test/r --git=branch=side"),
    ]);
    let base = "--context=app --destination=r.test/a";
    let (plain, cached) = (project.job(base), project.job(&format!("{base} --cache")));
    for flag in flags(Tool::Executor) {
        let own = format!("--{}={}", flag.name, sample(flag));
        let own = company.get(flag.name).copied().unwrap_or(&own);
        let line = format!("{base} {own}");
        let job = project.job(&line);
        let said = !warnings(&job).is_empty();
        let plans =
            matches!(project.run(&format!("executor {line}"), &[]), Ok(Invocation::Plan(_)));
        let plain = if own.starts_with("--cache ") { &cached } else { &plain };
        let does = job.request != plain.request || job.output != plain.output || plans;
        match flag.effect {
            Effect::Honoured => assert!(does, "{line}: nothing comes of it"),
            Effect::Nothing => {
                assert!(said, "{line}: not a word");
                assert!(!does, "{line}: it has an effect");
            }
        }
    }
}

#[test]
fn what_the_executor_asks_for() {
    let project = Project::new();
    let job = project.job(
        "-f docker/Dockerfile -c dir://app -d r.test/a:1 --destination r.test/b --build-arg A=1 \
         --build-arg=B --label l=1 --annotation a=b,c --custom-platform linux/arm64 --target '' \
         --digest-file d --image-name-with-digest-file=n --image-name-tag-with-digest-file t \
         --oci-layout-path o --tar-path x.tar --reproducible --ignore-path /product_uuid \
         --kaniko-dir /var/kaniko --push-retry 2 --image-download-retry=4 --insecure \
         --insecure-registry i:5000 --skip-tls-verify --skip-push-permission-check \
         --push-ignore-immutable-tag-errors --cache --cache-dir=c",
    );
    let request = job.request;
    assert_eq!(request.context, project.path("app"));
    assert_eq!(request.dockerfile, DockerfileSource::Path(project.path("app/docker/Dockerfile")));
    assert_eq!(request.destinations, ["r.test/a:1", "r.test/b"]);
    assert!(request.push && request.skip_push_check && request.ignore_immutable_tags);
    assert_eq!(request.build_args, BTreeMap::from([("A".to_owned(), "1".to_owned())]));
    let annotations = request.annotations.on(Annotated::Manifest, None);
    assert_eq!(annotations, [("a".to_owned(), "b,c".to_owned())].into());
    let arm: Platform = "linux/arm64".parse().expect("a platform");
    assert_eq!((request.target, request.platforms), (None, vec![arm]));
    assert_eq!(request.digest_file, Some(project.path("d")));
    assert_eq!(request.image_name_with_digest_file, Some(project.path("n")));
    assert_eq!(request.image_name_tag_with_digest_file, Some(project.path("t")));
    let written: Vec<_> = request.exports.all.iter().map(Export::path).collect();
    let expected = [project.path("o"), project.path("x.tar")];
    assert_eq!(written, [Some(expected[0].as_path()), Some(expected[1].as_path())]);
    assert_eq!(request.source_date_epoch, Some(0));
    assert_eq!(request.ignore_paths, [Path::new("/product_uuid")]);
    assert_eq!(request.work_dir, Some("/var/kaniko".into()));
    assert_eq!(request.cache_dir, Some(project.path("c")));
    assert_eq!((request.registry.push_retry, request.registry.pull_retry), (2, 4));
    assert!(request.registry.insecure && request.registry.skip_tls_verify);
    // The second is that of the cache, which is pushed by plain HTTP and read so.
    assert_eq!(request.registry.insecure_registries, ["i:5000", "r.test"]);
}

#[test]
fn the_dockerfile_is_looked_for_as_kaniko_does() {
    let project = Project::new();
    let found = |flags: &str| project.job(&format!("-d a {flags}")).request.dockerfile;
    let at = |path: &str| DockerfileSource::Path(project.path(path));
    assert_eq!(found("-c app"), DockerfileSource::Default);
    assert_eq!(found("-c app -f here.Dockerfile"), at("here.Dockerfile"));
    assert_eq!(found("-c app -f docker/Dockerfile"), at("app/docker/Dockerfile"));
    assert_eq!(found("-c app --dockerfile="), DockerfileSource::Default);
    fs::write(project.path("Dockerfile"), "").expect("a file");
    assert_eq!(found("-c app"), at("Dockerfile"));
}

#[test]
fn variables_are_read() {
    let project = Project::new();
    let job = project.job_with(
        "-c app --registry-mirror m1 --build-arg TOKEN",
        &[
            ("KANIKO_NO_PUSH", "true"),
            ("KANIKO_REGISTRY_MIRROR", "m2;m3"),
            ("KANIKO_REGISTRY_MAP", "a=b;a=c"),
            ("KANIKO_DIR", "/kaniko"),
            ("KILN_ISOLATION", "chroot"),
            ("BUILDER_OUTPUT", "out"),
            ("UPSTREAM_CLIENT_TYPE", "skaffold"),
            ("TOKEN", "t"),
            ("KANIKO_CLEANUP", "1"),
            ("KANIKO_PRE_CLEANUP", "false"),
            ("FF_KANIKO_COPY_AS_ROOT", "1"),
            ("FF_KANIKO_COPY_AS_ROTO", "1"),
        ],
    );
    let request = &job.request;
    assert!(!request.push);
    assert_eq!(request.registry.mirrors, ["m1", "m2", "m3"]);
    assert_eq!(request.registry.registry_map, [("a".into(), vec!["b".into(), "c".into()])]);
    assert_eq!(request.registry.upstream_client.as_deref(), Some("skaffold"));
    assert_eq!((&request.work_dir, request.isolation), (&None, IsolationChoice::Chroot));
    assert_eq!(request.builder_output, Some(project.path("out")));
    assert_eq!(request.build_args["TOKEN"], "t");
    let said = warnings(&job);
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].starts_with("KANIKO_CLEANUP") && said[1].contains("ROTO"), "{said:?}");
    let dir = project.job_with("-c app --no-push", &[("KANIKO_DIR", "/w")]).request.work_dir;
    assert_eq!(dir, Some("/w".into()));
}

#[test]
fn what_plugins_write_is_understood() {
    let project = Project::new();
    for flags in [
        // Drone's, which has switches where kaniko wants values.
        "--dockerfile=Dockerfile --context=dir://app --destination=r.test/a:1 --git \
         --skip-tls-verify-registry --compressed-caching=false --cache-ttl=24h --snapshot-mode=redo",
        "--context=dir://app --destination=r.test/a:1 --skip-tls-verify-registry",
        // Skaffold's.
        "--destination r.test/a:1 --dockerfile Dockerfile --context dir://app --cache \
         --cache-run-layers=true --whitelist-var-run --digest-file d --insecure-registry r.test",
        // Shipwright's.
        "--dockerfile Dockerfile --context app --destination r.test/a:1 --snapshot-mode redo \
         --no-push --tar-path image.tar --target '' --ignore-path /product_uuid",
        // DevSpace's.
        "--dockerfile=app/Dockerfile --context=dir://app --destination=r.test/a:1 \
         --snapshotMode=time --insecure --skip-tls-verify --cache=true --cache-repo=r.test/a",
    ] {
        assert_eq!(project.job(flags).request.destinations, ["r.test/a:1"], "{flags}");
    }
}

#[test]
fn the_log_is_kaniko_s() {
    let project = Project::new();
    for (flags, format, level, timestamp) in [
        ("", LogFormat::Color, LogLevel::Info, false),
        ("--log-format=json -v debug", LogFormat::Json, LogLevel::Debug, false),
        ("--log-format text -vPANIC", LogFormat::Text, LogLevel::Fatal, false),
        ("--log-timestamp --verbosity=warn", LogFormat::Color, LogLevel::Warn, true),
    ] {
        let output = project.job(&format!("-c app --no-push {flags}")).output;
        let ProgressChoice::Log(log) = output.progress else { panic!("{output:?}") };
        assert_eq!((log.format, log.level, log.timestamp), (format, level, timestamp), "{flags}");
    }
}

#[test]
fn what_the_warmer_asks_for() {
    let project = Project::new();
    let request = project
        .warming(
            "-i debian:12 --image=alpine -d here.Dockerfile --build-arg A=1 -c cache -f \
             --cache-ttl=1h30m --customPlatform linux/arm64 --registry-mirror m --insecure-pull",
        )
        .request;
    assert_eq!(request.images, ["debian:12", "alpine"]);
    assert_eq!(request.dockerfile, Some(project.path("here.Dockerfile")));
    assert_eq!((request.cache_dir, request.force), (project.path("cache"), true));
    assert_eq!(request.build_args["A"], "1");
    assert_eq!(request.ttl.as_secs(), 5400);
    assert_eq!(request.platform.as_deref(), Some("linux/arm64"));
    assert!(request.registry.insecure_pull && request.registry.mirrors == ["m"]);
    let defaults = project.warming("--image a").request;
    assert_eq!((defaults.cache_dir, defaults.force), ("/cache".into(), false));
    assert_eq!((defaults.ttl.as_secs(), defaults.dockerfile), (336 * 3600, None));
}

#[test]
fn mistakes_are_named_with_what_to_do() {
    let project = Project::new();
    let mut errors: String = [
        "executor",
        "executor --no-push",
        "executor -c app",
        "executor -c app --tar-path x",
        "executor -c '' --no-push",
        "executor -c app -d ''",
        "executor -c app -d r.test/a@sha256:0000000000000000000000000000000000000000000000000000000000000000",
        "executor -c app --no-push --cache",
        "executor -c app --no-push --image-name-with-digest-file x",
        "executor -c app --destnation r.test/a",
        "executor -c app --unlike-anything",
        "executor -x",
        "executor -c app --no-push false",
        "executor -c app --no-push=maybe",
        "executor -c app --no-push --digest-file",
        "executor -c app --no-push --compression=xz",
        "executor -c app --no-push --snapshot-mode=fast",
        "executor -c app --no-push --push-retry=some",
        "executor -c app --no-push --cache-ttl=1d",
        "executor -c app --no-push --log-format=xml",
        "executor -c app --no-push --build-arg =secret",
        "executor -c app --no-push --target a,b",
        "warmer -d https://host/Dockerfile?token=secret",
        "executor -c git://host/r --git wrong=1 --no-push",
        "executor -c git://user:secret@host/r.git#a..b --no-push",
        "executor -b bucket --no-push",
        "executor -c app --no-push --registry-map a",
        "executor login -u me -p secret ''",
        "executor push image.tar -d r.test/a",
        "executor bake",
        "warmer",
        "warmer --image ''",
        "warmer --destination r.test/a",
        "warmer -d missing",
    ]
    .iter()
    .map(|line| {
        let error = project.error(line, &[]);
        assert!(!error.contains("secret"), "{error}");
        format!("$ {line}\n{error}")
    })
    .collect();
    for (name, value) in
        [("KANIKO_NO_PUSH", "perhaps"), ("KANIKO_REGISTRY_MAP", "a"), ("KILN_ISOLATION", "vm")]
    {
        let error = project.error("executor -c app -d r.test/a", &[(name, value)]);
        errors.push_str(&format!("$ {name}={value} executor …\n{error}"));
    }
    insta::assert_snapshot!(errors);
}

#[test]
fn the_help_names_every_flag_and_fits() {
    let project = Project::new();
    for (tool, name) in [(Tool::Executor, "executor"), (Tool::Warmer, "warmer")] {
        let Ok(Invocation::Help(help)) = project.run(&format!("kiln {name} --help"), &[]) else {
            panic!("no help")
        };
        for flag in flags(tool) {
            assert!(help.contains(&format!("--{}", flag.name)), "{}", flag.name);
        }
        assert!(help.lines().all(|line| line.chars().count() <= 80), "{help}");
    }
    for line in ["executor version", "warmer version", "kiln executor version"] {
        assert!(matches!(project.run(line, &[]), Ok(Invocation::Version(_))), "{line}");
    }
}

/// docs/kaniko.md says of each flag and variable what the program does.
#[test]
fn the_documentation_is_true() {
    let docs = include_str!("../../../docs/kaniko.md");
    let mut missing = Vec::new();
    let rows = |tool| flags(tool).map(row);
    let known: BTreeSet<String> = rows(Tool::Executor).chain(rows(Tool::Warmer)).collect();
    missing.extend(known.iter().filter(|row| !docs.contains(row.as_str())).cloned());
    for (name, why) in variables::WITHOUT_EFFECT {
        let row = format!("| `{name}` | {why} |");
        if !docs.contains(&row) {
            missing.push(row);
        }
    }
    assert!(missing.is_empty(), "not in docs/kaniko.md:\n{}", missing.join("\n"));
    let stale = docs.lines().filter(|line| line.starts_with("| `--"));
    let stale: Vec<&str> = stale.filter(|line| !known.contains(*line)).collect();
    assert!(stale.is_empty(), "no longer true in docs/kaniko.md:\n{}", stale.join("\n"));
}

/// A line of the tables there.
fn row(flag: &Flag) -> String {
    let mut names = format!("`--{}`", flag.name);
    for other in flag
        .short
        .map(|s| format!("-{s}"))
        .into_iter()
        .chain(flag.old.iter().map(|o| format!("--{o}")))
    {
        names.push_str(&format!(", `{other}`"));
    }
    let kind = match flag.kind {
        Kind::Switch => "bool".to_owned(),
        Kind::Text => "text".to_owned(),
        Kind::Word(words) => words.join(", "),
        Kind::Number => "number".to_owned(),
        Kind::Duration => "duration".to_owned(),
        Kind::List => "list".to_owned(),
        Kind::Pairs => "list of k=v".to_owned(),
    };
    let default = match flag.default {
        "" => String::new(),
        default => format!("`{default}`"),
    };
    let text = match flag.effect {
        Effect::Honoured => flag.text.to_owned(),
        Effect::Nothing => format!("**No effect:** {}", flag.text),
    };
    format!("| {names} | {kind} | {default} | {text} |")
}
