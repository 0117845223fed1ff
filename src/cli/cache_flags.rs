//! `kiln cache`.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::flags::OutputFlags;
use super::reach_flags::ReachFlags;
use super::{duration, values};

/// `kiln cache`.
#[derive(Debug, Args)]
pub(super) struct CacheFlags {
    #[command(subcommand)]
    pub(super) command: CacheCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum CacheCommand {
    #[command(override_help = include_str!("help/cache.txt"), args_override_self = true)]
    Du(Box<PlaceFlags>),
    #[command(override_help = include_str!("help/cache.txt"), args_override_self = true)]
    Prune(Box<PruneFlags>),
}

/// Which places, and how they are reached.
#[derive(Debug, Args)]
pub(super) struct PlaceFlags {
    #[arg(value_name = "PLACE")]
    pub(super) places: Vec<String>,
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) reach: ReachFlags,
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub(super) retry_budget: Option<Duration>,
    #[command(flatten)]
    pub(super) output: OutputFlags,
}

/// `kiln cache prune`.
#[derive(Debug, Args)]
pub(super) struct PruneFlags {
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub(super) older_than: Option<Duration>,
    #[arg(long, value_name = "SIZE", value_parser = values::bytes)]
    pub(super) keep: Option<u64>,
    #[arg(long)]
    pub(super) dry_run: bool,
    #[command(flatten)]
    pub(super) places: PlaceFlags,
}
