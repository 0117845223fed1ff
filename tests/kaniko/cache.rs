//! The layer cache and the cache of base images under kaniko's flags.

use testkit::Registry;
use testkit::image::Image;

use crate::common::{Outcome, bases};
use crate::job::Job;

/// Says when it runs, and leaves something else each time.
const STEPS: &str =
    "COPY Dockerfile /first\nRUN echo it ran; cat /proc/sys/kernel/random/uuid > /uuid\n";

fn job(registry: &Registry) -> Job {
    bases::busybox(registry, "base", "1");
    Job::new(&format!("FROM {}/base:1\n{STEPS}", registry.host()))
}

/// What the executor said, and the uuid of its image.
fn execute(registry: &Registry, job: &Job, args: &[&str]) -> (Outcome, String) {
    registry.clear_requests();
    let to = format!("{}/app:1", registry.host());
    let outcome = job.executor([&["--destination", &to], args].concat()).ok();
    let image = Image::from_registry(registry, "app", "1").expect("an image");
    (outcome, image.text("uuid").expect("a file"))
}

#[test]
fn a_second_execution_runs_no_command() {
    for more in [&["--cache-copy-layers"][..], &["--cache-copy-layers=true"], &[]] {
        let registry = Registry::start();
        let job = job(&registry);
        let repo = format!("oci:{}", job.path("cache").display());
        let args = [&["--cache=true", "--cache-repo", &repo], more].concat();
        let (first, made) = execute(&registry, &job, &args);
        assert!(first.stdout.contains("it ran\n"), "{first}");
        let digest = registry.digest("app", "1");
        let (second, uuid) = execute(&registry, &job, &args);
        assert_eq!((second.stdout.as_str(), uuid), ("", made), "{second}");
        if !more.is_empty() {
            assert_eq!(registry.digest("app", "1"), digest, "{second}");
        }
        // Neither the base's layers nor those of the cache.
        let requests = registry.requests();
        let blobs = requests.iter().filter(|it| it.method == "GET" && it.path.contains("/blobs/"));
        let bytes: u64 = blobs.map(|it| it.bytes_out).sum();
        assert!(more.is_empty() || bytes < 4000, "{bytes}: {second}");
        // Without the flag nothing is read.
        let (third, _) = execute(&registry, &job, &["--cache-repo", &repo]);
        assert!(third.stdout.contains("it ran\n"), "{third}");
    }
}

#[test]
fn with_the_warmer_s_images_a_registry_is_only_asked_what_the_base_s_tag_means() {
    let registry = Registry::start();
    let job = job(&registry);
    let (dir, base) = (job.path("bases"), format!("{}/base:1", registry.host()));
    let mut warmer = job.command("/kaniko/warmer");
    warmer.arg("--cache-dir").arg(&dir).args(["--image", &base]);
    job.run(warmer).ok();
    let dir = dir.display().to_string();
    let repo = format!("oci:{}", job.path("cache").display());
    let args = ["--cache", "--cache-copy-layers", "--cache-repo", &repo, "--cache-dir", &dir];
    let (first, made) = execute(&registry, &job, &args);
    assert!(first.stdout.contains("it ran\n"), "{first}");
    let (second, uuid) = execute(&registry, &job, &args);
    assert_eq!((second.stdout.as_str(), uuid), ("", made), "{second}");
    let asked = registry.requests().into_iter().filter(|it| it.path.starts_with("/v2/base/"));
    assert_eq!(asked.map(|it| it.line()).collect::<Vec<_>>(), ["HEAD /v2/base/manifests/1"]);
}
