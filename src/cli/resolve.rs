//! Flags and environment → a request: paths made absolute, defaults filled in, contradictions
//! refused before anything is downloaded.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use super::caching::{self, Goal};
use super::context::ContextChoice;
use super::env::{self, Environment};
use super::error::CliError;
use super::flags::{BuildFlags, OutputFlags, RegistryFlags, ResultFlags, SourceFlags};
use super::result::{all_exports, look, pushed};
use super::{
    Remark, annotations, build_context, clouds, context, credentials, exports, mounts, outputs,
    trust, values,
};
use crate::image::{ImageFormat, Platform};
use crate::registry::{Patience, Reference, ReferenceError};
use crate::request::{
    Annotation, Annotations, CompressionChoice, Export, Exports, Freshness, IsolationChoice,
    RegistryChoice, Request,
};
use crate::ui::{ColorChoice, OutputChoice, ProgressChoice, Verbosity};

/// BuildKit's build argument for an image that is a cache, too.
const INLINE_CACHE: &str = "BUILDKIT_INLINE_CACHE";

/// Makes the request, and what is to be said about it.
pub(super) fn request(
    flags: BuildFlags,
    env: &Environment,
) -> Result<(Request, Vec<Remark>), CliError> {
    request_below(flags, None, env)
}

/// The same, for a directory inside of the context.
pub(super) fn request_below(
    flags: BuildFlags,
    sub_path: Option<&OsStr>,
    env: &Environment,
) -> Result<(Request, Vec<Remark>), CliError> {
    let typed = flags.source.context.as_deref().or(flags.source.directory.as_deref());
    let context = context::source(typed, sub_path, env)?;
    request_in(flags, context, env)
}

/// The same, for a context that is known.
pub(super) fn request_in(
    flags: BuildFlags,
    context: ContextChoice,
    env: &Environment,
) -> Result<(Request, Vec<Remark>), CliError> {
    let BuildFlags { source, result, registry, run, mounts, contexts, caching, export, .. } = flags;
    let dockerfile = context::dockerfile(source.file.as_deref(), &context, env)?;
    let (build_args, source_date_epoch) = build_args(&source, env)?;
    if export.load {
        return Err(exports::no_daemon("--load"));
    }
    let outputs = exports::outputs(&export.output, &result.tag, env)?;
    let (destinations, push) = pushed(&result, &outputs, !export.output.is_empty())?;
    names(&destinations)?;
    outputs::check(&result, &export, env)?;
    let docker = outputs.exports.iter().any(|it| matches!(it, Export::DockerArchive { .. }));
    let look = look(&result, outputs.image, docker)?;
    let platforms = platforms(&source.platform)?;
    let mut annotations: Vec<Annotation> = source.annotation.into_iter().flatten().collect();
    annotations.extend(look.annotations);
    annotations::check(&annotations, &platforms)?;
    let path = |path: Option<OsString>| given(path).map(|path| env.absolute(path));
    let commands = mounts::run_choice(&mounts, env)?;
    let skip_push_check = registry.skip_push_permission_check;
    let mut registry = registry_choice(registry, env);
    let compression = look.compression.unwrap_or_default();
    let goal = Goal {
        names: &destinations,
        push,
        no_push: result.no_push,
        cache_only: outputs.cache_only,
        inline: build_args.get(INLINE_CACHE).is_some_and(|word| values::switch(word) == Ok(true)),
        compression: word_of(compression),
        level: look.compression_level,
    };
    let cached = caching::caching(&caching, &goal, env)?;
    cached.reach(&mut registry);
    let request = Request {
        context: context.dir,
        elsewhere: context.elsewhere,
        named_contexts: build_context::named(&contexts.build_context, env)?,
        git: build_context::git_settings(&commands, env),
        dockerfile,
        push,
        build_args,
        target: source.target.filter(|target| !target.is_empty()),
        labels: source.label,
        annotations: Annotations(annotations),
        exports: Exports {
            all: all_exports(&result, outputs.exports, &destinations, &platforms, env)?,
            iid_file: path(export.iidfile),
            metadata_file: path(export.metadata_file),
            squash: export.squash,
        },
        platforms,
        destinations,
        digest_file: path(result.digest_file),
        digest_url: None,
        builder_output: None,
        image_name_with_digest_file: path(result.image_name_with_digest_file),
        image_name_tag_with_digest_file: path(result.image_name_tag_with_digest_file),
        format: look.format,
        compression,
        compression_level: look.compression_level,
        source_date_epoch,
        work_dir: path(run.work_dir),
        temp_dir: temp_dir(env),
        cache_dir: path(caching.cache_dir),
        ignore_paths: Vec::new(),
        isolation: isolation(run.isolation, env)?,
        jobs: run.jobs.unwrap_or_else(processors),
        add_hosts: run.add_host,
        shm_size: run.shm_size,
        run: commands,
        skip_push_check,
        ignore_immutable_tags: false,
        checks_may_fail: true,
        freshness: Freshness {
            pull: export.pull,
            no_cache: export.no_cache,
            no_cache_filter: export.no_cache_filter,
        },
        cache: cached.choice,
        registry,
    };
    Ok((request, cached.remarks))
}

