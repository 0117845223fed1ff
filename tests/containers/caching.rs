//! One cache for builds in every isolation, in real containers.

use testkit::image::Image;

use crate::common::Outcome;
use crate::common::built::Bench;
use crate::common::containers::{Container, Engine};

const DOCKERFILE: &str = "\
FROM BASE/busybox
WORKDIR /w
COPY app.py .
RUN cat /proc/sys/kernel/random/uuid > uuid
";

fn uuid(bench: &Bench) -> String {
    Image::from_registry(&bench.registry, "app", "1").unwrap().text("w/uuid").unwrap()
}

fn cached(outcome: &Outcome) -> usize {
    outcome.stderr.matches(" skipped: cached").count()
}

#[test]
fn dockerd_isolations_share_one_cache() {
    let engine = Engine::start();
    let bench = Bench::new();
    let cache = format!("{}/cache", bench.registry.host());
    let kiln = bench.kiln(DOCKERFILE).file("app.py", "print(1)\n").args(["--cache-repo", &cache]);
    let context = kiln.context();
    let build = |container: Container<'_>, isolation: &str| {
        let container = container.mount(&context, "/builds").entrypoint("kiln");
        let name = bench.name();
        let args = ["build", "--isolation", isolation, "--progress", "plain", "-t", &name];
        container.run(args.into_iter().chain(["--cache-repo", &cache, "/builds"])).ok()
    };
    let first = build(engine.container().seven_capabilities(), "inplace");
    assert_eq!(cached(&first), 0, "{first}");
    let made = uuid(&bench);
    for (container, isolation) in
        [(engine.container(), "chroot"), (engine.container().seven_capabilities(), "inplace")]
    {
        let outcome = build(container, isolation);
        assert_eq!(cached(&outcome), 3, "{isolation}\n{outcome}");
        assert_eq!(uuid(&bench), made, "{isolation}");
    }
    let outcome = kiln.args(["--isolation", "namespaces"]).run().ok();
    assert_eq!(cached(&outcome), 3, "{outcome}");
    assert_eq!(uuid(&bench), made);
}

/// `/` becomes the image's, and the cache stays where it is.
#[test]
fn dockerd_inplace_keeps_a_cache_in_a_directory() {
    let engine = Engine::start();
    let bench = Bench::new();
    let kiln = bench.kiln(DOCKERFILE).file("app.py", "print(1)\n");
    let container = engine.container().debug().seven_capabilities();
    let container = container.mount(&kiln.context(), "/builds");
    let name = bench.name();
    let build = format!(
        "kiln build --isolation inplace --progress plain -t {name} \
         --cache-repo oci:/var/cache/kiln"
    );
    let again = format!("{build} /builds && echo print > /builds/app.py && {build} /builds");
    let outcome = container.shell(&again).ok();
    assert_eq!(cached(&outcome), 1, "{outcome}");
    let image = Image::from_registry(&bench.registry, "app", "1").unwrap();
    assert_eq!(image.text("w/app.py").unwrap(), "print\n");
    assert!(image.text("var/cache/kiln/index.json").is_err(), "the cache is in the image");
}
