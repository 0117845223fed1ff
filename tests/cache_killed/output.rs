//! Where images go, and what is there then.

use std::path::Path;

use fastrand::Rng;
use testkit::image::Image;

use crate::project::{Project, of_layout};

/// What builds have in common.
pub struct Places<'a> {
    pub project: &'a Project,
    pub cache: &'a Path,
}

/// Where an image goes.
#[derive(Clone, Copy)]
pub enum Output {
    /// A layout of its own.
    Layout(usize),
    /// The layout that is the cache as well.
    Cache(usize),
    Registry(usize),
}

impl Output {
    pub fn any(rng: &mut Rng, number: usize) -> Self {
        match rng.u8(..4) {
            0 => Self::Cache(number),
            1 => Self::Registry(number),
            _ => Self::Layout(number),
        }
    }

    pub fn args(self, place: &Places<'_>) -> Vec<String> {
        let layout = |dir: &Path| format!("--output=type=oci,tar=false,dest={}", dir.display());
        match self {
            Self::Layout(number) => {
                vec![layout(&place.project.path("out").join(number.to_string()))]
            }
            Self::Cache(number) => {
                vec![layout(place.cache), "--push=false".into(), format!("--tag=app:n{number}")]
            }
            Self::Registry(number) => {
                vec![format!("--tag={}/app:n{number}", place.project.registry.host())]
            }
        }
    }

    pub fn image(self, place: &Places<'_>) -> Result<Image, String> {
        match self {
            Self::Layout(number) => {
                of_layout(&place.project.path("out").join(number.to_string()), None)
            }
            Self::Cache(number) => of_layout(place.cache, Some(&format!("n{number}"))),
            Self::Registry(number) => {
                let registry = &place.project.registry;
                Image::from_registry(registry, "app", &format!("n{number}"))
                    .map_err(|error| format!("{error:#}"))
            }
        }
    }
}
