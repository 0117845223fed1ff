//! Which images are wanted: those that were named, and those that a Dockerfile names.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;

use crate::context::read_dockerfile;
use crate::dockerfile::{self, Located};
use crate::image::Platform;
use crate::plan::{Graph, Inputs};
use crate::request::WarmRequest;

/// An image for a platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    /// As written.
    pub(super) name: String,
    pub(super) platform: Platform,
}

/// All images, each once.
pub(super) fn wanted(request: &WarmRequest) -> Result<Vec<Wanted>> {
    let platform = match &request.platform {
        Some(text) => text.parse()?,
        None => Platform::host(),
    };
    let named = request.images.iter().cloned();
    let mut all: Vec<Wanted> =
        named.map(|name| Wanted { name, platform: platform.clone() }).collect();
    if let Some(file) = &request.dockerfile {
        all.extend(in_dockerfile(request, file, &platform)?);
    }
    let mut wanted: Vec<Wanted> = Vec::new();
    for image in all {
        if !wanted.contains(&image) {
            wanted.push(image);
        }
    }
    Ok(wanted)
}

/// What any stage starts or copies from: nobody has said yet which one will be built.
fn in_dockerfile(request: &WarmRequest, file: &Path, platform: &Platform) -> Result<Vec<Wanted>> {
    let directory = file.parent().unwrap_or(Path::new("/"));
    let file = read_dockerfile(directory, Some(file))?;
    let path = file.path.display().to_string();
    let dockerfile = dockerfile::parse(file.text.as_bytes()).map_err(|error| Located {
        path: path.clone(),
        text: file.text.as_str().into(),
        span: error.span.clone(),
        message: error.message.clone(),
        help: error.help.clone(),
        cause: None,
    })?;
    let mut all = Vec::new();
    for stage in 0..dockerfile.stages.len() {
        let inputs = Inputs {
            path: path.clone(),
            args: request.build_args.clone(),
            target: Some(stage.to_string()),
            platform: platform.clone(),
            labels: Vec::new(),
            contexts: BTreeMap::new(),
        };
        for key in Graph::new(&dockerfile, &inputs)?.images.into_keys() {
            all.push(Wanted { name: key.name, platform: key.platform.parse()? });
        }
    }
    Ok(all)
}
