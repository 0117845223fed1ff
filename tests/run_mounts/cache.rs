//! `type=cache`

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use super::{BOTH, Bench, NAMESPACES, built, kiln, made, prints};
use crate::common::Outcome;

const COUNT: &str = "FROM BASE/busybox\n\
     RUN --mount=type=cache,target=/c echo x >> /c/f && wc -l < /c/f > /out\n\
     RUN --mount=type=cache,id=/c,target=/elsewhere echo x >> /elsewhere/f && \
         wc -l < /elsewhere/f >> /out\n\
     RUN --mount=type=cache,target=/other ls /other | wc -l >> /out\n";

#[test]
fn a_cache_is_shared_by_steps_and_ends_with_the_build() {
    for isolation in BOTH {
        for _ in 0..2 {
            let image = built(isolation, COUNT, |kiln| kiln);
            assert_eq!(image.text("out").unwrap(), "1\n2\n0\n", "{isolation}");
            assert_eq!(made(&image).into_iter().collect::<Vec<_>>(), ["out"], "{isolation}");
        }
    }
}

#[test]
fn a_cache_outlives_the_build_in_a_directory_of_its_own() {
    for isolation in BOTH {
        let dir = tempfile::tempdir().unwrap();
        let caches = dir.path().join("new/caches");
        let flag = |kiln: crate::common::Kiln| kiln.arg_pair("--cache-mount-dir", &caches);
        assert_eq!(prints(isolation, COUNT, flag), "1\n2\n0\n", "{isolation}");
        let variable = |kiln: crate::common::Kiln| kiln.env("KILN_CACHE_MOUNT_DIR", &caches);
        assert_eq!(prints(isolation, COUNT, variable), "3\n4\n0\n", "{isolation}");
        // BuildKit's own way to keep caches apart.
        let apart = |kiln: crate::common::Kiln| {
            variable(kiln).args(["--build-arg", "BUILDKIT_CACHE_MOUNT_NS=apart"])
        };
        assert_eq!(prints(isolation, COUNT, apart), "1\n2\n0\n", "{isolation}");
        let about: Vec<String> = fs::read_dir(&caches)
            .unwrap()
            .map(|entry| fs::read_to_string(entry.unwrap().path().join("about")).unwrap())
            .collect();
        assert_eq!(about.len(), 4, "{about:#?}");
        assert!(about.iter().any(|text| text.starts_with("id //c\n")), "{about:#?}");
        assert!(about.iter().any(|text| text.starts_with("id apart//other\n")), "{about:#?}");
    }
}

#[test]
fn a_new_cache_is_whose_it_should_be() {
    let dockerfile = "FROM BASE/busybox\n\
         RUN --mount=type=cache,target=/a --mount=type=cache,target=/b,mode=0700,uid=7,gid=8 \
             stat -c '%u:%g %a %n' /a /b > /out\nUSER 7:8\n\
         RUN --mount=type=cache,target=/b,mode=0700,uid=7,gid=8 touch /b/mine\nUSER root\n\
         RUN --mount=type=cache,target=/b,mode=0700,uid=7,gid=8 stat -c '%u %n' /b/mine >> /out\n";
    for isolation in BOTH {
        let out = prints(isolation, dockerfile, |kiln| kiln);
        assert_eq!(out, "0:0 755 /a\n7:8 700 /b\n7 /b/mine\n", "{isolation}");
    }
}

#[test]
fn a_cache_begins_with_the_files_of_a_stage() {
    let dockerfile = "FROM BASE/busybox AS seed\nRUN mkdir -m 750 /s && echo seeded > /s/f && chown 5:6 /s/f\n\
         FROM scratch AS bare\nCOPY f /x/f\n\
         FROM BASE/busybox\n\
         RUN --mount=type=cache,target=/c,from=seed,source=/s \
             cat /c/f > /out && stat -c '%u:%g' /c/f >> /out && stat -c %a /c >> /out && echo more >> /c/f\n\
         RUN --mount=type=cache,target=/c,from=seed,source=/s cat /c/f >> /out\n\
         RUN --mount=type=cache,target=/c,from=bare,source=/x cat /c/f >> /out\n\
         RUN --mount=type=cache,target=/c ls /c | wc -l >> /out\n";
    for isolation in BOTH {
        let out = prints(isolation, dockerfile, |kiln| kiln.file("f", "from the context\n"));
        assert_eq!(out, "seeded\n5:6\n750\nseeded\nmore\nfrom the context\n0\n", "{isolation}");
    }
}