/// How a compression is called where one is chosen.
fn word_of(compression: CompressionChoice) -> &'static str {
    match compression {
        CompressionChoice::Gzip => "gzip",
        CompressionChoice::Zstd => "zstd",
        CompressionChoice::Uncompressed => "uncompressed",
    }
}

/// The flag's, else the variable's.
fn isolation(
    typed: Option<IsolationChoice>,
    env: &Environment,
) -> Result<IsolationChoice, CliError> {
    let Some(word) = env.text(env::KILN_ISOLATION)?.filter(|_| typed.is_none()) else {
        return Ok(typed.unwrap_or_default());
    };
    let known = values::ISOLATIONS.iter().find(|(known, _)| *known == word);
    known.map(|(_, isolation)| *isolation).ok_or_else(|| {
        let words = values::ISOLATIONS.map(|(word, _)| word).join(", ");
        CliError::complete(format!("{} is `{word}`: expected one of {words}", env::KILN_ISOLATION))
    })
}

/// Refuses names that no image can have.
pub(super) fn names(destinations: &[String]) -> Result<(), CliError> {
    for name in destinations {
        let reference: Reference =
            name.parse().map_err(|error: ReferenceError| CliError::complete(error.to_string()))?;
        if reference.digest.is_some() {
            return Err(CliError::new(
                format!("cannot push to `{name}`: an image's digest is known when it is built"),
                "name a tag: registry.example/name:tag",
            ));
        }
    }
    Ok(())
}

/// Decides what is shown; a job of GitLab's has its own view.
pub(super) fn output(flags: &OutputFlags, env: &Environment, gitlab: bool) -> OutputChoice {
    let dumb = env.get(env::TERM).is_some_and(|term| term == "dumb");
    let progress = match flags.progress {
        _ if flags.quiet => ProgressChoice::Quiet,
        ProgressChoice::Auto if gitlab => ProgressChoice::Gitlab,
        ProgressChoice::Auto if dumb => ProgressChoice::Plain,
        chosen => chosen,
    };
    let no_color = (dumb && progress != ProgressChoice::Gitlab) || env.get(env::NO_COLOR).is_some();
    let color = match flags.color {
        ColorChoice::Auto if no_color => ColorChoice::Never,
        // No terminal, but what it shows has colours.
        ColorChoice::Auto if progress == ProgressChoice::Gitlab => ColorChoice::Always,
        chosen => chosen,
    };
    let verbosity = if flags.verbose { Verbosity::Verbose } else { Verbosity::Normal };
    OutputChoice { progress, color, verbosity }
}

/// An empty value counts as none: scripts write `--target "$TARGET"`.
pub(super) fn given(value: Option<OsString>) -> Option<OsString> {
    value.filter(|value| !value.is_empty())
}

