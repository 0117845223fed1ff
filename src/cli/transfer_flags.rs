//! Flags of how bytes get to registries and back.

use std::time::Duration;

use clap::Args;

use super::{duration, values};

/// Patience and chunks.
#[derive(Debug, Clone, Copy, Default, Args)]
pub(super) struct TransferFlags {
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub(super) retry_budget: Option<Duration>,
    #[arg(long, value_name = "SIZE", value_parser = values::bytes)]
    pub(super) upload_chunk_size: Option<u64>,
}
