//! What is joined, and where the index goes.

use std::path::Path;

use super::env::Environment;
use super::error::CliError;
use super::index_flags::IndexFlags;
use super::{Joining, annotations, gitlab, push, resolve, values};
use crate::base_cache::{LAYOUT, layout_dir};
use crate::image::Platform;
use crate::registry::{Reference, ReferenceError};
use crate::request::{Annotated, Annotation, Annotations, IndexRequest, IndexSource};

pub(super) fn index(flags: IndexFlags, env: &Environment) -> Result<Joining, CliError> {
    let output = resolve::output(&flags.output, env, gitlab::is_job(env));
    if flags.sources.is_empty() {
        return Err(CliError::new(
            "there is nothing to join",
            "name images: kiln index -t registry.example/app:1 registry.example/app:1-amd64 \
             registry.example/app:1-arm64",
        ));
    }
    let sources = flags.sources.iter().map(|text| source(text, env)).collect::<Result<_, _>>()?;
    let request = IndexRequest {
        sources,
        annotations: Annotations(flags.annotation.into_iter().flatten().collect()),
        format: flags.image_format,
        to: push::destinations(Vec::new(), flags.to, env)?,
    };
    Ok(Joining { request: Box::new(request), output })
}

/// `NAME`, `NAME=OS/ARCH`, `oci-layout://DIR[:TAG]`.
fn source(text: &str, env: &Environment) -> Result<IndexSource, CliError> {
    // A directory may have `=` in its name.
    let is_layout = text.starts_with(LAYOUT) && env.absolute(layout_dir(text)).exists();
    let (name, platform) = match text.rsplit_once('=').filter(|_| !is_layout) {
        Some((name, platform)) => {
            let platform: Platform = platform
                .parse()
                .map_err(|error| CliError::complete(format!("the source `{text}`: {error}")))?;
            (name, Some(platform))
        }
        None => (text, None),
    };
    if let Some(address) = name.strip_prefix(LAYOUT) {
        let address = env.absolute(Path::new(address));
        return Ok(IndexSource { name: format!("{LAYOUT}{}", address.display()), platform });
    }
    values::image_name(name)
        .map_err(|why| CliError::complete(format!("the source `{text}`: {why}")))?;
    name.parse::<Reference>()
        .map_err(|error: ReferenceError| CliError::complete(error.to_string()))?;
    Ok(IndexSource { name: name.to_owned(), platform })
}

/// `[LEVEL:]NAME=VALUE`; without a level it is the index's.
pub(super) fn annotation(text: &str) -> Result<Vec<Annotation>, String> {
    let (key, value) = values::pair(text)?;
    if !key.contains(':') {
        return Ok(vec![Annotation { on: Annotated::Index, platform: None, name: key, value }]);
    }
    let typed = annotations::typed(text)?;
    for annotation in &typed {
        match annotation.on {
            Annotated::Index if annotation.platform.is_some() => {
                return Err("an index is for all platforms".into());
            }
            Annotated::Index | Annotated::ManifestDescriptor => {}
            Annotated::Manifest => {
                return Err("the manifests are there already and stay as they are; \
                            manifest-descriptor: is on what leads to them"
                    .into());
            }
            Annotated::IndexDescriptor => {
                return Err("nothing leads to the index but its tags".into());
            }
        }
    }
    Ok(typed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_may_say_their_platform() {
        let env = Environment::new("/here".into(), []);
        for (text, name, platform) in [
            ("r.io/app:1-arm64", "r.io/app:1-arm64", None),
            ("r.io/app:1=linux/arm64/v8", "r.io/app:1", Some("linux/arm64")),
            ("oci-layout://out:1", "oci-layout:///here/out:1", None),
            ("oci-layout:///out=linux/arm", "oci-layout:///out", Some("linux/arm/v7")),
        ] {
            let found = source(text, &env).expect(text);
            let shown = found.platform.as_ref().map(Platform::to_string);
            assert_eq!((found.name.as_str(), shown.as_deref()), (name, platform), "{text}");
        }
        let dir = tempfile::tempdir().expect("temp");
        let layout = format!("{LAYOUT}{}", dir.path().join("a=b/out").display());
        std::fs::create_dir_all(dir.path().join("a=b/out")).expect("a directory");
        for (rest, platform) in [("", None), (":1", None), ("=linux/arm64", Some("linux/arm64"))] {
            let found = source(&format!("{layout}{rest}"), &env).expect(rest);
            let shown = found.platform.as_ref().map(Platform::to_string);
            let name = format!("{layout}{}", if platform.is_some() { "" } else { rest });
            assert_eq!((found.name, shown.as_deref()), (name, platform), "{rest}");
        }
        for text in ["", "r.io/App", "r.io/app=", "r.io/app=a b", "=linux/arm64"] {
            assert!(source(text, &env).is_err(), "{text}");
        }
    }

    #[test]
    fn annotations_are_the_index_s_or_what_leads_to_its_images() {
        let on = |text: &str| annotation(text).map(|all| all.iter().map(|it| it.on).collect());
        assert_eq!(on("a=b"), Ok(vec![Annotated::Index]));
        assert_eq!(on("index:a=b"), Ok(vec![Annotated::Index]));
        let both = Ok(vec![Annotated::Index, Annotated::ManifestDescriptor]);
        assert_eq!(on("index,manifest-descriptor[linux/arm64]:a=b"), both);
        for text in ["manifest:a=b", "index-descriptor:a=b", "a", "index[linux/arm64]:a=b", "x:a=b"]
        {
            assert!(on(text).is_err(), "{text}");
        }
    }
}
