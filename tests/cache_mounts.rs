//! Caches of RUN that travel from machine to machine through a cache's repository or directory. Each
//! build here is one on a machine that has never seen the project.
//!
//! As root of the machine, and as nobody (newuidmap, setpriv).

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use testkit::{Action, Fault};

use common::built::{Bench, need_root};
use common::unprivileged::{Ids, run_as};
use common::{Kiln, Outcome};

const ISOLATIONS: [&str; 2] = ["namespaces", "chroot"];

/// A build that keeps its caches in the repository `cache`.
fn kiln(bench: &Bench, isolation: &str, dockerfile: &str) -> Kiln {
    need_root();
    let repo = format!("{}/cache", bench.registry.host());
    // The commands run each time: this is not about their layers.
    let layers = ["--cache-run-layers=false", "--cache-copy-layers=false"];
    bench
        .kiln(dockerfile)
        .args(["--isolation", isolation, "--cache-repo", &repo, "--cache-mounts"])
        .args(layers)
}

/// A Dockerfile with one command, which sees a cache at `/c` and prints to `/out`.
fn with_cache(options: &str, command: &str) -> String {
    format!(
        "FROM BASE/busybox\nARG N\nRUN --mount=type=cache,target=/c{options} ({command}) > /out 2>&1\n"
    )
}

#[track_caller]
fn prints(bench: &Bench, isolation: &str, dockerfile: &str) -> String {
    prints_with(bench, isolation, dockerfile, |kiln| kiln).0
}

#[track_caller]
fn prints_with(
    bench: &Bench,
    isolation: &str,
    dockerfile: &str,
    with: impl FnOnce(Kiln) -> Kiln,
) -> (String, Outcome) {
    bench.registry.clear_requests();
    let outcome = with(kiln(bench, isolation, dockerfile)).run();
    assert_eq!(outcome.code, Some(0), "{outcome}");
    (bench.image().text("out").unwrap(), outcome)
}

/// Tags of snapshots.
fn snapshots(bench: &Bench) -> Vec<String> {
    let tags = bench.registry.tags("cache").into_iter();
    tags.filter(|tag| tag.contains("-mount-")).collect()
}

fn manifest(bench: &Bench, tag: &str) -> Value {
    serde_json::from_slice(&bench.registry.manifest("cache", tag).unwrap().0).unwrap()
}

/// Bytes that a build has sent to the cache and got from there, but for manifests.
fn moved(bench: &Bench) -> (u64, u64) {
    let requests = bench.registry.requests();
    let blobs = requests.iter().filter(|it| it.path.starts_with("/v2/cache/blobs"));
    blobs.fold((0, 0), |sum, it| (sum.0 + it.bytes_in, sum.1 + it.bytes_out))
}

#[test]
fn what_a_command_leaves_there_is_there_on_the_next_machine() {
    let make = "mkdir -p /c/d && echo text > /c/d/f && ln /c/d/f /c/hard && ln -s d/f /c/soft && \
        head -c 300000 /dev/urandom > /c/large && chmod 750 /c/large && chown 7:8 /c/large && \
        touch -d '2001-02-03 04:05:06' /c/d/f && mkfifo /c/pipe && touch /c/empty && \
        cp /c/large /c/again && cd /c && sha256sum large && stat -c '%n %y %f %u %g' d/f large";
    let look = "cd /c && ls && ls d && sha256sum large && stat -c '%n %y %f %u %g' d/f large && \
        stat -c '%h' d/f && readlink soft && cat soft && sha256sum < again && rm again";
    for isolation in ISOLATIONS {
        let bench = Bench::new();
        let first = prints(&bench, isolation, &with_cache("", make));
        assert_eq!(snapshots(&bench).len(), 2, "{:?}", snapshots(&bench));
        let (second, outcome) = prints_with(&bench, isolation, &with_cache("", look), |kiln| kiln);
        let hash = first.split(' ').next().unwrap();
        let expected =
            format!("again\nd\nempty\nhard\nlarge\nsoft\nf\n{first}2\nd/f\ntext\n{hash}  -\n");
        assert_eq!(second, expected, "{isolation}: {outcome}");
        for said in ["restore cache /c", "save cache /c"] {
            assert!(outcome.stderr.contains(said), "{outcome}");
        }
        // What was removed does not come back.
        let third = prints(&bench, isolation, &with_cache("", "ls /c"));
        assert_eq!(third, "d\nempty\nhard\nlarge\nsoft\n", "{isolation}");
    }
}

