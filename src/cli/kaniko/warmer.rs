//! `warmer`: the base images that shall have local copies.

use super::super::env::Environment;
use super::super::error::CliError;
use super::super::warm::{Spelling, Wanted};
use super::super::{Warming, duration, values};
use super::values::Values;
use super::{log, registry};

const KANIKO: Spelling = Spelling { images: "--image", file: "--dockerfile" };

/// What the warmer is to fetch.
pub(super) fn warming(values: &Values, env: &Environment) -> Result<Warming, CliError> {
    let ttl = values.text("cache-ttl").unwrap_or("336h");
    let wanted = Wanted {
        images: values.each("image", values::image_name)?,
        dockerfile: values.text("dockerfile").map(Into::into),
        build_args: values.each("build-arg", values::build_arg)?,
        cache_dir: values.text("cache-dir").unwrap_or("/cache").into(),
        force: values.switch("force"),
        ttl: duration::parse(ttl).map_err(CliError::complete)?,
        platform: values.text("customPlatform").map(str::to_owned),
        registry: registry::choice(values, env)?,
    };
    let request = Box::new(wanted.request(KANIKO, env)?);
    Ok(Warming { request, output: log::output(values), remarks: values.remarks() })
}