/// The values for ARG, and the date that caps all others: the flag's, else the build argument's,
/// else the environment's. It is a build argument in any case, as with BuildKit, so that commands
/// can use it too.
fn build_args(
    source: &SourceFlags,
    env: &Environment,
) -> Result<(BTreeMap<String, String>, Option<i64>), CliError> {
    let mut args = given_args(&source.build_arg, env)?;
    if let Some(epoch) = source.source_date_epoch {
        args.insert(env::SOURCE_DATE_EPOCH.to_owned(), epoch.to_string());
    } else if let Some(value) = env.get(env::SOURCE_DATE_EPOCH) {
        let value = text(env::SOURCE_DATE_EPOCH, value)?;
        args.entry(env::SOURCE_DATE_EPOCH.to_owned()).or_insert(value);
    }
    let epoch = args.get(env::SOURCE_DATE_EPOCH).filter(|value| !value.is_empty());
    let epoch = epoch.map(|value| values::epoch(value).map_err(|why| epoch_error(value, &why)));
    let epoch = epoch.transpose()?;
    Ok((args, epoch))
}

/// The values for ARG that were typed; a name alone takes the environment's.
pub(super) fn given_args(
    typed: &[(String, Option<String>)],
    env: &Environment,
) -> Result<BTreeMap<String, String>, CliError> {
    let mut args = BTreeMap::new();
    for (name, value) in typed {
        let value = match value {
            Some(value) => Some(value.clone()),
            None => env.get_even_empty(name).map(|value| text(name, value)).transpose()?,
        };
        // As Docker does: without a value anywhere the ARG keeps its default.
        match value {
            Some(value) => args.insert(name.clone(), value),
            None => args.remove(name),
        };
    }
    Ok(args)
}

fn epoch_error(value: &str, why: &str) -> CliError {
    CliError::new(
        format!("SOURCE_DATE_EPOCH is `{value}`: {why}"),
        "set it as an environment variable or a build argument to such a number",
    )
}

fn text(name: &str, value: &OsStr) -> Result<String, CliError> {
    value.to_str().map(str::to_owned).ok_or_else(|| {
        CliError::new(
            format!("the value of the environment variable `{name}` is not UTF-8"),
            "only text can be the value of an ARG",
        )
    })
}

/// Whether to push, if the image goes anywhere at all.
pub(super) fn push(result: &ResultFlags) -> Result<bool, CliError> {
    let named = !result.tag.is_empty();
    let add_a_name = "add a name: -t registry.example/name:tag";
    if result.push && result.no_push {
        return Err(CliError::new("--push and --no-push contradict each other", "leave one out"));
    }
    if result.push && !named {
        return Err(CliError::new("there is no name to push the image to", add_a_name));
    }
    let file_of_names = [
        ("--image-name-with-digest-file", &result.image_name_with_digest_file),
        ("--image-name-tag-with-digest-file", &result.image_name_tag_with_digest_file),
    ];
    for (flag, path) in file_of_names {
        if !named && given(path.clone()).is_some() {
            return Err(CliError::new(format!("{flag} has no name to write"), add_a_name));
        }
    }
    let written = given(result.tar_path.clone()).or(given(result.oci_layout_path.clone()));
    if !named && !result.no_push && written.is_none() {
        return Err(CliError::new(
            "the image would go nowhere",
            "add -t registry.example/name:tag to push it, --oci-layout-path or --tar-path to \
             write it, or --no-push to only build it",
        ));
    }
    Ok(named && !result.no_push)
}

