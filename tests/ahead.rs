//! A large layer is on its way to the registry before it is complete; and whatever goes wrong with that,
//! the image is the same.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::fs;
use std::time::{Duration, Instant};

use common::bases::noise;
use common::built::{Bench, need_root};
use common::{Kiln, Outcome};
use kiln::cancel::Cancel;
use kiln::cli::{self, Environment, Invocation};
use kiln::event::Reporter;
use kiln::pipeline::{self, Ground};
use kiln::registry::Patience;
use kiln::sandbox::{self, Choice};
use testkit::image::Image;
use testkit::{Action, Fault, Registry};

/// Does not compress, and is more than what is worth to be followed.
const LARGE: usize = 40 << 20;
/// Longer than any test.
const FOREVER: Duration = Duration::from_secs(3600);
/// What an upload has besides the layer: headers of tar and gzip, and what of the small ones there is.
const REST: u64 = 1 << 20;

fn copy(bench: &Bench) -> Kiln {
    bench.kiln("FROM scratch\nCOPY large /\n").file("large", noise(LARGE, 7))
}

/// Requests to a repository that carry bytes of layers: their method, and how many.
fn uploads(registry: &Registry, repository: &str) -> Vec<(String, u64)> {
    let path = format!("/v2/{repository}/blobs/uploads/");
    let all = registry.requests().into_iter();
    let ours = all.filter(|it| it.path.starts_with(&path) && it.bytes_in > 10_000);
    ours.map(|it| (it.method, it.bytes_in)).collect()
}

fn methods(uploads: &[(String, u64)]) -> Vec<&str> {
    uploads.iter().map(|(method, _)| method.as_str()).collect()
}

fn bytes(uploads: &[(String, u64)]) -> u64 {
    uploads.iter().map(|(_, bytes)| bytes).sum()
}

#[track_caller]
fn is_right(bench: &Bench, outcome: &Outcome) {
    let image = bench.image();
    image.verify().unwrap();
    assert!(image.file("large").unwrap() == noise(LARGE, 7), "another file\n{outcome}");
    assert_eq!(bench.registry.open_uploads(), 0, "{outcome}");
}

#[test]
fn a_large_layer_is_sent_while_it_is_made() {
    let bench = Bench::new();
    let outcome = copy(&bench).run().ok();
    is_right(&bench, &outcome);
    let uploads = uploads(&bench.registry, "app");
    assert_eq!(methods(&uploads), ["PATCH"], "{outcome}");
    assert!(bytes(&uploads) < LARGE as u64 + REST, "{uploads:?}");
    // Its length was not known, which is how it is told from a chunk.
    let requests = bench.registry.requests();
    let patch = requests.iter().find(|it| it.method == "PATCH").unwrap();
    assert!(!patch.headers.iter().any(|(name, _)| name == "content-length"), "{patch:?}");
    assert!(outcome.stderr.contains("push layer"), "{outcome}");
}

#[test]
fn what_a_run_writes_is_sent_while_it_is_made() {
    need_root();
    for isolation in ["namespaces", "chroot"] {
        let bench = Bench::new();
        let dockerfile = "FROM BASE/busybox\nRUN head -c 41943040 /dev/urandom > /large\n";
        let outcome = bench.kiln(dockerfile).args(["--isolation", isolation]).run().ok();
        bench.image().verify().unwrap();
        assert_eq!(bench.image().file("large").unwrap().len(), LARGE, "{outcome}");
        assert_eq!(methods(&uploads(&bench.registry, "app")), ["PATCH"], "{isolation}\n{outcome}");
    }
}

#[test]
fn small_layers_and_wanted_chunks_go_as_before() {
    let bench = Bench::new();
    bench.kiln("FROM scratch\nCOPY small /\n").file("small", noise(2 << 20, 7)).run().ok();
    assert_eq!(methods(&uploads(&bench.registry, "app")), ["PUT"]);
    let bench = Bench::new();
    let outcome = copy(&bench).args(["--upload-chunk-size", "16MiB"]).run().ok();
    is_right(&bench, &outcome);
    let uploads = uploads(&bench.registry, "app");
    assert!(uploads.iter().all(|(_, bytes)| *bytes <= 16 << 20), "{uploads:?}");
}

#[test]
fn a_registry_that_takes_it_not_gets_it_when_it_is_complete() {
    for action in [
        Action::status(405),
        Action::error(500, "UNKNOWN", "not today"),
        Action::WithoutHeader("Location"),
        Action::DropConnection,
        Action::DropAnswer,
        Action::status(401),
        Action::status(411),
        Action::status(413),
        Action::status(429),
    ] {
        let bench = Bench::new();
        let shown = format!("{action:?}");
        bench.registry.fault(Fault::on("PATCH", "/app/blobs/uploads/", action));
        let outcome = copy(&bench).run().ok();
        is_right(&bench, &outcome);
        assert!(!outcome.stderr.contains("error"), "{shown}\n{outcome}");
    }
}

