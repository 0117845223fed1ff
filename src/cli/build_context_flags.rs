//! Named contexts. [`super::build_context`] reads the values.

use clap::Args;

/// `--build-context`.
#[derive(Debug, Default, Args)]
pub(super) struct BuildContextFlags {
    #[arg(long, value_name = "NAME=VALUE")]
    pub(super) build_context: Vec<String>,
}
