//! RUN under kaniko's flags.

use testkit::{Quirk, Registry};

use crate::common::bases;
use crate::job::Job;

fn based_on_busybox(registry: &Registry, steps: &str) -> Job {
    bases::busybox(registry, "base", "1");
    Job::new(&format!("FROM {}/base:1\n{steps}", registry.host()))
}

#[test]
fn the_code_of_a_run_is_the_executor_s() {
    let registry = Registry::start();
    let job = based_on_busybox(&registry, "RUN echo out; echo err >&2; exit 42\n");
    let outcome = job.executor(["--no-push"]).fails(42, "error building image: ");
    assert_eq!(outcome.stdout, "out\n");
    assert!(outcome.stderr.contains("\nerr\n"), "{outcome}");
    assert!(outcome.stderr.contains("Dockerfile:2"), "{outcome}");
}

#[test]
fn what_a_run_leaves_at_an_ignored_path_is_not_in_the_image() {
    let registry = Registry::start();
    let job = based_on_busybox(
        &registry,
        "RUN mkdir -p /keep /drop/deep /dropped && touch /keep/a /drop/deep/b /dropped/c\n\
         RUN test -e /drop/deep/b && rm -r /drop /etc/upper\n",
    );
    let to = format!("{}/app:1", registry.host());
    job.executor(["--destination", &to, "--ignore-path", "/drop"]).ok();
    let (manifest, _) = registry.manifest("app", "1").expect("an image");
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).expect("JSON");
    let layers = manifest["layers"].as_array().expect("layers");
    let names: Vec<String> = layers[2..].iter().flat_map(|layer| names(&registry, layer)).collect();
    assert!(names.contains(&"keep/a".into()) && names.contains(&"dropped/c".into()), "{names:?}");
    assert!(names.contains(&"etc/.wh.upper".into()), "{names:?}");
    assert!(!names.iter().any(|n| n == "drop" || n.starts_with("drop/") || n.contains(".wh.drop")));
}

fn names(registry: &Registry, layer: &serde_json::Value) -> Vec<String> {
    let blob = registry.blob(layer["digest"].as_str().expect("a digest")).expect("a blob");
    let mut tar = tar::Archive::new(flate2::read::MultiGzDecoder::new(&blob[..]));
    let entries = tar.entries().expect("a tar");
    let name = |entry: std::io::Result<tar::Entry<'_, _>>| {
        let entry = entry.expect("an entry");
        let path = entry.path().expect("a path").display().to_string();
        path.trim_end_matches('/').to_owned()
    };
    entries.map(name).collect()
}

#[test]
fn reproducible_builds_have_no_date() {
    let registry = Registry::start();
    let job = based_on_busybox(&registry, "RUN echo x > /x\nCOPY Dockerfile /\n");
    let digest = |tag: &str| {
        let to = format!("{}/app:{tag}", registry.host());
        job.executor(["--destination", &to, "--reproducible"]).ok();
        registry.digest("app", tag).expect("an image")
    };
    let first = digest("1");
    std::thread::sleep(std::time::Duration::from_millis(1100));
    assert_eq!(first, digest("2"));
}

#[test]
fn a_tag_that_cannot_change_may_be_no_error() {
    let registry = Registry::builder().quirk(Quirk::ImmutableTags).start();
    let to = format!("{}/app:1", registry.host());
    Job::new("FROM scratch\nCOPY Dockerfile /a\n").executor(["-d", &to]).ok();
    let first = registry.digest("app", "1");
    let job = Job::new("FROM scratch\nCOPY Dockerfile /b\n");
    job.executor(["-d", &to]).fails(1, "error pushing image: ");
    job.executor(["-d", &to, "--push-ignore-immutable-tag-errors"]).ok();
    assert_eq!(registry.digest("app", "1"), first);
}

#[test]
fn a_password_that_is_wrong_is_said_as_kaniko_says_it() {
    let registry = Registry::builder().basic_auth("user", "secret").start();
    let job = Job::new("FROM scratch\nCOPY Dockerfile /\n");
    let to = format!("{}/app:1", registry.host());
    job.executor(["-d", &to]).fails(1, "error checking push permissions: ");
}
