//! Plain HTTP: on the loopback by itself, elsewhere only where the user says so.

use testkit::Registry;
use testkit::process::docker_registry;

use crate::common::{Kiln, bases, tools};

/// A name that leads to this machine, but is not spelled like it.
const NAME: &str = "registry.kiln.test";

fn build(host: &str) -> Kiln {
    Kiln::build()
        .hosts(&format!("127.0.0.1 localhost {NAME}\n"))
        .dockerfile(&format!("FROM {host}/base:1\nENV B=1\n"))
        .args(["-t", &format!("{host}/app:1")])
}

/// docker-registry with a base, by its other name.
fn registry() -> (testkit::process::DockerRegistry, String) {
    let seed = Registry::start();
    bases::plain(&seed, "base", "1");
    let registry = docker_registry(None).expect("docker-registry");
    let (from, to) = (format!("{}/base:1", seed.host()), format!("{}/base:1", registry.host()));
    tools::skopeo_copy(&from, &to, "oci", &[]);
    let port = registry.host().rsplit(':').next().expect("a port");
    let name = format!("{NAME}:{port}");
    (registry, name)
}

#[test]
fn a_registry_with_plain_http_is_refused_and_the_flag_named() {
    let (_registry, host) = registry();
    let outcome = build(&host).run().fails(1, "it does not speak TLS");
    assert!(outcome.stderr.contains(&format!("--insecure-registry {host}")), "{outcome}");
}

#[test]
fn plain_http_is_spoken_where_the_user_says_so() {
    let (registry, host) = registry();
    for flags in [&["--insecure-registry", &host][..], &["--insecure", "--insecure-pull"]] {
        let outcome = build(&host).args(flags).run().ok();
        let image = format!("docker://{}/app:1", registry.host());
        let found = tools::skopeo_inspect(&image, &[]);
        assert_eq!(found["Digest"], outcome.stdout.trim());
    }
    build(&host).args(["--insecure"]).run().fails(1, "it does not speak TLS");
    build(&host).args(["--insecure-registry", "other.test"]).run().fails(1, "does not speak TLS");
}

#[test]
fn localhost_needs_no_flag() {
    let (registry, host) = registry();
    let host = host.replace(NAME, "localhost");
    let outcome = build(&host).run().ok();
    let found = tools::skopeo_inspect(&format!("docker://{}/app:1", registry.host()), &[]);
    assert_eq!(found["Digest"], outcome.stdout.trim());
}
