//! What is left after a RUN: what the command made, and nothing else.

use std::fs;

use testkit::base::busybox;
use testkit::tar::TarBytes;

use crate::common::Kiln;
use crate::common::built::{Bench, need_root};

/// The layers that a Dockerfile adds to busybox, as lists of paths.
fn layers_of(bench: &Bench, dockerfile: &str) -> Vec<Vec<String>> {
    let image = bench.build(dockerfile);
    (1..image.layers.len()).map(|layer| image.paths(layer).unwrap()).collect()
}

#[test]
fn mount_points_do_not_enter_the_layer() {
    need_root();
    let bench = Bench::new();
    let busybox = fs::read("/bin/busybox").expect("/bin/busybox (package busybox-static)");
    let kiln = bench.kiln(
        "FROM scratch\n\
         COPY --chmod=755 busybox /busybox\n\
         RUN [\"/busybox\", \"touch\", \"/made\"]\n",
    );
    kiln.file("busybox", busybox).run().ok();
    let image = bench.image();
    assert_eq!(image.paths(0).unwrap(), ["busybox"]);
    assert_eq!(image.paths(1).unwrap(), ["made"]);
    assert_eq!(image.layers.len(), 2);
}

#[test]
fn mount_points_of_the_image_stay_as_they_are() {
    need_root();
    let bench = Bench::new();
    let etc = TarBytes::new()
        .dir("etc")
        .file("etc/hosts", "of the image\n")
        .file("etc/resolv.conf", "of the image\n")
        .symlink("etc/hostname", "/proc/nowhere");
    bench.base("named", vec![busybox().unwrap(), etc], serde_json::json!({}));
    let image = bench.build(
        "FROM BASE/named\n\
         RUN grep -q localhost /etc/hosts && echo x >> /etc/hosts && echo y >> /etc/resolv.conf\n\
         RUN touch /made\n",
    );
    assert_eq!(image.layers.len(), 3, "the first RUN changes nothing that stays");
    assert_eq!(image.paths(2).unwrap(), ["made"]);
    assert_eq!(image.text("etc/hosts").unwrap(), "of the image\n");
    assert_eq!(image.text("etc/resolv.conf").unwrap(), "of the image\n");
}

#[test]
fn a_command_that_changes_nothing_leaves_no_layer() {
    need_root();
    let layers = layers_of(
        &Bench::new(),
        "FROM BASE/busybox\nRUN true\nRUN ls -R /etc > /dev/null\nRUN echo a > /dev/shm/b\n",
    );
    assert_eq!(layers, Vec::<Vec<String>>::new());
}

#[test]
fn what_is_written_to_dev_proc_and_sys_is_not_kept() {
    need_root();
    let layers = layers_of(
        &Bench::new(),
        "FROM BASE/busybox\nRUN mkdir /dev/x && touch /dev/shm/y && mkfifo /dev/z && touch /a\n",
    );
    assert_eq!(layers, [["a"]]);
}

#[test]
fn background_processes_end_with_the_step() {
    need_root();
    let mark = format!("{}", fastrand::u32(500_000_000..));
    let bench = Bench::new();
    let image = bench.build(&format!(
        "FROM BASE/busybox\n\
         RUN sleep {mark} & (setsid sleep {mark} &) ; nohup sleep {mark} > /dev/null 2>&1 & sleep 0\n\
         RUN (ps | grep -v grep | grep -c {mark} || true) > /left\n",
    ));
    assert_eq!(image.text("left").unwrap(), "0\n");
    let running = fs::read_dir("/proc").unwrap().flatten().any(|entry| {
        let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let words: Vec<_> = command.split(|byte| *byte == 0).collect();
        words.contains(&b"sleep".as_slice()) && words.contains(&mark.as_bytes())
    });
    assert!(!running, "`sleep {mark}` is still there");
}

#[test]
fn nothing_stays_mounted_on_the_machine() {
    need_root();
    let bench = Bench::new();
    let (mut command, dir) = bench.kiln("FROM BASE/busybox\nRUN touch /a\n").into_command();
    assert!(command.output().unwrap().status.success());
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let own = dir.path().to_str().unwrap();
    assert!(!mounts.contains(own), "{mounts}");
}

#[test]
fn zombies_of_the_command_are_reaped() {
    need_root();
    let said = Bench::new().prints(
        "for i in 1 2 3 4 5 6 7 8; do sh -c 'sleep 0 & exec true'; done
         sleep 1
         ps -o stat= | grep -c Z || true",
    );
    assert_eq!(said, "0\n");
}

#[test]
fn the_work_directory_is_emptied_after_a_run_that_fails() {
    need_root();
    let bench = Bench::new();
    let kiln: Kiln = bench.kiln("FROM BASE/busybox\nRUN mkdir -m 0 /locked && exit 7\n");
    // `run` checks that nothing is left.
    kiln.run().fails(7, "exit code: 7");
}
