use std::fs;
use std::path::{Path, PathBuf};

mod caching;
mod help;
mod upkeep;
mod warm;

use super::*;
use crate::image::ImageFormat;
use crate::registry::{Patience, ProxySettings, ProxyVariable};
use crate::request::{
    Annotated, Annotation, Annotations, CacheChoice, CompressionChoice, DockerfileSource, Export,
    Exports, Freshness, IsolationChoice, RegistryChoice, RunChoice, Sink,
};
use crate::ui::{ColorChoice, ProgressChoice, Verbosity};

/// A directory with a project in it, which the command lines below run in.
struct Project(tempfile::TempDir);

impl Project {
    fn new() -> Self {
        let project = Self(tempfile::tempdir().expect("a directory"));
        fs::create_dir_all(project.path("app/docker")).expect("a directory");
        fs::create_dir_all(project.path("home/.docker")).expect("a directory");
        for file in ["here.Dockerfile", "app/docker/Dockerfile", "home/.docker/config.json"] {
            fs::write(project.path(file), "").expect("a file");
        }
        project
    }

    fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.0.path().join(relative)
    }

    /// Runs `kiln` with arguments separated by blanks.
    fn run(&self, line: &str, variables: &[(&str, &str)]) -> Result<Invocation, CliError> {
        let args = line.split(' ').filter(|arg| !arg.is_empty()).map(|arg| match arg {
            "''" => OsString::new(),
            arg => arg.into(),
        });
        let variables = variables.iter().map(|(name, value)| (name.into(), value.into()));
        let env = Environment::new(self.0.path().to_owned(), variables);
        parse(std::iter::once("kiln".into()).chain(args), &env)
    }

    fn build_with(&self, flags: &str, variables: &[(&str, &str)]) -> (Request, OutputChoice) {
        match self.run(&format!("build {flags}"), variables) {
            Ok(Invocation::Build(job)) => (*job.request, job.output),
            other => panic!("{flags}: {other:?}"),
        }
    }

    fn build(&self, flags: &str) -> Request {
        self.build_with(flags, &[]).0
    }

    /// The error as it is printed, with the project's directory as `$PROJECT`.
    fn error(&self, line: &str, variables: &[(&str, &str)]) -> String {
        match self.run(line, variables) {
            Err(error) => {
                error.render(false).replace(&self.0.path().display().to_string(), "$PROJECT")
            }
            other => panic!("{line}: {other:?}"),
        }
    }
}

#[test]
fn defaults() {
    let project = Project::new();
    let request = project.build("-t app:1");
    let expected = Request {
        context: project.path(""),
        elsewhere: None,
        named_contexts: Default::default(),
        git: request.git.clone(),
        run: RunChoice::default(),
        dockerfile: DockerfileSource::Default,
        destinations: vec!["app:1".into()],
        push: true,
        build_args: Default::default(),
        target: None,
        labels: Vec::new(),
        annotations: Annotations::default(),
        platforms: Vec::new(),
        digest_file: None,
        digest_url: None,
        builder_output: None,
        image_name_with_digest_file: None,
        image_name_tag_with_digest_file: None,
        exports: Exports::default(),
        freshness: Freshness::default(),
        cache: CacheChoice::none(),
        format: None,
        compression: CompressionChoice::Gzip,
        compression_level: None,
        source_date_epoch: None,
        work_dir: None,
        temp_dir: request.temp_dir.clone(),
        cache_dir: None,
        ignore_paths: Vec::new(),
        isolation: IsolationChoice::Auto,
        jobs: std::thread::available_parallelism().map_or(1, usize::from),
        add_hosts: Vec::new(),
        shm_size: 64 << 20,
        skip_push_check: false,
        ignore_immutable_tags: false,
        checks_may_fail: true,
        registry: RegistryChoice {
            credentials: credentials::sources(&Environment::new("/".into(), [])),
            clouds: clouds::settings(&Environment::new("/".into(), [])),
            more_ca: trust::more_ca(&Environment::new("/".into(), [])),
            host_dirs: trust::host_dirs(&Environment::new("/".into(), [])),
            ..RegistryChoice::default()
        },
    };
    assert_eq!(request, expected);
    assert!(["/var/tmp", "/tmp"].map(Path::new).contains(&request.temp_dir.as_path()));
}

