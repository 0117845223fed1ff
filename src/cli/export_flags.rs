//! Flags of what is written beside the push, and of what is made anew. Names and meanings are docker
//! buildx'.

use std::ffi::OsString;

use clap::Args;

use super::exports::{self, Typed};

/// `-o` and its relatives.
#[derive(Debug, Default, Args)]
pub(super) struct ExportFlags {
    #[arg(short, long, value_name = "OUTPUT", value_parser = exports::typed)]
    pub(super) output: Vec<Typed>,
    #[arg(long)]
    pub(super) load: bool,
    #[arg(long, value_name = "FILE")]
    pub(super) iidfile: Option<OsString>,
    #[arg(long, value_name = "FILE")]
    pub(super) metadata_file: Option<OsString>,
    #[arg(long)]
    pub(super) squash: bool,
    #[arg(long)]
    pub(super) pull: bool,
    #[arg(long)]
    pub(super) no_cache: bool,
    #[arg(long, value_name = "STAGE", value_delimiter = ',')]
    pub(super) no_cache_filter: Vec<String>,
}
