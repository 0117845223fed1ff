//! `executor`: kaniko's flags and variables → the request that `kiln build` would make of its own.

use std::ffi::{OsStr, OsString};

use super::super::build_context_flags::BuildContextFlags;
use super::super::caching_flags::CachingFlags;
use super::super::check_flags::CallFlags;
use super::super::context::{self, ContextChoice, within};
use super::super::env::{self, Environment};
use super::super::error::CliError;
use super::super::export_flags::ExportFlags;
use super::super::flags::{
    BuildFlags, OutputFlags, RegistryFlags, ResultFlags, RunFlags, SourceFlags,
};
use super::super::mounts_flags::MountsFlags;
use super::super::{Job, Remark, build_context, credentials, resolve, values};
use super::values::Values;
use super::{cache, git, log, registry, variables};
use crate::image::ImageFormat;
use crate::request::{Annotated, Annotation, CompressionChoice, Elsewhere, Request};
use crate::ui::{ColorChoice, ProgressChoice};

/// Where kaniko lives in its own image.
const HOME: &str = "/kaniko";
/// What makes all dates 1970-01-01.
const EPOCH: i64 = 0;

/// What the executor is to build.
pub(super) fn job(values: &Values, env: &Environment) -> Result<Job, CliError> {
    let mut remarks = values.remarks();
    remarks.extend(variables::remarks(env));
    let no_push = no_push(values, env)?;
    check(values, no_push, env)?;
    let (context, below) = named_context(values, &mut remarks)?;
    let digest_url = values.text("digest-file").filter(|to| to.starts_with("https://"));
    let place = match git::repository(&context, values, env)? {
        Some(repository) => ContextChoice {
            dir: within(below.as_deref().map(OsStr::new)).to_owned(),
            elsewhere: Some(Elsewhere::Repository(Box::new(repository))),
        },
        None => context::source(Some(context.as_ref()), below.as_deref().map(OsStr::new), env)?,
    };
    let (mut request, _) = resolve::request_in(
        BuildFlags {
            source: source(values, env)?,
            result: result(values, no_push, digest_url.is_none())?,
            // Filled in by [`finish`].
            registry: RegistryFlags::default(),
            run: run(values, env)?,
            mounts: MountsFlags {
                secret: values.list("secret").to_vec(),
                ..MountsFlags::default()
            },
            contexts: BuildContextFlags::default(),
            // Filled in by [`cache::fill`].
            caching: CachingFlags::off(),
            output: OutputFlags {
                progress: ProgressChoice::Auto,
                color: ColorChoice::Auto,
                quiet: false,
                verbose: false,
            },
            call: CallFlags::default(),
            export: ExportFlags::default(),
        },
        place,
        env,
    )?;
    request.digest_url = digest_url.map(str::to_owned);
    finish(&mut request, values, env)?;
    remarks.extend(cache::fill(&mut request, values, env)?);
    Ok(Job { request: Box::new(request), output: log::output(values), remarks })
}

/// What kaniko has and `kiln build` does not.
fn finish(request: &mut Request, values: &Values, env: &Environment) -> Result<(), CliError> {
    request.registry = registry::choice(values, env)?;
    request.registry.insecure = values.switch("insecure");
    request.registry.skip_tls_verify = values.switch("skip-tls-verify");
    if values.is_given("credential-helpers") {
        let words = values.list("credential-helpers").iter().flat_map(|text| text.split(','));
        credentials::restrict(&mut request.registry.credentials, words)?;
    }
    request.git = build_context::git_settings(&request.run, env);
    request.registry.push_retry = values.number("push-retry");
    let pulls = ["image-download-retry", "image-fs-extract-retry"];
    request.registry.pull_retry =
        pulls.map(|flag| values.number(flag)).into_iter().max().unwrap_or(0);
    request.skip_push_check = values.switch("skip-push-permission-check");
    request.checks_may_fail = false;
    request.ignore_immutable_tags = values.switch("push-ignore-immutable-tag-errors");
    request.builder_output = env.get(env::BUILDER_OUTPUT).map(|dir| env.absolute(dir));
    if values.switch("reproducible") && request.source_date_epoch.is_none() {
        request.source_date_epoch = Some(EPOCH);
    }
    let mut ignored = values.list("ignore-path").to_vec();
    if values.is_given("ignore-var-run") && values.switch("ignore-var-run") {
        ignored.push("/var/run".into());
    }
    // A path in the image: one that is not absolute means its root.
    request.ignore_paths =
        ignored.iter().map(|path| std::path::Path::new("/").join(path)).collect();
    Ok(())
}

fn no_push(values: &Values, env: &Environment) -> Result<bool, CliError> {
    if values.is_given("no-push") {
        return Ok(values.switch("no-push"));
    }
    let Some(text) = env.text(env::KANIKO_NO_PUSH)? else { return Ok(false) };
    values::switch(&text)
        .map_err(|why| CliError::complete(format!("KANIKO_NO_PUSH is `{text}`: {why}")))
}

