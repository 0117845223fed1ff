//! All places of a build, and what they have.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use super::backend::{Backend, Layout, Registry};
use super::error::CacheError;
use super::record::{Detail, Record, read};
use crate::cancel::Cancel;
use crate::event::Reporter;
use crate::registry::{Client, Reference};
use crate::request::CachePlace;

/// What documents are called where the user does not say.
const NAME: &str = "kiln";
/// Longest part of a name that is made of a path.
const PATH_MAX: usize = 60;

/// A place, and which of the documents there.
#[derive(Debug, Clone)]
pub struct Place {
    /// Keeps it.
    pub backend: Arc<dyn Backend>,
    /// Its name there.
    pub name: String,
}

impl Place {
    /// Opens a place, which asks nobody anything. `name` stands in where the user gives none.
    ///
    /// # Errors
    /// A name that is none.
    pub fn open(
        place: &CachePlace,
        name: &str,
        client: &Client,
        cancel: &Cancel,
    ) -> Result<Self, CacheError> {
        Ok(match place {
            CachePlace::Registry(typed) => {
                let reference: Reference = typed.parse()?;
                let digest = reference.digest.map(|digest| digest.to_string());
                let own =
                    digest.or_else(|| has_tag(typed).then(|| reference.tag.clone()).flatten());
                let backend = Registry::new(client.clone(), reference.repository());
                Self { backend: Arc::new(backend), name: own.unwrap_or_else(|| name.to_owned()) }
            }
            CachePlace::Layout { dir, tag } => {
                let backend = Layout::new(dir.clone(), cancel.clone());
                Self { backend: Arc::new(backend), name: tag.clone() }
            }
        })
    }

    /// How people name it.
    pub fn shown(&self) -> String {
        format!("{}:{}", self.backend.name(), self.name)
    }

    /// Whether both are the same.
    pub fn is(&self, other: &Self) -> bool {
        self.shown() == other.shown()
    }
}

/// What documents of a build are called where the user does not say. Builds of different Dockerfiles
/// know nothing of use to each other, so each has its own; `path` is the Dockerfile's, seen from its
/// context.
pub fn name_for(path: &str) -> String {
    if path == "Dockerfile" {
        return NAME.to_owned();
    }
    let valid = |c: char| if c.is_ascii_alphanumeric() || "_.-".contains(c) { c } else { '-' };
    let short: String = path.chars().map(valid).take(PATH_MAX).collect();
    let digest = crate::digest::Digest::of(path.as_bytes());
    format!("{NAME}-{}-{}", short.trim_start_matches(['.', '-']), &digest.hex()[..8])
}

fn has_tag(typed: &str) -> bool {
    let name = typed.split('@').next().unwrap_or(typed);
    name.rsplit('/').next().is_some_and(|last| last.contains(':'))
}

/// What a place has.
#[derive(Debug)]
pub struct Known {
    /// Where.
    pub place: Place,
    /// What; empty where it could not be read.
    pub record: Record,
    /// Why it could not.
    pub error: Option<CacheError>,
}

impl Known {
    /// A place that nobody asks.
    pub fn unread(place: Place) -> Self {
        Self { place, record: Record::default(), error: None }
    }
}

/// Reads all places at once; the answers come with the places' numbers. Who listens no longer is not
/// waited for.
pub fn read_all(
    places: Vec<Place>,
    detail: Detail,
    reporter: &Reporter,
) -> Receiver<(usize, Known)> {
    let (sender, receiver) = channel();
    for (number, place) in places.into_iter().enumerate() {
        let (sender, reporter) = (sender.clone(), reporter.clone());
        let work = move || {
            let task = reporter.start(&format!("read cache {}", place.shown()));
            let known = match read(&*place.backend, &place.name, detail) {
                Ok(record) => {
                    let count = record.entries.len();
                    task.done_with(format!("{count} result{}", if count == 1 { "" } else { "s" }));
                    Known { place, record, error: None }
                }
                Err(error) => {
                    task.skipped("it cannot be read");
                    Known { place, record: Record::default(), error: Some(error) }
                }
            };
            // Nobody listens any more where it took too long.
            _ = sender.send((number, known));
        };
        // Without a thread there is no answer, as from a place that says nothing.
        _ = thread::Builder::new().spawn(work);
    }
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_dockerfile_has_a_name_of_its_own() {
        assert_eq!(name_for("Dockerfile"), "kiln");
        let names = ["docker/app.Dockerfile", "docker-app.Dockerfile", "../x", "a b"].map(name_for);
        assert!(names[0].starts_with("kiln-docker-app.Dockerfile-"), "{}", names[0]);
        for (number, name) in names.iter().enumerate() {
            let reference: Reference = format!("host/cache:{name}").parse().expect("a tag");
            assert_eq!(reference.tag.as_ref(), Some(name));
            assert!(!names[..number].contains(name));
        }
        assert!(name_for(&"x".repeat(500)).len() < 100);
    }

    #[test]
    fn a_port_is_no_tag() {
        for (typed, tagged) in
            [("host:5000/a", false), ("host:5000/a:b", true), ("a", false), ("a:b", true)]
        {
            assert_eq!(has_tag(typed), tagged, "{typed}");
        }
    }
}