#[test]
fn only_what_changed_is_sent_and_what_did_not_is_not_saved() {
    let bench = Bench::new();
    let large = "for n in $(seq 40); do head -c 100000 /dev/urandom > /c/$n; done; \
        head -c 4000000 /dev/urandom > /c/large";
    prints(&bench, "namespaces", &with_cache("", large));
    let (sent, _) = moved(&bench);
    assert!(sent > 8_000_000, "{sent}");
    // A build that changes nothing: one look-up, what is there, and no word more.
    let (_, outcome) =
        prints_with(&bench, "namespaces", &with_cache("", "cat /c/* | wc -c"), |kiln| kiln);
    let (sent, brought) = moved(&bench);
    assert_eq!(sent, 0, "{outcome}");
    assert!(brought > 8_000_000, "{brought}");
    let to_cache = bench.registry.requests();
    let to_cache: Vec<_> = to_cache.iter().filter(|it| it.path.contains("/cache/")).collect();
    let manifests = to_cache.iter().filter(|it| it.path.contains("-mount-")).count();
    assert_eq!(manifests, 1, "{to_cache:#?}");
    assert!(to_cache.iter().all(|it| it.method == "GET"), "{to_cache:#?}");
    // One small file.
    prints(&bench, "namespaces", &with_cache("", "head -c 1000 /dev/urandom > /c/small"));
    let (sent, _) = moved(&bench);
    assert!((1_000..8_000).contains(&sent), "{sent}");
    // A few bytes in the middle of a large file: some pieces of it.
    let middle = "head -c 2000000 /c/large > /c/new; echo more >> /c/new; \
        tail -c 2000000 /c/large >> /c/new; mv /c/new /c/large";
    prints(&bench, "namespaces", &with_cache("", middle));
    let (sent, _) = moved(&bench);
    assert!(sent < 1_200_000, "{sent}");
    // Another error than one that says what is missing is no reason to send all of it.
    let put = |code| Fault::on("PUT", "-mount-", Action::status(code)).always();
    let grow = with_cache("", "head -c 1000 /dev/urandom > /c/small");
    let no_retry = |kiln: Kiln| kiln.args(["--push-retry", "0"]);
    for (code, all) in [(403, false), (500, false), (404, true), (400, true)] {
        bench.registry.fault(put(code));
        let (_, outcome) = prints_with(&bench, "namespaces", &grow, no_retry);
        bench.registry.clear_faults();
        let (sent, _) = moved(&bench);
        assert_eq!(sent > 100_000, all, "{code}: {sent} {outcome}");
        assert!(outcome.stderr.contains("the cache /c was not saved"), "{code}: {outcome}");
    }
    // All of it is whole.
    let out = prints(&bench, "namespaces", &with_cache("", "cat /c/* | wc -c"));
    assert_eq!(out, "8001005\n");
}

#[test]
fn the_nearest_cache_is_found() {
    let bench = Bench::new();
    prints(&bench, "namespaces", &with_cache(",id=one", "echo one > /c/f"));
    let rows = [
        ("the same", ",id=one", "one"),
        ("another one", ",id=other", ""),
        ("another mode: the newest with this id", ",id=one,mode=0700", "one"),
        ("another owner", ",id=one,uid=7", ""),
    ];
    for (what, options, expected) in rows {
        let out =
            prints(&bench, "namespaces", &with_cache(options, "cat /c/f 2>/dev/null || true"));
        assert_eq!(out.trim_end(), expected, "{what}");
    }
    // The mode is the mount's own, or that of a new cache.
    let out = prints(&bench, "namespaces", &with_cache(",id=mode,mode=0700", "stat -c %a /c"));
    assert_eq!(out, "700\n");
    let out = prints(&bench, "namespaces", &with_cache(",id=mode", "stat -c %a /c"));
    assert_eq!(out, "755\n");
    let out = prints(&bench, "namespaces", &with_cache(",id=one,mode=0700", "stat -c %a /c"));
    assert_eq!(out, "700\n");
    // With a seed: the exact one first, then the newest.
    let seeded = |text: &str, command: &str| {
        format!(
            "FROM scratch AS seed\nCOPY <<EOF /s/f\n{text}\nEOF\n\
             FROM BASE/busybox\n\
             RUN --mount=type=cache,target=/c,id=seeded,from=seed,source=/s ({command}) > /out\n"
        )
    };
    // A stage that is built anew is another one if its files have another time.
    let run = |text: &str, command: &str| {
        let timeless = |kiln: Kiln| kiln.env("SOURCE_DATE_EPOCH", "1");
        prints_with(&bench, "namespaces", &seeded(text, command), timeless).0
    };
    assert_eq!(run("a", "cat /c/f; echo more >> /c/f"), "a\n");
    assert_eq!(run("a", "cat /c/f"), "a\nmore\n");
    assert_eq!(run("b", "cat /c/f; echo b >> /c/f"), "a\nmore\n");
    assert_eq!(run("a", "cat /c/f"), "a\nmore\n");
    assert_eq!(run("b", "cat /c/f"), "a\nmore\nb\n");
}

