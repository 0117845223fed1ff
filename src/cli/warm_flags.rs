//! `kiln warm`.

use std::ffi::OsString;
use std::time::Duration;

use clap::Args;

use super::flags::OutputFlags;
use super::reach_flags::ReachFlags;
use super::{caching_values, duration, values};

/// Which base images, and where they go.
#[derive(Debug, Args)]
pub(super) struct WarmFlags {
    #[arg(value_name = "IMAGE", value_parser = values::image_name)]
    pub(super) images: Vec<String>,
    #[arg(short, long, alias = "dockerfile", value_name = "FILE")]
    pub(super) file: Option<OsString>,
    #[arg(long, value_name = "NAME=VALUE", value_parser = values::build_arg)]
    pub(super) build_arg: Vec<(String, Option<String>)>,
    #[arg(long, value_name = "OS/ARCH")]
    pub(super) platform: Option<String>,
    #[arg(long, value_name = "DIR")]
    pub(super) cache_dir: Option<OsString>,
    #[arg(long, value_name = "DURATION", value_parser = caching_values::age)]
    pub(super) cache_ttl: Option<Duration>,
    #[arg(long)]
    pub(super) force: bool,
    #[arg(long, value_name = "HOST", value_parser = values::mirror)]
    pub(super) registry_mirror: Vec<String>,
    #[arg(long, value_name = "HOST=MIRROR", value_parser = values::registry_map)]
    pub(super) registry_map: Vec<Vec<(String, String)>>,
    #[arg(long)]
    pub(super) skip_default_registry_fallback: bool,
    #[command(flatten)]
    pub(super) reach: ReachFlags,
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub(super) retry_budget: Option<Duration>,
    #[command(flatten)]
    pub(super) output: OutputFlags,
}
