//! `kiln index`.

use clap::Args;

use super::flags::OutputFlags;
use super::push_flags::ToFlags;
use super::{index, values};
use crate::image::ImageFormat;
use crate::request::Annotation;

/// `kiln index`.
#[derive(Debug, Args)]
pub(super) struct IndexFlags {
    #[arg(value_name = "SOURCE")]
    pub(super) sources: Vec<String>,
    #[command(flatten)]
    pub(super) to: ToFlags,
    #[arg(long, value_name = "NAME=VALUE", value_parser = index::annotation)]
    pub(super) annotation: Vec<Vec<Annotation>>,
    #[arg(long, value_name = "FORMAT", value_parser = values::choice([
        ("oci", ImageFormat::Oci),
        ("docker", ImageFormat::Docker),
    ]))]
    pub(super) image_format: Option<ImageFormat>,
    #[command(flatten)]
    pub(super) output: OutputFlags,
}
