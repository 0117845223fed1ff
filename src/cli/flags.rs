//! The flags as they are typed. [`super::resolve`] makes a request of them.
//!
//! Names are kaniko's where kaniko has one, short forms are Docker's. Texts of the help stand in
//! `help/`, where they can be read as they are printed; a test compares them with the flags.

use std::ffi::OsString;

use clap::{Arg, ArgAction, Args, CommandFactory, Parser, Subcommand};

use super::build_context_flags::BuildContextFlags;
use super::cache_flags::CacheFlags;
use super::caching_flags::CachingFlags;
use super::check_flags::{CallFlags, CheckFlags};
use super::export_flags::ExportFlags;
use super::index_flags::IndexFlags;
use super::login_flags::{LoginFlags, LogoutFlags};
use super::mounts_flags::MountsFlags;
use super::push_flags::PushFlags;
use super::reach_flags::ReachFlags;
use super::transfer_flags::TransferFlags;
use super::warm_flags::WarmFlags;
use super::{annotations, values};
use crate::image::ImageFormat;
use crate::request::{Annotation, CompressionChoice, IsolationChoice};
use crate::ui::{ColorChoice, ProgressChoice};

#[derive(Debug, Parser)]
#[command(name = "kiln", version, override_help = include_str!("help/kiln.txt"))]
#[command(disable_help_subcommand = true)]
pub(super) struct Flags {
    #[command(subcommand)]
    pub(super) command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    #[command(override_help = include_str!("help/build.txt"), args_override_self = true)]
    Build(Box<BuildFlags>),
    #[command(override_help = include_str!("help/check.txt"), args_override_self = true)]
    Check(Box<CheckFlags>),
    #[command(override_help = include_str!("help/doctor.txt"), args_override_self = true)]
    Doctor(DoctorFlags),
    #[command(override_help = include_str!("help/push.txt"), args_override_self = true)]
    Push(Box<PushFlags>),
    #[command(override_help = include_str!("help/index.txt"), args_override_self = true)]
    Index(Box<IndexFlags>),
    #[command(override_help = include_str!("help/warm.txt"), args_override_self = true)]
    Warm(Box<WarmFlags>),
    #[command(override_help = include_str!("help/cache.txt"))]
    Cache(Box<CacheFlags>),
    #[command(override_help = include_str!("help/login.txt"), args_override_self = true)]
    Login(Box<LoginFlags>),
    #[command(override_help = include_str!("help/logout.txt"), args_override_self = true)]
    Logout(LogoutFlags),
}

/// `kiln build`.
#[derive(Debug, Args)]
pub(super) struct BuildFlags {
    #[command(flatten)]
    pub(super) source: SourceFlags,
    #[command(flatten)]
    pub(super) result: ResultFlags,
    #[command(flatten)]
    pub(super) registry: RegistryFlags,
    #[command(flatten)]
    pub(super) run: RunFlags,
    #[command(flatten)]
    pub(super) mounts: MountsFlags,
    #[command(flatten)]
    pub(super) contexts: BuildContextFlags,
    #[command(flatten)]
    pub(super) caching: CachingFlags,
    #[command(flatten)]
    pub(super) output: OutputFlags,
    #[command(flatten)]
    pub(super) call: CallFlags,
    #[command(flatten)]
    pub(super) export: ExportFlags,
}

/// `kiln doctor`.
#[derive(Debug, Args)]
pub(super) struct DoctorFlags {
    #[arg(value_name = "NAME")]
    pub(super) names: Vec<String>,
    #[arg(long, value_name = "DIR")]
    pub(super) work_dir: Option<OsString>,
    #[arg(short, long, value_name = "DIR")]
    pub(super) context: Option<OsString>,
    #[arg(long)]
    pub(super) json: bool,
}

/// What to build.
#[derive(Debug, Args)]
pub(super) struct SourceFlags {
    #[arg(value_name = "CONTEXT")]
    pub(super) directory: Option<OsString>,
    #[arg(short, long, value_name = "DIR", conflicts_with = "directory")]
    pub(super) context: Option<OsString>,
    #[arg(short, long, alias = "dockerfile", value_name = "FILE")]
    pub(super) file: Option<OsString>,
    #[arg(long, value_name = "STAGE")]
    pub(super) target: Option<String>,
    #[arg(long, value_name = "NAME=VALUE", value_parser = values::build_arg)]
    pub(super) build_arg: Vec<(String, Option<String>)>,
    #[arg(long, value_name = "NAME=VALUE", value_parser = values::pair)]
    pub(super) label: Vec<(String, String)>,
    #[arg(long, value_name = "NAME=VALUE", value_parser = annotations::typed)]
    pub(super) annotation: Vec<Vec<Annotation>>,
    #[arg(long, alias = "custom-platform", value_name = "OS/ARCH")]
    pub(super) platform: Vec<String>,
    #[arg(long, value_name = "SECONDS", value_parser = values::epoch)]
    pub(super) source_date_epoch: Option<i64>,
}

