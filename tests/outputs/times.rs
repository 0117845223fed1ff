//! SOURCE_DATE_EPOCH: the same input gives the same bytes.

use testkit::Registry;
use testkit::image::Image;

use crate::common::{Kiln, bases};

const EPOCH: i64 = 1_700_000_000;
const DATE: &str = "2023-11-14T22:13:20Z";

/// Files of different ages, commands, a stage, and a directory that WORKDIR makes.
fn build(registry: &Registry) -> Kiln {
    let host = registry.host();
    let kiln = Kiln::build()
        .dockerfile(&format!(
            "FROM {host}/base:1 AS one\nRUN mkdir /made; echo 1 > /made/f; ln -s f /made/l\n\
             FROM {host}/base:1\nWORKDIR /work/dir\nCOPY new old ./\n\
             COPY --from=one /made /copied\nRUN date > /dev/null; touch /work/touched\n"
        ))
        .file("new", "new\n")
        .file("old", "old\n")
        .args(["-t", &format!("{host}/app:1")]);
    let old = std::fs::File::open(kiln.context().join("old")).expect("a file");
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    old.set_modified(time).expect("a time");
    kiln
}

#[test]
fn the_same_input_gives_the_same_image_however_the_time_is_given() {
    let registry = Registry::start();
    bases::busybox(&registry, "base", "1");
    let epoch = EPOCH.to_string();
    let by_argument = format!("SOURCE_DATE_EPOCH={epoch}");
    let first = build(&registry).args(["--source-date-epoch", &epoch]).run().ok();
    for kiln in [
        build(&registry).args(["--source-date-epoch", &epoch, "--jobs=1"]),
        build(&registry).env("SOURCE_DATE_EPOCH", &epoch),
        build(&registry).args(["--build-arg", &by_argument]),
        build(&registry).env("SOURCE_DATE_EPOCH", "5").args(["--source-date-epoch", &epoch]),
    ] {
        assert_eq!(kiln.run().ok().stdout, first.stdout);
    }
    let other = build(&registry).env("SOURCE_DATE_EPOCH", "1700000001").run().ok();
    assert_ne!(other.stdout, first.stdout);
}

#[test]
fn no_date_is_later_than_the_epoch() {
    let registry = Registry::start();
    bases::busybox(&registry, "base", "1");
    build(&registry).env("SOURCE_DATE_EPOCH", EPOCH.to_string()).run().ok();
    let image = Image::from_registry(&registry, "app", "1").expect("the image");
    assert_eq!(image.config["created"], DATE);
    let history = image.config["history"].as_array().expect("history");
    // The base's own entries have no date.
    let own: Vec<_> = history.iter().filter(|entry| !entry["created"].is_null()).collect();
    assert_eq!(own.len(), 4, "{history:?}");
    assert!(own.iter().all(|entry| entry["created"] == DATE), "{history:?}");
    let mut seen = Vec::new();
    for layer in 2..image.layers.len() {
        for (path, object) in image.entries(layer).expect("a layer") {
            assert!(object.mtime <= EPOCH, "{path}: {}", object.mtime);
            seen.push((path, object.mtime));
        }
    }
    for (path, mtime) in [
        ("work/dir/old", 1_000_000_000),
        ("work/dir/new", EPOCH),
        ("work/touched", EPOCH),
        ("copied/f", EPOCH),
    ] {
        assert!(seen.contains(&(path.to_owned(), mtime)), "{path}: {seen:?}");
    }
}

#[test]
fn without_an_epoch_the_image_is_of_today() {
    let registry = Registry::start();
    bases::busybox(&registry, "base", "1");
    build(&registry).run().ok();
    let image = Image::from_registry(&registry, "app", "1").expect("the image");
    let created = image.config["created"].as_str().expect("a date");
    let created: jiff::Timestamp = created.parse().expect("RFC 3339");
    let age = jiff::Timestamp::now().as_second() - created.as_second();
    assert!((0..86_400).contains(&age), "{created}");
    let old = image.tree().expect("a tree")["work/dir/old"].mtime;
    assert_eq!(old, 1_000_000_000, "files keep their own time");
}