/// What kaniko refuses before it looks at anything.
fn check(values: &Values, no_push: bool, env: &Environment) -> Result<(), CliError> {
    let named = !values.list("destination").is_empty();
    if !named && !no_push {
        return Err(CliError::new(
            "there is no --destination to push to",
            "name one: --destination registry.example/name:tag, or use --no-push",
        ));
    }
    for flag in ["image-name-with-digest-file", "image-name-tag-with-digest-file"] {
        if !named && values.text(flag).is_some() {
            return Err(CliError::new(
                format!("--{flag} has no name to write"),
                "add --destination registry.example/name:tag",
            ));
        }
    }
    cache::check(values, no_push, env)
}

/// The context as `kiln build` takes it, and the directory inside of it.
fn named_context(
    values: &Values,
    remarks: &mut Vec<Remark>,
) -> Result<(String, Option<String>), CliError> {
    let context = match (values.text("bucket"), values.text("context")) {
        (Some(bucket), _) if bucket.contains("://") => bucket.to_owned(),
        (Some(bucket), _) => format!("gs://{bucket}"),
        (None, Some(context)) => context.to_owned(),
        (None, None) if values.is_given("context") => {
            return Err(CliError::new(
                "--context is empty",
                "name a directory; is the variable that you wrote there set?",
            ));
        }
        (None, None) => "/workspace/".to_owned(),
    };
    let Some(below) = values.text("context-sub-path") else { return Ok((context, None)) };
    if context.contains("://") {
        return Ok((context, Some(below.to_owned())));
    }
    let why =
        "the context is a plain directory; write it as dir://PATH, or name the directory below";
    remarks.push(Remark::Warning(format!("--context-sub-path has no effect: {why}")));
    Ok((context, None))
}

fn source(values: &Values, env: &Environment) -> Result<SourceFlags, CliError> {
    Ok(SourceFlags {
        directory: None,
        context: None,
        file: dockerfile(values, env)?,
        target: target(values)?,
        build_arg: values.each("build-arg", values::build_arg)?,
        label: values.each("label", values::pair)?,
        annotation: values.each("annotation", manifest_annotation)?,
        // kaniko builds for one.
        platform: resolve::platform(values.text("custom-platform").map(str::to_owned))?
            .into_iter()
            .collect(),
        source_date_epoch: None,
    })
}

/// kaniko knows annotations of the manifest only; its names may have colons in them.
fn manifest_annotation(text: &str) -> Result<Vec<Annotation>, String> {
    let (name, value) = values::pair(text)?;
    Ok(vec![Annotation { on: Annotated::Manifest, platform: None, name, value }])
}

/// The path or address as typed; `Dockerfile` is looked for here first, as kaniko does.
fn dockerfile(values: &Values, env: &Environment) -> Result<Option<OsString>, CliError> {
    match values.text("dockerfile") {
        Some(path) => Ok(Some(path.into())),
        None if env.absolute("Dockerfile").is_file() => Ok(Some("Dockerfile".into())),
        None => Ok(None),
    }
}

/// The fork takes several: the first becomes the image, the others are only built.
fn target(values: &Values) -> Result<Option<String>, CliError> {
    let all = values.list("target").iter().flat_map(|text| text.split(','));
    let mut all: Vec<&str> = all.filter(|name| !name.is_empty()).collect();
    all.dedup();
    match all[..] {
        [] => Ok(None),
        [one] => Ok(Some(one.to_owned())),
        _ => Err(CliError::new(
            format!("kiln builds one --target, not {}", all.join(" and ")),
            "call it once for each, with --no-push for those that are not pushed",
        )),
    }
}

fn result(values: &Values, no_push: bool, digest_file: bool) -> Result<ResultFlags, CliError> {
    let path = |name| values.text(name).map(OsString::from);
    let format = match values.text("image-format") {
        Some("docker") => Some(ImageFormat::Docker),
        Some(_) => Some(ImageFormat::Oci),
        None => None,
    };
    let compression = match values.text("compression") {
        Some("zstd") => CompressionChoice::Zstd,
        _ => CompressionChoice::Gzip,
    };
    Ok(ResultFlags {
        tag: values.each("destination", values::image_name)?,
        push: false,
        no_push,
        oci_layout_path: path("oci-layout-path"),
        tar_path: path("tar-path"),
        digest_file: path("digest-file").filter(|_| digest_file),
        image_name_with_digest_file: path("image-name-with-digest-file"),
        image_name_tag_with_digest_file: path("image-name-tag-with-digest-file"),
        image_format: format,
        compression: Some(compression),
        compression_level: Some(values.number("compression-level")).filter(|level| *level > 0),
    })
}

fn run(values: &Values, env: &Environment) -> Result<RunFlags, CliError> {
    let dir = values.text("kaniko-dir").map(OsString::from);
    let dir = dir.or_else(|| env.get(env::KANIKO_DIR).map(OsString::from));
    // The usual one says nothing: there kaniko and its credentials are, and in a container no
    // overlay can be made there.
    let dir = dir.filter(|dir| env.absolute(dir) != std::path::Path::new(HOME));
    Ok(RunFlags {
        isolation: None,
        add_host: Vec::new(),
        shm_size: Request::SHM_SIZE,
        jobs: None,
        work_dir: dir,
    })
}
