//! What is gone: written and read.

use testkit::base::busybox;
use testkit::tar::TarBytes;

use super::raw::entries;
use crate::common::built::{Bench, need_root};

fn with_files() -> Bench {
    let bench = Bench::new();
    let files = TarBytes::new()
        .dir("d")
        .file("d/a", "a")
        .file("d/b", "b")
        .dir("d/e")
        .file("d/e/f", "f")
        .dir("g")
        .file("g/h", "h")
        .file("i", "i");
    bench.base("files", vec![busybox().unwrap(), files], serde_json::json!({}));
    bench
}

#[test]
fn what_a_run_removes_is_whited_out() {
    need_root();
    let bench = with_files();
    let image = bench.build("FROM BASE/files\nRUN rm -r /d && rm /i /g/h\n");
    let found = entries(&bench.registry, &image, 2);
    let paths: Vec<_> = found.iter().map(|entry| entry.path.as_str()).collect();
    assert_eq!(paths, [".wh.d", "g/", "g/.wh.h", ".wh.i"]);
    assert!(
        found.iter().filter(|e| e.path.contains(".wh.")).all(|e| e.size == 0 && e.kind == b'0')
    );
    let tree = image.tree().unwrap();
    assert!(!tree.keys().any(|path| path.starts_with('d') && path != "dev"), "{:?}", tree.keys());
    assert!(tree.contains_key("g") && !tree.contains_key("g/h") && !tree.contains_key("i"));
}

#[test]
fn a_directory_made_anew_hides_what_was_in_it() {
    need_root();
    let bench = with_files();
    let image = bench.build(
        "FROM BASE/files\n\
         RUN rm -r /d && mkdir /d && echo new > /d/b\n\
         RUN rm -r /g && echo file > /g && rm /i && mkdir /i && touch /i/j\n\
         RUN ls -R /d /g /i > /seen\n",
    );
    let tree = image.tree().unwrap();
    let below_d: Vec<_> = tree.keys().filter(|path| path.starts_with("d/")).collect();
    assert_eq!(below_d, ["d/b"]);
    assert_eq!(image.text("d/b").unwrap(), "new\n");
    assert_eq!((image.text("g").unwrap(), tree.contains_key("i/j")), ("file\n".into(), true));
    assert_eq!(image.text("seen").unwrap(), "/g\n\n/d:\nb\n\n/i:\nj\n");
}

#[test]
fn whiteouts_of_the_base_work_in_run_copy_and_look_ups() {
    need_root();
    let bench = Bench::new();
    let files = TarBytes::new()
        .dir("plain")
        .file("plain/a", "")
        .file("plain/b", "")
        .dir("opaque")
        .file("opaque/a", "")
        .dir("opaque/sub")
        .file("opaque/sub/x", "")
        .dir("late")
        .file("late/a", "")
        .dir("whole")
        .file("whole/a", "");
    let gone = TarBytes::new()
        .whiteout("plain/a")
        .dir("opaque")
        .opaque("opaque")
        .file("opaque/new", "")
        .whiteout("whole")
        // The mark after what the layer itself has: it hides lower layers only.
        .dir("late")
        .file("late/new", "")
        .opaque("late");
    let again = TarBytes::new().dir("whole").file("whole/b", "");
    bench.base("gone", vec![busybox().unwrap(), files, gone, again], serde_json::json!({}));
    let list = "opaque\nopaque/new\nlate\nlate/new\nplain\nplain/b\nwhole\nwhole/b\n";
    let image = bench.build(
        "FROM BASE/gone AS base\n\
         RUN find plain opaque late whole | sort > /seen\n\
         FROM BASE/busybox\n\
         COPY --from=base /seen /seen\n\
         COPY --from=base /opaque /run/opaque\n\
         COPY --from=BASE/gone /opaque /direct/opaque\n\
         COPY --from=BASE/gone /late /direct/late\n\
         COPY --from=BASE/gone /whole /direct/whole\n\
         COPY --from=BASE/gone /plain /direct/plain\n",
    );
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&image.text("seen").unwrap()), sorted(list));
    let tree = image.tree().unwrap();
    let direct = tree.keys().filter_map(|path| path.strip_prefix("direct/"));
    assert_eq!(direct.map(str::to_owned).collect::<Vec<_>>(), sorted(list));
    let run: Vec<_> = tree.keys().filter(|path| path.starts_with("run/opaque/")).collect();
    assert_eq!(run, ["run/opaque/new"]);
}

#[test]
fn what_a_later_step_removes_can_come_back() {
    need_root();
    let bench = with_files();
    let image = bench.build(
        "FROM BASE/files\n\
         RUN rm -r /d\n\
         COPY Dockerfile /d/a\n\
         RUN ls /d > /seen && rm /d/a\n\
         RUN mkdir -p /d/e && ls -A /d > /seen2\n",
    );
    assert_eq!(image.text("seen").unwrap(), "a\n");
    assert_eq!(image.text("seen2").unwrap(), "e\n");
    let tree = image.tree().unwrap();
    let below: Vec<_> = tree.keys().filter(|path| path.starts_with("d/")).collect();
    assert_eq!(below, ["d/e"]);
}

#[test]
fn a_file_whose_name_means_a_whiteout_is_left_out_with_a_word() {
    need_root();
    let bench = with_files();
    let outcome = bench.kiln("FROM BASE/files\nRUN touch /g/.wh.h /made\n").run().ok();
    assert!(outcome.stderr.contains("g/.wh.h"), "{outcome}");
    let tree = bench.image().tree().unwrap();
    assert!(tree.contains_key("g/h") && tree.contains_key("made"));
}
