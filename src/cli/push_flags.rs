//! `kiln push`, and what it shares with `kiln index`.

use std::ffi::OsString;

use clap::Args;

use super::flags::OutputFlags;
use super::reach_flags::ReachFlags;
use super::values;
use crate::request::CompressionChoice;

/// `kiln push`.
#[derive(Debug, Args)]
pub(super) struct PushFlags {
    #[arg(value_name = "SOURCE")]
    pub(super) source: Option<String>,
    #[arg(value_name = "NAME", value_parser = values::image_name)]
    pub(super) names: Vec<String>,
    #[command(flatten)]
    pub(super) to: ToFlags,
    #[arg(long, value_name = "OS/ARCH")]
    pub(super) platform: Option<String>,
    #[arg(long, value_name = "KIND", value_parser = values::choice([
        ("gzip", CompressionChoice::Gzip),
        ("zstd", CompressionChoice::Zstd),
        ("uncompressed", CompressionChoice::Uncompressed),
    ]))]
    pub(super) compression: Option<CompressionChoice>,
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    #[arg(value_parser = values::number::<i32>)]
    pub(super) compression_level: Option<i32>,
    #[arg(long, value_name = "N", value_parser = values::threads)]
    pub(super) jobs: Option<usize>,
    #[arg(long, value_name = "DIR")]
    pub(super) work_dir: Option<OsString>,
    #[command(flatten)]
    pub(super) output: OutputFlags,
}

/// Where it goes, and what is written about it.
#[derive(Debug, Args)]
pub(super) struct ToFlags {
    #[arg(short, long, short_alias = 'd', alias = "destination", value_name = "NAME")]
    #[arg(value_parser = values::image_name)]
    pub(super) tag: Vec<String>,
    #[arg(long, value_name = "FILE")]
    pub(super) digest_file: Option<OsString>,
    #[arg(long, value_name = "FILE")]
    pub(super) image_name_with_digest_file: Option<OsString>,
    #[arg(long, value_name = "FILE")]
    pub(super) image_name_tag_with_digest_file: Option<OsString>,
    #[command(flatten)]
    pub(super) reach: ReachFlags,
    #[arg(long, value_name = "N", default_value = "0", value_parser = values::number::<u32>)]
    pub(super) push_retry: u32,
    #[arg(long)]
    pub(super) skip_push_permission_check: bool,
}
