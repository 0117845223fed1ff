//! How many requests a push costs, and bytes. A regression here is slow for everyone, and no other
//! test would notice.

use std::collections::BTreeMap;

use testkit::{Quirk, Registry};

use crate::common::{Kiln, bases};
use crate::world::World;

/// Requests by method and kind, as in `PUT tag`.
fn counts(registry: &Registry) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for request in registry.requests() {
        let kind = match request.path.as_str() {
            "/v2/" => "ping",
            path if path.contains("/blobs/uploads/") && request.query.contains("mount=") => "mount",
            path if path.contains("/blobs/uploads/") => "upload",
            path if path.contains("/blobs/") => "blob",
            path if path.contains("/manifests/sha256:") => "manifest",
            path if path.contains("/manifests/") => "tag",
            path => path,
        };
        *counts.entry(format!("{} {kind}", request.method)).or_default() += 1;
    }
    counts
}

#[track_caller]
fn assert_counts(registry: &Registry, expected: &[(&str, usize)]) {
    let expected: BTreeMap<_, _> =
        expected.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
    let lines: Vec<_> = registry.requests().iter().map(testkit::Request::line).collect();
    assert_eq!(counts(registry), expected, "{lines:#?}");
}

/// The base's two layers, and two of the build's own.
fn build(world: &World, own: &str, names: &[&str]) -> Kiln {
    let (source, target) = (world.source.host(), world.target.host());
    let dockerfile = format!("FROM {source}/base:1\nCOPY one /one\nCOPY two /two\n");
    let kiln = Kiln::build().dockerfile(&dockerfile).file("one", bases::noise(50_000, 3));
    let names: Vec<_> = names.iter().map(|name| format!("{target}/{name}")).collect();
    kiln.file("two", own)
        .args(["--source-date-epoch", "1700000000"])
        .args(names.iter().flat_map(|name| ["-t", name]))
}

fn world() -> World {
    // Without mounts each blob has to be sent to each repository: what is counted is the reading.
    World::new(Registry::builder(), Registry::builder().quirk(Quirk::NoMount))
}

#[test]
fn an_image_that_is_there_already_costs_a_question_for_each_blob_and_a_tag() {
    let world = world();
    build(&world, "2", &["app:1"]).run().ok();
    world.target.clear_requests();
    build(&world, "2", &["app:1"]).run().ok();
    assert_counts(
        &world.target,
        &[("POST upload", 1), ("DELETE upload", 1), ("HEAD blob", 5), ("PUT tag", 1)],
    );
}

#[test]
fn one_new_layer_costs_two_uploads() {
    let world = world();
    build(&world, "2", &["app:1"]).run().ok();
    world.target.clear_requests();
    build(&world, "3", &["app:1"]).run().ok();
    // The layer and the config.
    assert_counts(
        &world.target,
        &[
            ("POST upload", 3),
            ("DELETE upload", 1),
            ("HEAD blob", 5),
            ("PUT upload", 2),
            ("PUT tag", 1),
        ],
    );
    let sent: u64 = world.target.requests().iter().map(|request| request.bytes_in).sum();
    assert!(sent < 10_000, "{sent} bytes were sent");
}

#[test]
fn three_destinations_read_the_source_once() {
    let world = world();
    build(&world, "2", &["a:1", "b:1", "c:1"]).run().ok();
    let read: u64 = world
        .source
        .requests()
        .iter()
        .filter(|request| request.path.contains("/blobs/"))
        .map(|request| request.bytes_out)
        .sum();
    let base: u64 =
        crate::world::Seed::new().layers.iter().map(|layer| layer.len() as u64).sum::<u64>()
            + crate::world::Seed::new().config.len() as u64;
    assert_eq!(read, base, "each layer and the config once");
    for repo in ["a", "b", "c"] {
        assert_eq!(world.target.digest(repo, "1"), world.target.digest("a", "1"));
    }
    assert_eq!(world.problems(0), Vec::<String>::new());
}

#[test]
fn three_repositories_of_one_registry_are_sent_once_and_mounted_twice() {
    let world = World::new(Registry::builder(), Registry::builder());
    build(&world, "2", &["a:1", "b:1", "c:1"]).run().ok();
    assert_counts(
        &world.target,
        &[
            ("POST upload", 8),
            ("DELETE upload", 3),
            ("HEAD blob", 15),
            ("POST mount", 10),
            ("PUT upload", 5),
            ("PUT manifest", 3),
            ("PUT tag", 3),
        ],
    );
}