#[test]
fn a_failed_build_saves_the_caches_of_the_steps_that_succeeded() {
    let bench = Bench::new();
    let fails = "FROM BASE/busybox\n\
         RUN --mount=type=cache,target=/good echo x > /good/f\n\
         RUN --mount=type=cache,target=/bad echo x > /bad/f && false\n";
    let outcome = kiln(&bench, "namespaces", fails).run();
    assert_eq!(outcome.code, Some(1), "{outcome}");
    let out = prints(
        &bench,
        "namespaces",
        "FROM BASE/busybox\nRUN --mount=type=cache,target=/good --mount=type=cache,target=/bad \
             (ls /good; ls /bad) > /out\n",
    );
    assert_eq!(out, "f\n");
}

/// Between two builds on one machine: where a sandbox moves directories, the cache is not at its place
/// while a command uses it.
#[test]
fn a_cache_that_another_build_has_moved_away_is_not_brought_again() {
    let bench = Bench::new();
    prints(&bench, "chroot", &with_cache("", "echo one > /c/f"));
    let dir = tempfile::tempdir_in(std::env::temp_dir()).unwrap();
    let stays = |kiln: Kiln| kiln.arg_pair("--cache-mount-dir", dir.path());
    let slow = with_cache("", "cat /c/f; echo waits > /dev/stderr; sleep 3; echo two >> /c/f")
        .replace("> /out 2>&1", "> /out");
    let (mut command, _dir) = stays(kiln(&bench, "chroot", &slow)).into_command();
    let mut first = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(first.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.ends_with(" waits")), "it never began");
    let second = stays(kiln(&bench, "chroot", &with_cache("", "cat /c/f"))).run();
    let rest: Vec<String> = lines.collect();
    assert!(first.wait().unwrap().success(), "{rest:#?}");
    assert_eq!(second.code, Some(0), "{second}");
    assert_eq!(bench.image().text("out").unwrap(), "one\ntwo\n", "{second}");
}

#[test]
fn whatever_is_wrong_with_a_snapshot_the_build_goes_on() {
    let fill = with_cache("", "head -c 100000 /dev/urandom > /c/f");
    let look = with_cache("", "ls /c | wc -l");
    type Damage = fn(&Bench, &str);
    let rows: [(&str, Damage); 5] = [
        ("a pack that is gone", |bench, tag| {
            let pack = manifest(bench, tag)["layers"][1]["digest"].as_str().unwrap().to_owned();
            fs::remove_file(bench.registry.blob_path(&pack).unwrap()).unwrap();
        }),
        ("a pack with other bytes", |bench, tag| {
            let pack = manifest(bench, tag)["layers"][1]["digest"].as_str().unwrap().to_owned();
            let path = bench.registry.blob_path(&pack).unwrap();
            let mut bytes = fs::read(&path).unwrap();
            bytes[50] ^= 1;
            fs::write(path, bytes).unwrap();
        }),
        ("a tree that is none", |bench, tag| {
            let tree = manifest(bench, tag)["layers"][0]["digest"].as_str().unwrap().to_owned();
            let path = bench.registry.blob_path(&tree).unwrap();
            let length = fs::metadata(&path).unwrap().len();
            fs::write(path, vec![7; length as usize]).unwrap();
        }),
        ("a registry that says no", |bench, _| {
            bench.registry.fault(Fault::on("GET", "/v2/cache/", Action::status(403)).always());
        }),
        ("blobs that break off", |bench, _| {
            bench
                .registry
                .fault(Fault::on("GET", "/v2/cache/blobs/", Action::status(500)).always());
        }),
    ];
    for (what, damage) in rows {
        let bench = Bench::new();
        prints(&bench, "namespaces", &fill);
        let tag = snapshots(&bench).remove(0);
        damage(&bench, &tag);
        let (out, outcome) =
            prints_with(&bench, "namespaces", &look, |kiln| kiln.args(["--push-retry", "0"]));
        assert_eq!(out, "0\n", "{what}: {outcome}");
        let warned = outcome.stderr.to_lowercase().contains("warning");
        assert!(warned && outcome.stderr.contains("cache"), "{what}: {outcome}");
    }
}