/// Where it goes.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct ResultFlags {
    #[arg(short, long, short_alias = 'd', alias = "destination", value_name = "NAME")]
    #[arg(value_parser = values::image_name)]
    pub(super) tag: Vec<String>,
    #[arg(long)]
    pub(super) push: bool,
    #[arg(long)]
    pub(super) no_push: bool,
    #[arg(long, value_name = "DIR")]
    pub(super) oci_layout_path: Option<OsString>,
    #[arg(long, value_name = "FILE")]
    pub(super) tar_path: Option<OsString>,
    #[arg(long, value_name = "FILE")]
    pub(super) digest_file: Option<OsString>,
    #[arg(long, value_name = "FILE")]
    pub(super) image_name_with_digest_file: Option<OsString>,
    #[arg(long, value_name = "FILE")]
    pub(super) image_name_tag_with_digest_file: Option<OsString>,
    #[arg(long, value_name = "FORMAT", value_parser = values::choice([
        ("oci", ImageFormat::Oci),
        ("docker", ImageFormat::Docker),
    ]))]
    pub(super) image_format: Option<ImageFormat>,
    #[arg(long, value_name = "KIND", value_parser = values::choice([
        ("gzip", CompressionChoice::Gzip),
        ("zstd", CompressionChoice::Zstd),
        ("uncompressed", CompressionChoice::Uncompressed),
    ]))]
    pub(super) compression: Option<CompressionChoice>,
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    #[arg(value_parser = values::number::<i32>)]
    pub(super) compression_level: Option<i32>,
}

/// How registries are reached.
#[derive(Debug, Default, Args)]
pub(super) struct RegistryFlags {
    #[arg(long, value_name = "HOST", value_parser = values::mirror)]
    pub(super) registry_mirror: Vec<String>,
    #[arg(long, value_name = "HOST=MIRROR", value_parser = values::registry_map)]
    pub(super) registry_map: Vec<Vec<(String, String)>>,
    #[arg(long)]
    pub(super) skip_default_registry_fallback: bool,
    #[command(flatten)]
    pub(super) reach: ReachFlags,
    #[arg(long)]
    pub(super) insecure_pull: bool,
    #[arg(long, value_name = "N", default_value = "0", value_parser = values::number::<u32>)]
    pub(super) push_retry: u32,
    #[arg(long)]
    pub(super) skip_push_permission_check: bool,
    #[command(flatten)]
    pub(super) transfer: TransferFlags,
}

/// How it runs.
#[derive(Debug, Args)]
pub(super) struct RunFlags {
    #[arg(long, value_name = "KIND", value_parser = values::choice(values::ISOLATIONS))]
    pub(super) isolation: Option<IsolationChoice>,
    #[arg(long, value_name = "NAME:ADDRESS", value_parser = values::host_address)]
    pub(super) add_host: Vec<(String, String)>,
    #[arg(long, value_name = "SIZE", default_value = "64m", value_parser = values::bytes)]
    pub(super) shm_size: u64,
    #[arg(long, value_name = "N", value_parser = values::threads)]
    pub(super) jobs: Option<usize>,
    #[arg(long, value_name = "DIR")]
    pub(super) work_dir: Option<OsString>,
}

/// What is printed.
#[derive(Debug, Args)]
pub(super) struct OutputFlags {
    #[arg(long, value_name = "KIND", default_value = "auto", value_parser = values::choice([
        ("auto", ProgressChoice::Auto),
        ("plain", ProgressChoice::Plain),
        ("tty", ProgressChoice::Tty),
        ("gitlab", ProgressChoice::Gitlab),
        ("quiet", ProgressChoice::Quiet),
    ]))]
    pub(super) progress: ProgressChoice,
    #[arg(long, value_name = "WHEN", default_value = "auto", value_parser = values::choice([
        ("auto", ColorChoice::Auto),
        ("always", ColorChoice::Always),
        ("never", ColorChoice::Never),
    ]))]
    pub(super) color: ColorChoice,
    #[arg(short, long)]
    pub(super) quiet: bool,
    #[arg(short, long)]
    pub(super) verbose: bool,
}

/// clap's command. The switches also take `=true` and `=false`, as kaniko's do.
pub(super) fn command() -> clap::Command {
    Flags::command()
        .mut_subcommand("build", |build| build.mut_args(with_optional_value))
        .mut_subcommand("check", |check| check.mut_args(with_optional_value))
        .mut_subcommand("doctor", |doctor| doctor.mut_args(with_optional_value))
        .mut_subcommand("push", |push| push.mut_args(with_optional_value))
        .mut_subcommand("index", |index| index.mut_args(with_optional_value))
        .mut_subcommand("warm", |warm| warm.mut_args(with_optional_value))
        .mut_subcommand("login", |login| login.mut_args(with_optional_value))
        .mut_subcommand("logout", |logout| logout.mut_args(with_optional_value))
}

fn with_optional_value(arg: Arg) -> Arg {
    if !matches!(arg.get_action(), ArgAction::SetTrue) {
        return arg;
    }
    arg.action(ArgAction::Set)
        .num_args(0..=1)
        .require_equals(true)
        .value_name("BOOL")
        .value_parser(values::switch)
        .default_value("false")
        .default_missing_value("true")
}
