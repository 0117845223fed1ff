//! The flags that ask about a Dockerfile instead of building it, as buildx has them.

use clap::Args;

use super::check::{self, Wish};
use super::flags::BuildFlags;

/// What is asked.
#[derive(Debug, Default, Args)]
pub(super) struct CallFlags {
    #[arg(long, value_name = "CALL", value_parser = check::wish, overrides_with = "check")]
    pub(super) call: Option<Wish>,
    #[arg(long, overrides_with = "call")]
    pub(super) check: bool,
}

/// `kiln check`.
#[derive(Debug, Args)]
pub(super) struct CheckFlags {
    #[command(flatten)]
    pub(super) build: BuildFlags,
    #[arg(long)]
    pub(super) json: bool,
}
