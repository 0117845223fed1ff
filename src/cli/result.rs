//! Kiln's own flags of the result and `-o` together: where the image goes, and how it is made.

use super::env::Environment;
use super::error::CliError;
use super::exports::{ImageChoices, Outputs};
use super::flags::ResultFlags;
use super::resolve::{compression_level, given, push};
use crate::image::Platform;
use crate::request::{Export, Sink};

/// The image's names, and whether it is pushed to them. With `-o`, only what it says is done, as with
/// Docker.
pub(super) fn pushed(
    result: &ResultFlags,
    outputs: &Outputs,
    any_output: bool,
) -> Result<(Vec<String>, bool), CliError> {
    if !any_output {
        return Ok((result.tag.clone(), push(result)?));
    }
    if outputs.pushed.is_some() && result.no_push {
        return Err(CliError::new(
            "--no-push and an output that pushes contradict each other",
            "leave one out",
        ));
    }
    let names = outputs.pushed.as_ref().unwrap_or(&result.tag);
    let pushes = result.push || outputs.pushed.is_some();
    let written = given(result.tar_path.clone()).or(given(result.oci_layout_path.clone()));
    let stays = result.no_push || outputs.cache_only;
    if !pushes && !stays && outputs.exports.is_empty() && written.is_none() {
        return Err(CliError::new(
            "the image would go nowhere: there is no daemon that keeps it",
            "write type=image,push=true or type=registry with a name, or --no-push to only build it",
        ));
    }
    let flags = ResultFlags {
        tag: names.clone(),
        push: pushes,
        no_push: result.no_push || !pushes,
        ..result.clone()
    };
    Ok((names.clone(), push(&flags)?))
}

/// What is written, by `-o` and by kiln's own flags.
pub(super) fn all_exports(
    result: &ResultFlags,
    mut exports: Vec<Export>,
    names: &[String],
    platforms: &[Platform],
    env: &Environment,
) -> Result<Vec<Export>, CliError> {
    if let Some(dir) = given(result.oci_layout_path.clone()) {
        exports.push(Export::OciLayout { dir: env.absolute(dir), names: names.to_vec() });
    }
    if let Some(path) = given(result.tar_path.clone()) {
        let to = Sink::File(env.absolute(path));
        exports.push(Export::DockerArchive { to, names: names.to_vec() });
    }
    let docker = exports.iter().any(|export| matches!(export, Export::DockerArchive { .. }));
    if docker && platforms.len() > 1 {
        return Err(CliError::new(
            "docker exporter does not currently support exporting manifest lists",
            "write an OCI archive or layout, or build one platform",
        ));
    }
    Ok(exports)
}

/// What flags and outputs say of the image, which have to agree.
pub(super) fn look(
    result: &ResultFlags,
    outputs: ImageChoices,
    docker: bool,
) -> Result<ImageChoices, CliError> {
    let ImageChoices { format, compression, compression_level: level, annotations } = outputs;
    let differs = result.image_format.is_some_and(|flag| format.is_some_and(|it| it != flag))
        || result.compression.is_some_and(|flag| compression.is_some_and(|it| it != flag))
        || result.compression_level.is_some_and(|flag| level.is_some_and(|it| it != flag));
    if differs {
        return Err(CliError::new(
            "flags and -o say different things of the image",
            "kiln makes the image once: leave out --image-format, --compression and \
             --compression-level, or their attributes",
        ));
    }
    let result = ResultFlags {
        image_format: result.image_format.or(format),
        compression: result.compression.or(compression),
        compression_level: result.compression_level.or(level),
        ..result.clone()
    };
    let compression = result.compression.unwrap_or_default();
    Ok(ImageChoices {
        format: result.image_format,
        compression: Some(compression),
        compression_level: compression_level(&result, compression, docker)?,
        annotations,
    })
}
