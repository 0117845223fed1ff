//! `--annotation`, and the annotations of an output.
//!
//! Source: docs.docker.com/build/metadata/annotations, docs.docker.com/build/exporters/image-registry.

use super::error::CliError;
use crate::image::Platform;
use crate::request::{Annotated, Annotation};

/// `[LEVEL[\[PLATFORM\]][,…]:]NAME=VALUE`; without a level it is the manifest's.
pub(super) fn typed(text: &str) -> Result<Vec<Annotation>, String> {
    let (key, value) = super::values::pair(text)?;
    let Some((levels, name)) = key.split_once(':') else {
        return Ok(vec![Annotation { on: Annotated::Manifest, platform: None, name: key, value }]);
    };
    if name.is_empty() {
        return Err("the name of the annotation is empty".into());
    }
    let annotation = |level: &str| {
        let (on, platform) = level_of(level)?;
        Ok(Annotation { on, platform, name: name.to_owned(), value: value.clone() })
    };
    levels.split(',').map(annotation).collect()
}

/// An attribute of an output: `annotation.NAME`, `annotation-LEVEL[PLATFORM].NAME`.
pub(super) fn attribute(key: &str, value: &str) -> Result<Annotation, String> {
    let bad = || format!("`{key}` is no annotation: write annotation.NAME=VALUE");
    let (level, name) = key.split_once('.').ok_or_else(bad)?;
    let level = level.strip_prefix("annotation").ok_or_else(bad)?;
    if name.is_empty() {
        return Err(bad());
    }
    let level = match level.strip_prefix('-') {
        Some(level) => level.to_owned(),
        None => format!("manifest{level}"),
    };
    let (on, platform) = level_of(&level)?;
    Ok(Annotation { on, platform, name: name.to_owned(), value: value.to_owned() })
}

fn level_of(text: &str) -> Result<(Annotated, Option<Platform>), String> {
    let (word, platform) = match text.split_once('[') {
        Some((word, rest)) => {
            let inner = rest.strip_suffix(']').ok_or_else(|| {
                format!(
                    "invalid annotation type \"{text}\", expected type and optional platform in \
                     square brackets"
                )
            })?;
            (word, Some(inner.parse::<Platform>().map_err(|error| error.to_string())?))
        }
        None => (text, None),
    };
    let on = match word {
        "manifest" => Annotated::Manifest,
        "manifest-descriptor" => Annotated::ManifestDescriptor,
        "index" => Annotated::Index,
        "index-descriptor" => Annotated::IndexDescriptor,
        other => {
            return Err(format!(
                "unknown annotation type \"{other}\": there are manifest, manifest-descriptor, index \
                 and index-descriptor"
            ));
        }
    };
    if on.needs_index() && platform.is_some() {
        return Err(format!("the {word} is one for all platforms: leave out the square brackets"));
    }
    Ok((on, platform))
}

/// Refuses annotations of documents that the build does not make.
pub(super) fn check(annotations: &[Annotation], platforms: &[Platform]) -> Result<(), CliError> {
    for annotation in annotations {
        if annotation.on.needs_index() && platforms.len() < 2 {
            return Err(CliError::new(
                "index annotations not supported for single platform export",
                "annotate the manifest, or build for several platforms",
            ));
        }
        let host = [Platform::host()];
        let built = if platforms.is_empty() { &host[..] } else { platforms };
        if let Some(platform) = &annotation.platform
            && !built.contains(platform)
        {
            return Err(CliError::new(
                format!("invalid annotation: no platform {platform} found in source"),
                "name one that --platform has",
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(annotation: &Annotation) -> String {
        let Annotation { on, platform, name, value } = annotation;
        let platform = platform.as_ref().map(|platform| format!("[{platform}]"));
        format!("{on:?}{} {name} {value}", platform.unwrap_or_default())
    }

    #[test]
    fn levels_stand_before_the_name() {
        for (text, expected) in [
            ("a.b/c=d=e", Some("Manifest a.b/c d=e")),
            ("manifest:a=b", Some("Manifest a b")),
            ("manifest[linux/amd64]:a=b", Some("Manifest[linux/amd64] a b")),
            ("index,manifest-descriptor:a=b:c", Some("Index a b:c; ManifestDescriptor a b:c")),
            ("index-descriptor:a=", Some("IndexDescriptor a ")),
            ("manifest:=b", None),
            ("index[linux/amd64]:a=b", None),
            ("manifest[linux:a=b", None),
            ("manifests:a=b", None),
            ("a", None),
            ("=b", None),
        ] {
            let found = typed(text).ok();
            let found = found.map(|all| all.iter().map(show).collect::<Vec<_>>().join("; "));
            assert_eq!(found.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn attributes_have_the_level_before_a_dot() {
        for (key, expected) in [
            ("annotation.a.b", Some("Manifest a.b v")),
            ("annotation-index.a", Some("Index a v")),
            ("annotation-manifest[linux/arm64].a", Some("Manifest[linux/arm64] a v")),
            ("annotation[linux/arm64].a", Some("Manifest[linux/arm64] a v")),
            ("annotation", None),
            ("annotation.", None),
            ("annotations.a", None),
        ] {
            let found = attribute(key, "v").ok().as_ref().map(show);
            assert_eq!(found.as_deref(), expected, "{key}");
        }
    }
}