#[test]
fn a_read_only_cache_is_not_changed() {
    let dockerfile = "FROM BASE/busybox\n\
         RUN --mount=type=cache,target=/c echo first > /c/f\n\
         RUN --mount=type=cache,target=/c,ro echo second 2> /dev/null > /c/f || true\n\
         RUN --mount=type=cache,target=/c cat /c/f > /out\n";
    for isolation in BOTH {
        assert_eq!(prints(isolation, dockerfile, |kiln| kiln), "first\n", "{isolation}");
    }
}

/// Waits for a file.
#[track_caller]
fn appears(path: &Path) {
    let start = Instant::now();
    while !path.exists() {
        assert!(start.elapsed() < Duration::from_secs(60), "{} does not appear", path.display());
        thread::sleep(Duration::from_millis(20));
    }
}

/// The directory of the one cache that is there.
fn only_cache(caches: &Path) -> std::path::PathBuf {
    let mut all = fs::read_dir(caches).unwrap().map(|entry| entry.unwrap().path());
    let first = all.next().unwrap();
    assert!(all.next().is_none());
    first
}

/// Two builds that use a cache at the same time. The first is in its RUN, and stays there until the
/// file `go` is in the cache; then the second starts. What the second has seen, and whether it ended
/// before the first was let go.
fn two_at_once(sharing: &str) -> (String, bool) {
    let dir = tempfile::tempdir().unwrap();
    let caches = dir.path().to_owned();
    let text = |command: &str| {
        format!("FROM BASE/busybox\nRUN --mount=type=cache,target=/c,sharing={sharing} {command}\n")
    };
    let first_bench = Bench::new();
    let wait = "touch /c/here; while [ ! -e /c/go ]; do sleep 0.05; done; echo done > /c/done";
    let (mut first, _first_dir) = kiln(&first_bench, NAMESPACES, &text(wait))
        .arg_pair("--cache-mount-dir", &caches)
        .into_command();
    let first = first.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let start = Instant::now();
    while fs::read_dir(&caches).unwrap().next().is_none() {
        assert!(start.elapsed() < Duration::from_secs(60));
        thread::sleep(Duration::from_millis(20));
    }
    let cache = only_cache(&caches);
    appears(&cache.join("0/here"));

    let second_bench = Bench::new();
    let (mut second, _second_dir) = kiln(&second_bench, NAMESPACES, &text("ls /c > /out"))
        .arg_pair("--cache-mount-dir", &caches)
        .into_command();
    let mut second = second.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // It says that it waits, or it ends.
    let mut lines = BufReader::new(second.stderr.take().unwrap()).lines().map_while(Result::ok);
    let waits = lines.any(|line| line.contains("is in use: waiting for it"));
    let early = !waits && second.wait().unwrap().success();
    fs::write(cache.join("0/go"), "").unwrap();
    Outcome::from(first.wait_with_output().unwrap()).ok();
    let rest: Vec<String> = lines.collect();
    assert!(second.wait().unwrap().success(), "{rest:#?}");
    (second_bench.image().text("out").unwrap(), early)
}

#[test]
fn a_locked_cache_is_used_by_one_build_after_the_other() {
    assert_eq!(two_at_once("locked"), ("done\ngo\nhere\n".to_owned(), false));
}

#[test]
fn a_shared_cache_is_used_by_both() {
    assert_eq!(two_at_once("shared"), ("here\n".to_owned(), true));
}

#[test]
fn a_private_cache_is_used_by_one_and_the_other_gets_another() {
    assert_eq!(two_at_once("private"), (String::new(), true));
}

#[test]
fn stages_that_need_each_other_s_caches_do_not_wait_for_ever() {
    let stage = |name: &str, one: &str, two: &str| {
        format!(
            "FROM BASE/busybox AS {name}\n\
             RUN --mount=type=cache,target=/{one},sharing=locked \
                 --mount=type=cache,target=/{two},sharing=locked \
                 sleep 0.3; echo {name} >> /a/f; echo {name} >> /b/f; touch /{name}\n"
        )
    };
    let dockerfile = format!(
        "{}{}FROM BASE/busybox\nCOPY --from=x /x /\nCOPY --from=y /y /\n\
         RUN --mount=type=cache,target=/a --mount=type=cache,target=/b cat /a/f /b/f | sort > /out\n",
        stage("x", "a", "b"),
        stage("y", "b", "a"),
    );
    for isolation in BOTH {
        assert_eq!(prints(isolation, &dockerfile, |kiln| kiln), "x\nx\ny\ny\n", "{isolation}");
    }
}

#[test]
fn the_same_cache_twice_in_one_run() {
    let dockerfile = "FROM BASE/busybox\n\
         RUN --mount=type=cache,id=x,target=/a,sharing=locked --mount=type=cache,id=x,target=/b \
             echo seen > /a/f && cat /b/f > /out\n";
    assert_eq!(prints(NAMESPACES, dockerfile, |kiln| kiln), "seen\n");
}
