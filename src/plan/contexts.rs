//! `--build-context`: which name of a Dockerfile a named context stands in for.

use super::Inputs;
use crate::image::Platform;
use crate::registry::Reference;

/// What a named context is, as far as a plan needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamedContext {
    /// A directory, or something that becomes one: a repository, an archive.
    Files,
    /// An image; in an OCI layout, `oci-layout://DIR[:tag][@digest]`.
    Image(String),
}

impl Inputs {
    /// The named context that stands in for a stage or image of this name: under the name itself, or
    /// under any way to write the same image. One for this platform, `name::linux/arm64`, comes first.
    /// The answer has the context's own name.
    ///
    /// Source: BuildKit's dockerui/namedcontext.go.
    pub fn named_context(&self, name: &str, platform: &Platform) -> Option<(&str, &NamedContext)> {
        if self.contexts.is_empty() {
            return None;
        }
        let find =
            |wanted: String| self.contexts.iter().find(move |(own, _)| comparable(own) == wanted);
        let found = find(comparable(&format!("{name}::{platform}")));
        let found = found.or_else(|| find(comparable(name)));
        found.map(|(own, context)| (own.as_str(), context))
    }
}

/// Names compare without case, and images by what they mean: `alpine` is
/// `docker.io/library/alpine:latest`.
fn comparable(name: &str) -> String {
    let (image, platform) = match name.split_once("::") {
        Some((image, platform)) => (image, format!("::{platform}")),
        None => (name, String::new()),
    };
    let familiar = image.parse::<Reference>().map(|reference| reference.familiar());
    let familiar = familiar.unwrap_or_else(|_| image.to_owned()).to_lowercase();
    format!("{}{platform}", familiar.strip_suffix(":latest").unwrap_or(&familiar))
}
