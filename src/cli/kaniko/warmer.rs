//! `warmer`: the base images that shall have local copies.

use super::super::duration;
use super::super::env::Environment;
use super::super::error::CliError;
use super::super::{Warming, resolve, values};
use super::values::Values;
use super::{executor, log, registry};
use crate::remote::is_http;
use crate::request::WarmRequest;

/// What the warmer is to fetch.
pub(super) fn warming(values: &Values, env: &Environment) -> Result<Warming, CliError> {
    let images = values.each("image", values::image_name)?;
    let dockerfile = match values.text("dockerfile") {
        Some(address) if is_http(address) => {
            return Err(CliError::new(
                "the warmer cannot read a Dockerfile from an address",
                "download it first and name the file",
            ));
        }
        Some(_) => executor::dockerfile(values, env)?.map(|path| env.absolute(path)),
        None => None,
    };
    if images.is_empty() && dockerfile.is_none() {
        return Err(CliError::new(
            "there is nothing to fetch",
            "name images with --image, or a Dockerfile with --dockerfile",
        ));
    }
    if let Some(path) = dockerfile.as_ref().filter(|path| !path.is_file()) {
        return Err(CliError::new(
            format!("there is no Dockerfile {}", path.display()),
            "a path after --dockerfile is looked for here",
        ));
    }
    let ttl = values.text("cache-ttl").unwrap_or("336h");
    let args = values.each("build-arg", values::build_arg)?;
    let request = WarmRequest {
        images,
        dockerfile,
        build_args: resolve::given_args(&args, env)?,
        cache_dir: env.absolute(values.text("cache-dir").unwrap_or("/cache")),
        force: values.switch("force"),
        ttl: duration::parse(ttl).map_err(CliError::complete)?,
        platform: resolve::platform(values.text("customPlatform").map(str::to_owned))?,
        registry: registry::choice(values, env)?,
    };
    let remarks = values.remarks();
    Ok(Warming { request: Box::new(request), output: log::output(values), remarks })
}
