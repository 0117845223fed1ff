//! What a RUN prints, and what it can read.

use crate::common::built::{Bench, need_root};

#[test]
fn both_streams_appear_with_the_last_line_whole() {
    need_root();
    let bench = Bench::new();
    let outcome = bench
        .kiln(
            "FROM BASE/busybox\n\
             RUN echo to-out; echo to-err >&2; printf out-without-newline; \
                 printf err-without-newline >&2\n",
        )
        .run()
        .ok();
    for text in ["to-out", "to-err", "out-without-newline", "err-without-newline"] {
        let found = |line: &&str| line.ends_with(text) && !line.contains("RUN");
        assert_eq!(outcome.stderr.lines().filter(found).count(), 1, "{text}: {outcome}");
    }
    assert!(outcome.stdout.trim_end().starts_with("sha256:"), "{outcome}");
}

#[test]
fn standard_output_and_error_can_be_opened_by_name_by_any_user() {
    need_root();
    let bench = Bench::new();
    let outcome = bench
        .kiln(
            "FROM BASE/busybox\n\
             USER nobody\n\
             RUN echo by-name > /dev/stdout && echo by-other-name > /dev/stderr\n",
        )
        .run()
        .ok();
    for text in ["by-name", "by-other-name"] {
        assert!(outcome.stderr.lines().any(|line| line.ends_with(text)), "{outcome}");
    }
}

#[test]
fn standard_input_is_empty() {
    need_root();
    assert_eq!(Bench::new().prints("wc -c; readlink /proc/self/fd/0"), "0\n/dev/null\n");
}

/// Far below the 50 MB that pass through.
const MODEST: u64 = 40 << 20;

#[test]
fn fifty_megabytes_of_output_neither_block_nor_gather() {
    need_root();
    let bench = Bench::new();
    let (command, _dir) = bench
        .kiln("FROM BASE/busybox\nRUN yes 0123456789abcdef | head -c 50000000; touch /done\n")
        .into_command();
    let (output, peak) = testkit::process::measure(command).unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    let tail: String = log.chars().rev().take(500).collect::<Vec<_>>().into_iter().rev().collect();
    assert!(output.status.success(), "{tail}");
    assert!(bench.image().tree().unwrap().contains_key("done"));
    // A build that prints nothing is what there is to compare with.
    let (command, _dir) = bench.kiln("FROM BASE/busybox\nRUN touch /done\n").into_command();
    let (_, silent) = testkit::process::measure(command).unwrap();
    assert!(peak < silent + MODEST, "{peak} bytes at most, without output {silent}");
}