#[test]
fn a_directory_is_a_place_too_and_a_machine_that_stays_has_the_last_word() {
    let dir = tempfile::tempdir().unwrap();
    let (layout, stays) = (dir.path().join("layout"), dir.path().join("stays"));
    let bench = Bench::new();
    let build = |command: &str, stays: Option<&std::path::Path>| {
        let dockerfile = with_cache("", command);
        let mut kiln = bench
            .kiln(&dockerfile)
            .args(["--isolation", "namespaces", "--cache-mounts"])
            .arg_pair("--cache-repo", format!("oci:{}", layout.display()));
        if let Some(stays) = stays {
            kiln = kiln.arg_pair("--cache-mount-dir", stays);
        }
        let outcome = kiln.run();
        assert_eq!(outcome.code, Some(0), "{outcome}");
        (bench.image().text("out").unwrap(), outcome)
    };
    build("echo one >> /c/f", Some(&stays));
    assert_eq!(build("cat /c/f; echo two >> /c/f", None).0, "one\n");
    // The machine that stays does not look, and what it has wins.
    let (out, outcome) = build("cat /c/f; echo three >> /c/f", Some(&stays));
    assert_eq!(out, "one\n");
    assert!(!outcome.stderr.contains("restore cache"), "{outcome}");
    assert_eq!(build("cat /c/f", None).0, "one\nthree\n");
}

#[test]
fn what_is_over_the_limit_is_left_out_and_told() {
    let bench = Bench::new();
    let fill = "for n in 1 2 3; do head -c 40000$n /dev/urandom > /c/$n; done";
    let limits = |kiln: Kiln| kiln.args(["--cache-mounts=size=1MB,age=3d"]);
    let (_, outcome) = prints_with(&bench, "namespaces", &with_cache("", fill), limits);
    let said = "the cache /c is saved without 1 files with 400.0 kB that were used longest ago, \
        because it has more than 1 MB";
    assert!(outcome.stderr.contains(said), "{outcome}");
    let out = prints(&bench, "namespaces", &with_cache("", "ls /c"));
    assert_eq!(out, "1\n2\n");
}

#[test]
fn a_user_without_privileges_and_root_share_their_caches() {
    let bench = Bench::new();
    let make = "echo text > /c/f && chmod 640 /c/f && echo other > /c/g && chown 7:8 /c/g";
    prints(&bench, "namespaces", &with_cache("", make));
    for ids in [Ids::Ranges, Ids::One] {
        let look = "stat -c '%n %a %u:%g' /c/f; cat /c/f /c/g; echo more >> /c/f";
        let outcome = run_as(kiln(&bench, "namespaces", &with_cache("", look)), ids, "");
        assert_eq!(outcome.code, Some(0), "{ids:?}: {outcome}");
        let out = bench.image().text("out").unwrap();
        assert!(out.starts_with("/c/f 640 0:0\ntext\n"), "{ids:?}: {out}");
        assert!(outcome.stderr.contains("save cache /c"), "{outcome}");
    }
    let out = prints(&bench, "namespaces", &with_cache("", "cat /c/f; stat -c '%u:%g' /c/f /c/g"));
    assert_eq!(out, "text\nmore\nmore\n0:0\n7:8\n");
}

#[test]
fn a_build_that_the_user_stops_saves_nothing() {
    let bench = Bench::new();
    let dockerfile = "FROM BASE/busybox\n\
         RUN --mount=type=cache,target=/c echo x > /c/f\n\
         RUN echo waits && sleep 600\n";
    let (mut command, _dir) = kiln(&bench, "namespaces", dockerfile).into_command();
    let mut build = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(build.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.ends_with(" waits")), "it never waited");
    let pid = Pid::from_raw(build.id().try_into().unwrap()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    let rest: Vec<String> = lines.collect();
    assert_eq!(build.wait().unwrap().code(), Some(130), "{rest:#?}");
    assert_eq!(snapshots(&bench), [""; 0], "{rest:#?}");
}