/// kiln waits more than a minute for the answer, and five for a registry that takes nothing. Here it has less
/// patience, which no flag gives it.
#[test]
fn a_registry_that_never_answers_gets_it_when_it_is_complete() {
    const LIMIT: Duration = Duration::from_secs(2);
    for (action, patience) in [
        // Takes all of it, and says nothing.
        (Action::Silence, Patience { answer_max: LIMIT, ..Patience::default() }),
        // Does not even take it.
        (Action::Delay(FOREVER), Patience { bytes: LIMIT, ..Patience::default() }),
    ] {
        let bench = Bench::new();
        let shown = format!("{action:?}");
        bench.registry.fault(Fault::on("PATCH", "/app/blobs/uploads/", action));
        let start = Instant::now();
        build_here(&bench, patience);
        assert!(start.elapsed() >= LIMIT, "nobody waited: {shown}");
        let image = bench.image();
        image.verify().unwrap();
        assert!(image.file("large").unwrap() == noise(LARGE, 7), "another file: {shown}");
        let sent = |it: &str| bench.registry.requests().iter().filter(|r| r.method == it).count();
        // The ordinary way begins anew, as the registry has kept nothing.
        assert_eq!((sent("PATCH"), methods(&uploads(&bench.registry, "app"))), (1, vec!["PUT"]));
        assert_eq!(bench.registry.open_uploads(), 0, "{shown}");
    }
}

/// In this process.
fn build_here(bench: &Bench, patience: Patience) {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("Dockerfile"), "FROM scratch\nCOPY large /\n").unwrap();
    fs::write(dir.path().join("large"), noise(LARGE, 7)).unwrap();
    let env = Environment::new(dir.path().to_owned(), [("TMPDIR".into(), dir.path().into())]);
    let line = ["kiln", "build", ".", "-t", &bench.name()].map(Into::into);
    let Ok(Invocation::Build(mut job)) = cli::parse(line, &env) else { panic!("no build") };
    job.request.registry.patience = patience;
    let sandbox = sandbox::enter(Choice::None).unwrap();
    let (reporter, cancel) = (Reporter::silent(), Cancel::default());
    pipeline::build(&job.request, &Ground { sandbox, reporter, cancel }).unwrap();
}

#[test]
fn an_upload_that_breaks_goes_on_where_it_broke() {
    let bench = Bench::new();
    let cut = Action::CutUploadAfter(30 << 20);
    bench.registry.fault(Fault::on("PATCH", "/app/blobs/uploads/", cut));
    let outcome = copy(&bench).run().ok();
    is_right(&bench, &outcome);
    let uploads = uploads(&bench.registry, "app");
    // What was on its way when it broke is sent again.
    assert!(bytes(&uploads) < LARGE as u64 + (12 << 20), "{uploads:?}\n{outcome}");
}

#[test]
fn each_registry_gets_it_once_and_each_repository_has_it() {
    let bench = Bench::new();
    let other = Registry::start();
    let outcome = copy(&bench)
        .args(["-t", &format!("{}/second:1", bench.registry.host())])
        .args(["-t", &format!("{}/app:1", other.host())])
        .run()
        .ok();
    is_right(&bench, &outcome);
    Image::from_registry(&bench.registry, "second", "1").unwrap().verify().unwrap();
    Image::from_registry(&other, "app", "1").unwrap().verify().unwrap();
    assert_eq!(methods(&uploads(&bench.registry, "app")), ["PATCH"], "{outcome}");
    assert_eq!(methods(&uploads(&bench.registry, "second")), [""; 0], "{outcome}");
    assert_eq!(methods(&uploads(&other, "app")), ["PATCH"], "{outcome}");
}

#[test]
fn a_layer_that_is_made_twice_is_no_trouble() {
    let bench = Bench::new();
    let dockerfile = "FROM scratch AS one\nCOPY large /\nFROM one\nCOPY large /\n";
    let outcome = bench.kiln(dockerfile).file("large", noise(LARGE, 7)).run().ok();
    is_right(&bench, &outcome);
}

/// What was built before is asked about, and that needs a digest.
#[test]
fn a_repeated_build_sends_nothing_again() {
    let bench = Bench::new();
    let epoch = |kiln: Kiln| kiln.args(["--source-date-epoch", "1700000000"]);
    epoch(copy(&bench)).run().ok();
    bench.registry.clear_requests();
    let outcome = epoch(copy(&bench)).run().ok();
    is_right(&bench, &outcome);
    assert_eq!(methods(&uploads(&bench.registry, "app")), [""; 0], "{outcome}");
}

/// On its way when the build ends: the registry is slow, or takes nothing, or says nothing. Where that
/// were waited for, it would be for minutes.
#[test]
fn nothing_is_left_of_a_build_that_fails_meanwhile() {
    need_root();
    let slow = Action::SlowUpload { piece: 1 << 20, pause: Duration::from_millis(200) };
    for action in [slow, Action::Delay(FOREVER), Action::Silence] {
        let bench = Bench::new();
        let shown = format!("{action:?}");
        bench.registry.fault(Fault::on("PATCH", "/app/blobs/uploads/", action).always());
        let dockerfile = "FROM BASE/busybox\nCOPY large /\nRUN false\n";
        let outcome = bench.kiln(dockerfile).file("large", noise(LARGE, 7)).run();
        assert_eq!(outcome.code, Some(1), "{shown}\n{outcome}");
        assert_eq!(bench.registry.open_uploads(), 0, "{shown}\n{outcome}");
    }
}

#[test]
fn nothing_is_left_of_a_build_that_fails_later() {
    need_root();
    let bench = Bench::new();
    let dockerfile = "FROM BASE/busybox\nCOPY large /\nRUN false\n";
    let outcome = bench.kiln(dockerfile).file("large", noise(LARGE, 7)).run();
    assert_eq!(outcome.code, Some(1), "{outcome}");
    assert_eq!(bench.registry.tags("app"), [""; 0]);
    assert_eq!(bench.registry.open_uploads(), 0, "{outcome}");
}
