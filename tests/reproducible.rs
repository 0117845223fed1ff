//! SOURCE_DATE_EPOCH: the same input gives the same image.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::fs::{self, File, FileTimes};
use std::path::Path;
use std::time::{Duration, SystemTime};

use common::Kiln;
use common::built::{Bench, need_root};
use testkit::image::Image;

/// 2023-11-14T22:13:20Z
const EPOCH: u64 = 1_700_000_000;

const DOCKERFILE: &str = "FROM BASE/busybox AS build\n\
    WORKDIR /src\n\
    COPY . .\n\
    RUN mkdir /out && for i in 1 2 3 4 5 6 7 8 9; do seq 20000 > /out/$i; done && rm -r /home\n\
    RUN touch -d '2001-02-03 04:05:06' /out/old && mkdir /out/dir && ln /out/1 /out/dir/link\n\
    FROM BASE/busybox\n\
    LABEL a=b\n\
    COPY --from=build /out /out\n\
    COPY --chown=5:6 tree /tree\n\
    RUN echo $RANDOM > /dev/null; cp -r /tree /copy\n";

/// The files of the context, written in one order or the other.
fn files(kiln: Kiln, reverse: bool) -> Kiln {
    let mut names: Vec<String> = (0..40).map(|n| format!("tree/{}/file{n}", n % 7)).collect();
    if reverse {
        names.reverse();
    }
    names.into_iter().fold(kiln, |kiln, name| {
        let content = name.repeat(3000);
        kiln.file(&name, content)
    })
}

fn kiln(bench: &Bench) -> Kiln {
    bench.kiln(DOCKERFILE).env("SOURCE_DATE_EPOCH", EPOCH.to_string())
}

fn digest(kiln: Kiln) -> String {
    kiln.run().ok().stdout.trim().to_owned()
}

/// Gives everything in a directory this time.
fn set_times(dir: &Path, time: SystemTime) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            set_times(&path, time);
        }
        let times = FileTimes::new().set_modified(time);
        File::open(&path).unwrap().set_times(times).unwrap();
    }
}

#[test]
fn the_digest_depends_on_nothing_but_the_input() {
    need_root();
    let bench = Bench::new();
    let first = digest(files(kiln(&bench), false));
    assert!(first.starts_with("sha256:"), "{first}");
    for jobs in ["1", "2", "8"] {
        let again = digest(files(kiln(&bench), false).args(["--jobs", jobs]));
        assert_eq!(again, first, "with {jobs} jobs");
    }
    assert_eq!(digest(files(kiln(&bench), true)), first, "files made in another order");
    let elsewhere = tempfile::tempdir_in("/var/tmp").unwrap();
    let other_dir = files(kiln(&bench), false).args(["--work-dir".as_ref(), elsewhere.path()]);
    assert_eq!(digest(other_dir), first, "in another work directory");
    let flag = files(bench.kiln(DOCKERFILE), false).args(["--source-date-epoch", "1700000000"]);
    assert_eq!(digest(flag), first, "with the flag");
}

#[test]
fn times_of_the_context_that_are_later_than_the_epoch_do_not_matter() {
    need_root();
    let bench = Bench::new();
    let at = |seconds: u64| {
        let kiln = files(kiln(&bench), false);
        set_times(&kiln.context(), SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        digest(kiln)
    };
    let first = at(EPOCH + 1);
    assert_eq!(at(EPOCH + 100_000_000), first);
    // An earlier one is a difference, and stays.
    assert_ne!(at(EPOCH - 100), first);
}

#[test]
fn no_time_in_the_image_is_later_than_the_epoch() {
    need_root();
    let bench = Bench::new();
    digest(files(kiln(&bench), false));
    let image = bench.image();
    let date = "2023-11-14T22:13:20Z";
    assert_eq!(image.config["created"], date);
    for entry in image.config["history"].as_array().unwrap() {
        assert!(entry["created"].is_null() || entry["created"] == date, "{entry}");
    }
    for layer in 1..image.layers.len() {
        for (path, object) in image.entries(layer).unwrap() {
            assert!(object.mtime <= EPOCH as i64, "{path}: {}", object.mtime);
        }
    }
    assert_eq!(image.tree().unwrap()["out/old"].mtime, 981_173_106, "an earlier time stays");
}

#[test]
fn without_an_epoch_times_are_kept() {
    let bench = Bench::new();
    let kiln = bench.kiln("FROM scratch\nCOPY a /\n").file("a", "");
    set_times(&kiln.context(), SystemTime::UNIX_EPOCH + Duration::from_secs(2_000_000_000));
    kiln.run().ok();
    let image: Image = bench.image();
    assert_eq!(image.tree().unwrap()["a"].mtime, 2_000_000_000);
    assert_ne!(image.config["created"], "2023-11-14T22:13:20Z");
}

#[test]
fn files_written_by_two_builds_are_the_same_bytes() {
    let bench = Bench::new();
    let archive = |name: &str| {
        let kiln = bench.kiln("FROM BASE/busybox\nCOPY a /\nLABEL c=d\n").file("a", "b");
        let kiln = kiln.env("SOURCE_DATE_EPOCH", "1700000000").args(["--tar-path", name]);
        let path = kiln.dir().join(name);
        let (mut command, dir) = kiln.into_command();
        assert!(command.output().unwrap().status.success());
        let bytes = fs::read(path).unwrap();
        drop(dir);
        bytes
    };
    assert!(archive("one.tar") == archive("two.tar"), "the archives differ");
}