#[test]
fn every_flag_reaches_the_request() {
    let project = Project::new();
    let request = project.build(
        "app -f docker/Dockerfile --target build --build-arg A=1 --build-arg B=x=y --label l=1 \
         --annotation a=2 --platform linux/arm64 --source-date-epoch 1700000000 \
         -t r.example/a:1 -t b --no-push --oci-layout-path out/layout --tar-path ./out.tar \
         --digest-file /d --image-name-with-digest-file n --image-name-tag-with-digest-file ../t \
         --image-format docker --compression gzip --compression-level 6 --isolation none \
         --add-host db:10.0.0.2 --shm-size 1g --jobs 3 --work-dir w --skip-push-permission-check --iidfile i --metadata-file /m --squash \
         --pull --no-cache --no-cache-filter a,b --cache-dir images",
    );
    let expected = Request {
        context: project.path("app"),
        elsewhere: None,
        named_contexts: Default::default(),
        git: request.git.clone(),
        run: RunChoice::default(),
        dockerfile: DockerfileSource::Path(project.path("app/docker/Dockerfile")),
        destinations: vec!["r.example/a:1".into(), "b".into()],
        push: false,
        build_args: [("A", "1"), ("B", "x=y"), ("SOURCE_DATE_EPOCH", "1700000000")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        target: Some("build".into()),
        labels: vec![("l".into(), "1".into())],
        annotations: Annotations(vec![Annotation {
            on: Annotated::Manifest,
            platform: None,
            name: "a".into(),
            value: "2".into(),
        }]),
        platforms: vec!["linux/arm64".parse().expect("a platform")],
        digest_file: Some("/d".into()),
        digest_url: None,
        builder_output: None,
        image_name_with_digest_file: Some(project.path("n")),
        image_name_tag_with_digest_file: Some(project.path("../t")),
        exports: Exports {
            all: vec![
                Export::OciLayout {
                    dir: project.path("out/layout"),
                    names: vec!["r.example/a:1".into(), "b".into()],
                },
                Export::DockerArchive {
                    to: Sink::File(project.path("out.tar")),
                    names: vec!["r.example/a:1".into(), "b".into()],
                },
            ],
            iid_file: Some(project.path("i")),
            metadata_file: Some("/m".into()),
            squash: true,
        },
        cache: CacheChoice::none(),
        freshness: Freshness {
            pull: true,
            no_cache: true,
            no_cache_filter: vec!["a".into(), "b".into()],
        },
        format: Some(ImageFormat::Docker),
        compression: CompressionChoice::Gzip,
        compression_level: Some(6),
        source_date_epoch: Some(1_700_000_000),
        work_dir: Some(project.path("w")),
        temp_dir: request.temp_dir.clone(),
        cache_dir: Some(project.path("images")),
        ignore_paths: Vec::new(),
        isolation: IsolationChoice::None,
        jobs: 3,
        add_hosts: vec![("db".into(), "10.0.0.2".into())],
        shm_size: 1 << 30,
        skip_push_check: true,
        ignore_immutable_tags: false,
        checks_may_fail: true,
        registry: RegistryChoice {
            credentials: credentials::sources(&Environment::new("/".into(), [])),
            clouds: clouds::settings(&Environment::new("/".into(), [])),
            more_ca: trust::more_ca(&Environment::new("/".into(), [])),
            host_dirs: trust::host_dirs(&Environment::new("/".into(), [])),
            ..RegistryChoice::default()
        },
    };
    assert_eq!(request, expected);
}

#[test]
fn every_registry_flag_reaches_the_request() {
    let project = Project::new();
    let home = project.path("home");
    let (request, _) = project.build_with(
        "-t a --registry-mirror m1 --registry-mirror http://m2:5000/p/ --registry-map a=b;c=d \
         --registry-map a=e --skip-default-registry-fallback --insecure --insecure-pull \
         --insecure-registry i:5000 --skip-tls-verify --skip-tls-verify-registry s \
         --registry-certificate h=ca.pem --registry-client-cert h=/c,k --push-retry 2 \
         --retry-budget 1m30s --upload-chunk-size 64m",
        &[
            ("HOME", &home.display().to_string()),
            ("SSL_CERT_FILE", "bundle.pem"),
            ("SSL_CERT_DIR", "/etc/certs:more"),
            ("CI_SERVER_TLS_CA_FILE", "gitlab.pem"),
            ("HTTPS_PROXY", "p:3128"),
            ("no_proxy", "a,b"),
        ],
    );
    let plain = Environment::new(project.path(""), [("HOME".into(), home.clone().into())]);
    let expected = RegistryChoice {
        insecure: true,
        insecure_pull: true,
        insecure_registries: vec!["i:5000".into()],
        skip_tls_verify: true,
        skip_tls_registries: vec!["s".into()],
        registry_ca: vec![("h".into(), project.path("ca.pem"))],
        client_certs: vec![("h".into(), "/c".into(), project.path("k"))],
        ca_bundle: Some(project.path("bundle.pem")),
        ca_dirs: vec!["/etc/certs".into(), project.path("more")],
        mirrors: vec!["m1".into(), "http://m2:5000/p".into()],
        registry_map: vec![
            ("a".into(), vec!["b".into(), "e".into()]),
            ("c".into(), vec!["d".into()]),
        ],
        no_default_fallback: true,
        credentials: credentials::sources(&plain),
        clouds: super::clouds::settings(&plain),
        more_ca: vec!["/kaniko/ssl/certs".into(), project.path("gitlab.pem")],
        host_dirs: [
            home.join(".config/containers/certs.d"),
            home.join(".docker/certs.d"),
            home.join(".config/docker/certs.d"),
            "/etc/containers/certs.d".into(),
            "/etc/docker/certs.d".into(),
        ]
        .into(),
        proxies: ProxySettings {
            https: Some(ProxyVariable { variable: "HTTPS_PROXY".into(), address: "p:3128".into() }),
            http: None,
            no_proxy: "a,b".into(),
        },
        push_retry: 2,
        pull_retry: 0,
        retry_budget: Some(std::time::Duration::from_secs(90)),
        upload_chunk: Some(64 << 20),
        patience: Patience::default(),
        upstream_client: None,
    };
    assert_eq!(request.registry, expected);
}

#[test]
fn spellings_of_docker_and_kaniko_mean_the_same() {
    let project = Project::new();
    for (left, right) in [
        ("-t a app", "--destination=a --context=app"),
        ("-t a app", "--tag a -c dir://app"),
        ("-ta app/", "-d a --context ./app/."),
        ("-t a -f here.Dockerfile", "-t a --dockerfile=here.Dockerfile"),
        ("-t a --platform linux/arm64", "-t a --custom-platform=linux/arm64"),
        ("-t a --push", "-t a"),
        ("-t a --no-push", "-t a --no-push=true"),
        ("-t a", "-t a --no-push=false --insecure=0"),
        ("-t a --insecure", "-t a --insecure=false --insecure=TRUE"),
        ("-t a --target b", "-t a --target a --target b"),
        ("-t a", "-t a --target= --platform '' --digest-file= --compression-level=-1"),
        ("-t a --label x=1 --label y=2", "-t a --label=x=1 --label=y=2"),
        ("-t a app", "-t a -- app"),
    ] {
        assert_eq!(project.build(left), project.build(right), "{left} | {right}");
    }
}

#[test]
fn a_dockerfile_is_looked_for_here_and_then_in_the_context() {
    let project = Project::new();
    fs::write(project.path("app/here.Dockerfile"), "").expect("a file");
    for (file, found) in [
        ("here.Dockerfile", "here.Dockerfile"),
        ("docker/Dockerfile", "app/docker/Dockerfile"),
        ("app/docker/Dockerfile", "app/docker/Dockerfile"),
    ] {
        let request = project.build(&format!("-t a -f {file} app"));
        assert_eq!(request.dockerfile, DockerfileSource::Path(project.path(found)), "{file}");
    }
}

#[test]
fn where_the_image_goes() {
    let project = Project::new();
    for (flags, push) in [
        ("-t a", true),
        ("-t a --tar-path x", true),
        ("-t a --no-push", false),
        ("--no-push", false),
        ("--tar-path x", false),
        ("--oci-layout-path x", false),
        ("-t a -o out", false),
        ("-t a -o out --push", true),
        ("-t a -o type=registry", true),
        ("-t a -o out -o type=image,push=true", true),
        ("-o type=image,name=b,push=true", true),
        ("-t a -o type=image --tar-path x", false),
        ("-t a -o type=image --no-push", false),
    ] {
        assert_eq!(project.build(flags).push, push, "{flags}");
    }
}

#[test]
fn build_arguments_come_from_flags_and_the_environment() {
    let project = Project::new();
    for (flags, expected) in [
        ("--build-arg A=flag", vec![("A", "flag")]),
        ("--build-arg A", vec![("A", "env")]),
        ("--build-arg EMPTY", vec![("EMPTY", "")]),
        ("--build-arg A=", vec![("A", "")]),
        ("--build-arg MISSING", vec![]),
        ("--build-arg A=1 --build-arg A=2", vec![("A", "2")]),
    ] {
        let variables = [("A", "env"), ("EMPTY", "")];
        let (request, _) = project.build_with(&format!("-t a {flags}"), &variables);
        let seen: Vec<(&str, &str)> =
            request.build_args.iter().map(|(name, value)| (&**name, &**value)).collect();
        assert_eq!(seen, expected, "{flags}");
    }
}

#[test]
fn the_nearest_source_date_epoch_wins() {
    let project = Project::new();
    for (flags, variable, expected) in [
        ("", "", None),
        ("", "1", Some(1)),
        ("--build-arg SOURCE_DATE_EPOCH=2", "1", Some(2)),
        ("--build-arg SOURCE_DATE_EPOCH", "1", Some(1)),
        ("--build-arg SOURCE_DATE_EPOCH=2 --source-date-epoch 3", "1", Some(3)),
        ("--build-arg SOURCE_DATE_EPOCH=", "1", None),
    ] {
        let (request, _) =
            project.build_with(&format!("-t a {flags}"), &[("SOURCE_DATE_EPOCH", variable)]);
        assert_eq!(request.source_date_epoch, expected, "{flags}");
        let arg = request.build_args.get("SOURCE_DATE_EPOCH").filter(|arg| !arg.is_empty());
        assert_eq!(arg.cloned(), expected.map(|epoch| epoch.to_string()), "{flags}");
    }
}

#[test]
fn directories_come_from_the_environment() {
    let project = Project::new();
    let (request, _) = project.build_with("-t a", &[("TMPDIR", "/elsewhere")]);
    assert_eq!(request.temp_dir, Path::new("/elsewhere"));
}

#[test]
fn what_is_shown() {
    let project = Project::new();
    for (flags, variable, progress, color, verbosity) in [
        ("", "X=", ProgressChoice::Auto, ColorChoice::Auto, Verbosity::Normal),
        ("-q", "X=", ProgressChoice::Quiet, ColorChoice::Auto, Verbosity::Normal),
        ("--progress quiet", "X=", ProgressChoice::Quiet, ColorChoice::Auto, Verbosity::Normal),
        ("--progress tty -qv", "X=", ProgressChoice::Quiet, ColorChoice::Auto, Verbosity::Verbose),
        ("-v", "TERM=dumb", ProgressChoice::Plain, ColorChoice::Never, Verbosity::Verbose),
        (
            "--quiet=false",
            "NO_COLOR=1",
            ProgressChoice::Auto,
            ColorChoice::Never,
            Verbosity::Normal,
        ),
        ("", "NO_COLOR=", ProgressChoice::Auto, ColorChoice::Auto, Verbosity::Normal),
        (
            "--color always",
            "NO_COLOR=1",
            ProgressChoice::Auto,
            ColorChoice::Always,
            Verbosity::Normal,
        ),
    ] {
        let variable = variable.split_once('=').expect("NAME=VALUE");
        let (_, output) = project.build_with(&format!("-t a {flags}"), &[variable]);
        assert_eq!(output, OutputChoice { progress, color, verbosity }, "{flags} {variable:?}");
    }
}

#[test]
fn mistakes_are_named_with_what_to_do() {
    let project = Project::new();
    let errors: String = [
        "build",
        "build --push --tar-path x",
        "build -t a --push --no-push",
        "build --image-name-with-digest-file x --no-push",
        "build -t ''",
        "build -t",
        "build -t a --dockerfil x",
        "build -t a --cache=true",
        "build -t a --unlike-anything-else",
        "build -t a --insecure=maybe",
        "build -t a --no-push false",
        "build -t a --progress fancy",
        "build -t a --label novalue",
        "build -t a --jobs 0",
        "build -t a --provenance=false",
        "build -t a -m 1g",
        "build -t a --platform z80",
        "build -t a --platform linux/amd64,z80",
        "build -t a --annotation index:a=b",
        "build -t a --annotation manifest[linux/s390x]:a=b",
        "build -t a --platform linux/amd64,linux/arm64 --tar-path x",
        "build -t a --load",
        "build -t a -o type=docker",
        "build -t a -o type=oci,dest=x,store=true",
        "build -t a -o dest=x",
        "build -t a -o type=squashfs,dest=x",
        "build -t a -o type=local",
        "build -t a -o - -o type=oci",
        "build -o type=registry",
        "build -t a --no-push -o type=registry",
        "build -t a -o type=oci,dest=x,force-compression=true",
        "build -t a -o type=oci,dest=x,compression=estargz",
        "build -t a -o type=oci,dest=x,compression=zstd -o type=registry,compression=gzip",
        "build -t a -o type=docker,dest=x,compression=zstd",
        "build -t a --compression uncompressed --compression-level 1",
        "build -t a --compression-level 10",
        "build -t a --compression-level fast",
        "build -t a --push-retry -1",
        "build -t a --push-retry=-1",
        "build -t a --build-arg",
        "build -t a --progress",
        "build -x",
        "build -t a --compression zstd --tar-path x",
        "build -t a --compression zstd --image-format docker",
        "build -t a --add-host db:host-gateway",
        "build -t a --shm-size huge",
        "build -t a --source-date-epoch yesterday",
        "build -t a --registry-mirror ftp://mirror",
        "build -t a missing",
        "build -t a here.Dockerfile",
        "build -t a ''",
        "build -t a -c app app",
        "build -t a app home",
        "build -t a s3://user:secret@host/x.tar.gz?signature=secret",
        "build -t a https://user:secret@host/r.git?wrong=1",
        "build -t a -f - -",
        "build -t a --build-context base app",
        "build -t a --build-context base=target:other app",
        "build -t a -f missing app",
        "build -t a -f missing",
        "-t a .",
        "buidl -t a .",
    ]
    .iter()
    .map(|line| {
        let error = project.error(line, &[]);
        assert!(!error.contains("secret"), "{error}");
        format!("$ kiln {line}\n{error}")
    })
    .collect();
    insta::assert_snapshot!(errors);
}

#[test]
fn a_bad_variable_is_named() {
    let project = Project::new();
    insta::assert_snapshot!(
        project.error("build -t a", &[("SOURCE_DATE_EPOCH", "now")]),
        @r"
        error: SOURCE_DATE_EPOCH is `now`: expected seconds since 1970-01-01, e.g. 1700000000
        help: set it as an environment variable or a build argument to such a number
        "
    );
}

#[test]
fn help_and_version() {
    let project = Project::new();
    let text = |line: &str| match project.run(line, &[]) {
        Ok(Invocation::Help(text) | Invocation::Version(text)) => text,
        other => panic!("{line}: {other:?}"),
    };
    assert_eq!(text(""), text("--help"));
    assert_eq!(text("-h"), text("--help"));
    assert_eq!(text("build -h"), text("build --help"));
    assert_eq!(text("--version"), format!("kiln {}\n", env!("CARGO_PKG_VERSION")));
    insta::assert_snapshot!("help", text(""));
    insta::assert_snapshot!("build_help", text("build --help"));
    assert_eq!(text("doctor --help"), include_str!("help/doctor.txt"));
    assert_eq!(text("check --help"), include_str!("help/check.txt"));
}

#[test]
fn questions_need_no_name_and_push_nothing() {
    let project = Project::new();
    let ask = |line: &str, variables: &[(&str, &str)]| match project.run(line, variables) {
        Ok(Invocation::Look { job, call }) => (*job.request, call),
        other => panic!("{line}: {other:?}"),
    };
    let check = Call { subject: Subject::Check, json: false, ignore_status: false };
    let (request, call) = ask("check --target t app", &[]);
    assert_eq!((request.push, call), (false, check));
    assert_eq!((request.context, request.target.as_deref()), (project.path("app"), Some("t")));
    let (request, call) = ask("build --check -t app:1 --push app", &[]);
    assert_eq!((request.push, request.destinations, call), (false, Vec::new(), check));
    assert_eq!(ask("build --call=outline --check .", &[]).1, check);
    assert_eq!(ask("build --check --call=outline .", &[]).1.subject, Subject::Outline);
    assert_eq!(ask("check --call=targets --json .", &[]).1.subject, Subject::Targets);
    assert!(ask("check --call=targets --json .", &[]).1.json);
    // In a job of GitLab's, which need not have a registry.
    let dir = project.path("app").display().to_string();
    let job = [("CI_PROJECT_DIR", dir.as_str()), ("GITLAB_CI", "true")];
    assert_eq!(ask("check", &job).0.context, project.path("app"));
    assert!(matches!(project.run("build --call=build -t a .", &[]), Ok(Invocation::Build(_))));
    assert!(matches!(project.run("build --check=false -t a .", &[]), Ok(Invocation::Build(_))));
}

#[test]
fn clap_finds_no_fault() {
    flags::command().debug_assert();
}