pub(super) fn compression_level(
    result: &ResultFlags,
    compression: CompressionChoice,
    archive: bool,
) -> Result<Option<i32>, CliError> {
    let docker = result.image_format == Some(ImageFormat::Docker);
    let archive = archive || given(result.tar_path.clone()).is_some();
    if compression == CompressionChoice::Zstd && (docker || archive) {
        let what = if docker { "an image in Docker's format" } else { "an archive for Docker" };
        return Err(CliError::new(
            format!("{what} cannot have layers that are compressed with zstd"),
            "use --compression gzip, or OCI's format",
        ));
    }
    let (name, most) = match compression {
        CompressionChoice::Gzip => ("gzip", 9),
        CompressionChoice::Zstd => ("zstd", 22),
        CompressionChoice::Uncompressed => ("uncompressed", 0),
    };
    match result.compression_level {
        // kaniko's own default.
        None | Some(-1) => Ok(None),
        Some(level) if (1..=most).contains(&level) => Ok(Some(level)),
        Some(_) if most == 0 => Err(CliError::new(
            "layers that are not compressed have no compression level",
            "leave it out",
        )),
        Some(level) => Err(CliError::new(
            format!("{name} has no compression level {level}"),
            format!("use 1 to {most}"),
        )),
    }
}

pub(super) fn platform(typed: Option<String>) -> Result<Option<String>, CliError> {
    let typed = typed.filter(|typed| !typed.is_empty());
    if let Some(text) = &typed {
        text.parse::<Platform>().map_err(|error| CliError::complete(error.to_string()))?;
    }
    Ok(typed)
}

/// The platforms of a build, each once: `--platform a,b --platform c`.
pub(super) fn platforms(typed: &[String]) -> Result<Vec<Platform>, CliError> {
    let mut all: Vec<Platform> = Vec::new();
    for text in typed.iter().flat_map(|text| text.split(',')).map(str::trim) {
        if text.is_empty() {
            continue;
        }
        let platform =
            if text == "local" { Ok(Platform::host()) } else { text.parse::<Platform>() };
        let platform = platform.map_err(|error| CliError::complete(error.to_string()))?;
        if !all.contains(&platform) {
            all.push(platform);
        }
    }
    Ok(all)
}

pub(super) fn registry_choice(flags: RegistryFlags, env: &Environment) -> RegistryChoice {
    let mut map: Vec<(String, Vec<String>)> = Vec::new();
    for (from, to) in flags.registry_map.into_iter().flatten() {
        match map.iter_mut().find(|(host, _)| *host == from) {
            Some((_, mirrors)) => mirrors.push(to),
            None => map.push((from, vec![to])),
        }
    }
    let directories = env.get(env::SSL_CERT_DIR).map(std::env::split_paths);
    let reach = flags.reach;
    RegistryChoice {
        insecure: reach.insecure,
        insecure_pull: flags.insecure_pull,
        insecure_registries: reach.insecure_registry,
        skip_tls_verify: reach.skip_tls_verify,
        skip_tls_registries: reach.skip_tls_verify_registry,
        registry_ca: reach
            .registry_certificate
            .into_iter()
            .map(|(host, file)| (host, env.absolute(file)))
            .collect(),
        client_certs: trust::client_certs(reach.registry_client_cert, env),
        ca_bundle: env.get(env::SSL_CERT_FILE).map(|file| env.absolute(file)),
        ca_dirs: directories.into_iter().flatten().map(|path| env.absolute(path)).collect(),
        more_ca: trust::more_ca(env),
        host_dirs: trust::host_dirs(env),
        proxies: trust::proxies(env),
        mirrors: flags.registry_mirror,
        registry_map: map,
        no_default_fallback: flags.skip_default_registry_fallback,
        credentials: credentials::sources(env),
        clouds: clouds::settings(env),
        push_retry: flags.push_retry,
        pull_retry: 0,
        retry_budget: flags.transfer.retry_budget,
        upload_chunk: flags.transfer.upload_chunk_size,
        patience: Patience::default(),
        upstream_client: None,
    }
}

/// `/var/tmp` before `/tmp`: the latter is memory on many machines, and images are big.
pub(super) fn temp_dir(env: &Environment) -> PathBuf {
    match env.get(env::TMPDIR) {
        Some(directory) => env.absolute(directory),
        None => {
            let persistent = PathBuf::from("/var/tmp");
            if persistent.is_dir() { persistent } else { PathBuf::from("/tmp") }
        }
    }
}

pub(super) fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
