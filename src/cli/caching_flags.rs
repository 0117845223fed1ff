//! Flags of the cache: kaniko's, docker buildx', and kiln's own. [`super::caching`] reads the values.

use std::ffi::OsString;
use std::time::Duration;

use clap::Args;

use super::caching_values::{self, MountWish};
use super::values;

/// Where results of earlier builds are, and which of them count.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct CachingFlags {
    #[arg(long, value_name = "BOOL", value_parser = values::switch)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(super) cache: Option<bool>,
    #[arg(long, value_name = "PLACE")]
    pub(super) cache_repo: Option<OsString>,
    #[arg(long, value_name = "ENTRY")]
    pub(super) cache_from: Vec<String>,
    #[arg(long, value_name = "ENTRY")]
    pub(super) cache_to: Vec<String>,
    #[arg(long)]
    pub(super) no_push_cache: bool,
    #[arg(long, value_name = "DURATION", value_parser = caching_values::age)]
    pub(super) cache_ttl: Option<Duration>,
    #[arg(long, value_name = "BOOL", value_parser = values::switch)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(super) cache_run_layers: Option<bool>,
    #[arg(long, value_name = "BOOL", value_parser = values::switch)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(super) cache_copy_layers: Option<bool>,
    #[arg(long, value_name = "LIMITS", value_parser = caching_values::mounts)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(super) cache_mounts: Option<MountWish>,
    #[arg(long, value_name = "DIR")]
    pub(super) cache_dir: Option<OsString>,
    #[arg(long)]
    pub(super) explain: bool,
}

impl CachingFlags {
    /// No cache, whatever the environment says.
    pub(super) fn off() -> Self {
        Self { cache: Some(false), ..Self::default() }
    }
}
