//! `kiln login` and `kiln logout`, with docker's flags.

use clap::Args;

use super::reach_flags::ReachFlags;

/// `kiln login`.
#[derive(Debug, Args)]
pub(super) struct LoginFlags {
    #[arg(value_name = "SERVER")]
    pub(super) server: Option<String>,
    #[arg(short, long, value_name = "USER")]
    pub(super) username: Option<String>,
    #[arg(short, long, value_name = "PASSWORD", hide_possible_values = true)]
    pub(super) password: Option<String>,
    #[arg(long)]
    pub(super) password_stdin: bool,
    #[command(flatten)]
    pub(super) reach: ReachFlags,
}

/// `kiln logout`.
#[derive(Debug, Args)]
pub(super) struct LogoutFlags {
    #[arg(value_name = "SERVER")]
    pub(super) server: Option<String>,
    #[arg(short, long)]
    pub(super) all: bool,
}
