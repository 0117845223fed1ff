//! What a RUN in a chroot, or in `/`, sees at places of its own, where nothing is mounted: afterwards
//! its root is what it was, whatever the command has done.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use kiln::sandbox::{Access, MountSource, RunMount, Ulimit, UlimitResource};

use crate::driver::{Outcome, Run, Step, World};
use crate::layers::{Layers, sh};

fn mount(target: &str, source: MountSource, access: Access) -> RunMount {
    RunMount { target: target.into(), source, access }
}

fn file(target: &str, content: &str, mode: u32, owner: u32) -> RunMount {
    let content = content.as_bytes().to_vec().into();
    let source = MountSource::File { content, mode, uid: owner, gid: owner };
    mount(target, source, Access::ReadOnly)
}

fn layers() -> Layers {
    let layers = Layers::new(World::Root);
    layers.file("base/etc/conf", "of the image");
    layers.file("source/a", "of the source");
    layers.directory("cache");
    layers
}

/// All three ways to a directory, and all kinds of files.
fn mounts(layers: &Layers) -> Vec<RunMount> {
    let source = || MountSource::Path(layers.path("source"));
    vec![
        mount("/opt/ro", source(), Access::ReadOnly),
        mount("/etc", source(), Access::Discard),
        mount("/root/.cache/x", MountSource::Path(layers.path("cache")), Access::Keep),
        mount("/opt/tmp", MountSource::Tmpfs { size: None }, Access::Discard),
        file("/run/secrets/x", "hunter2", 0o400, 0),
        file("/dev/pipes/EOF", "#!/bin/sh\necho ran $0\n", 0o755, 0),
    ]
}

/// Mode, time and inode of everything in the root; its own are no part of a layer.
fn state(layers: &Layers) -> BTreeMap<String, (u32, i64, i64, u64)> {
    let of = |path: String| {
        let meta = fs::symlink_metadata(layers.path("base").join(&path)).unwrap();
        (path, (meta.mode(), meta.mtime(), meta.mtime_nsec(), meta.ino()))
    };
    layers.list("base").into_iter().map(of).collect()
}

fn in_chroot(layers: &Layers, run: Run) -> Outcome {
    layers.log(vec![Step::InChroot(run)]).outcomes.remove(0)
}

/// Runs a command with mounts, after which the root must be what it was.
#[track_caller]
fn leaves_nothing(layers: &Layers, run: Run) -> Outcome {
    let before = state(layers);
    let outcome = in_chroot(layers, run);
    let after = state(layers);
    assert!(before == after, "{outcome:?}: {after:?}");
    assert_eq!(outcome.placeholders, [""; 0].map(std::path::PathBuf::from));
    outcome
}

#[test]
fn a_command_sees_its_mounts_and_leaves_nothing_of_them() {
    let layers = layers();
    let command = "cat /opt/ro/a /etc/a /run/secrets/x && /dev/pipes/EOF && ls /etc && \
        for m in /opt/ro /etc /root/.cache/x /opt/tmp; do echo new > $m/new; done; exit 3";
    let run = Run { mounts: mounts(&layers), ..sh(command) };
    let outcome = leaves_nothing(&layers, run);
    // The files of /etc that are kiln's are below what covers them.
    let expected = "of the sourceof the sourcehunter2ran /dev/pipes/EOF\na\n";
    assert_eq!((outcome.out.as_str(), outcome.code), (expected, Some(3)), "{}", outcome.err);
    assert_eq!(layers.list("source").into_iter().collect::<Vec<_>>(), ["a"]);
    assert_eq!(fs::read_to_string(layers.path("cache/new")).unwrap(), "new\n");
}

#[test]
fn a_process_that_is_left_behind_brings_nothing_back() {
    let layers = layers();
    let command = "(while :; do for m in /opt/ro /etc /root/.cache/x /opt/tmp; do \
        mkdir -p $m/new; echo x > $m/new/x; done; done) & sleep 0.2";
    let run = Run { mounts: mounts(&layers), ..sh(command) };
    assert_eq!(leaves_nothing(&layers, run).code, Some(0));
}

#[test]
fn a_command_that_removes_or_renames_what_would_be_busy() {
    let layers = layers();
    let commands = [
        "rm -r /opt /root /run /etc",
        "mv /root/.cache/x /kept && mv /opt/ro /etc/ro && mv /run /elsewhere",
        "mv /root /r && rm -r /run && mkdir -p /run/secrets && echo leak > /run/secrets/x; rm -r /run/secrets/x; rmdir /run/secrets /run; mv /r /root",
    ];
    for command in commands {
        fs::write(layers.path("cache/kept"), "").unwrap();
        let run = Run { mounts: mounts(&layers), ..sh(command) };
        let before = state(&layers);
        let outcome = in_chroot(&layers, run);
        assert_eq!((outcome.code, outcome.error.as_deref()), (Some(0), None), "{}", outcome.err);
        let names = |state: BTreeMap<String, _>| state.into_keys().collect::<Vec<_>>();
        assert_eq!(names(before), names(state(&layers)), "{command}");
        assert_eq!(
            layers.path("cache/kept").exists(),
            !command.contains("/root /run"),
            "{command}"
        );
    }
}

#[test]
fn a_build_that_is_stopped_gives_the_cache_back() {
    let layers = layers();
    let command = "echo x > /root/.cache/x/new; echo go; sleep 600";
    let run = Run { mounts: mounts(&layers), cancel: true, ..sh(command) };
    assert!(leaves_nothing(&layers, run).error.unwrap().contains("cancelled"));
    assert!(layers.path("cache/new").exists());
}

#[test]
fn a_hard_link_to_a_secret_is_an_error() {
    let layers = layers();
    let run = Run { mounts: mounts(&layers), ..sh("ln /run/secrets/x /leak") };
    let error = in_chroot(&layers, run).error.unwrap();
    assert!(error.contains("`/run/secrets/x`") && error.contains("hard link"), "{error}");
    // All else has been taken out.
    fs::remove_file(layers.path("base/leak")).unwrap();
    let names = layers.list("base").into_iter().filter(|path| !path.starts_with("bin/"));
    assert_eq!(names.collect::<Vec<_>>(), ["bin", "etc", "etc/conf", "tmp"]);
}

#[test]
fn files_have_their_owner_and_limits_are_set() {
    let layers = layers();
    let mut run = sh("stat -c '%a %u %g' /run/x; cat /run/x; cat /run/other; ulimit -n");
    (run.uid, run.gid) = (1000, 1001);
    run.mounts = vec![file("/run/x", "hunter2", 0o440, 1000), file("/run/other", "no", 0o600, 0)];
    let (soft, hard) = (Some(64), Some(128));
    run.ulimits = vec![Ulimit { resource: UlimitResource::Nofile, soft, hard }];
    let outcome = leaves_nothing(&layers, run);
    assert_eq!(outcome.out, "440 1000 1000\nhunter264\n", "{}", outcome.err);
}

#[test]
fn a_tmpfs_has_the_mode_of_what_it_covers() {
    let layers = layers();
    layers.directory("base/small");
    fs::set_permissions(layers.path("base/small"), fs::Permissions::from_mode(0o750)).unwrap();
    let tmpfs = |target| mount(target, MountSource::Tmpfs { size: Some(1) }, Access::Discard);
    let mut run = sh("stat -c %a /small /none /dev/shm; echo x > /small/x");
    run.mounts = vec![tmpfs("/small"), tmpfs("/none"), tmpfs("/dev/shm")];
    assert_eq!(leaves_nothing(&layers, run).out, "750\n1777\n1777\n");
}

#[test]
fn layers_need_namespaces() {
    let layers = layers();
    let source = MountSource::Layers { lowers: vec!["source".into()], path: "".into() };
    let run = Run { mounts: vec![mount("/m", source, Access::ReadOnly)], ..sh("true") };
    let error = leaves_nothing(&layers, run).error.unwrap();
    assert!(error.contains("`/m`") && error.contains("in namespaces only"), "{error}");
}

#[test]
fn in_place_it_is_the_same() {
    let layers = Layers::new(World::Image);
    layers.file("base/opt/ro/conf", "of the image");
    layers.file("source/a", "of the source");
    layers.directory("cache");
    let kept = MountSource::Path(layers.path("cache"));
    let source = || MountSource::Path(layers.path("source"));
    let secret = format!("/dev/shm/kiln-test-{}/x", fastrand::u64(..));
    let mounts = vec![
        mount("/opt/ro", source(), Access::ReadOnly),
        mount("/root/.cache/x", kept, Access::Keep),
        mount("/mnt", MountSource::Tmpfs { size: None }, Access::Discard),
        file("/run/secrets/x", "hunter2", 0o400, 0),
        file(&secret, "in memory", 0o400, 0),
    ];
    let command = format!(
        "cat /opt/ro/a /run/secrets/x {secret}; echo x > /opt/ro/new; mv /mnt /t; \
         echo x > /root/.cache/x/new; exit 3"
    );
    let run = |mounts| Step::InPlace(Run { mounts, ..sh(&command) });
    let refused = |target| vec![mount(target, source(), Access::Discard)];
    let steps = vec![run(mounts), run(refused("/kaniko")), run(refused("/dev/shm"))];
    let outcomes = layers.log(steps).outcomes;
    let expected = "of the sourcehunter2in memory";
    assert_eq!((outcomes[0].out.as_str(), outcomes[0].code), (expected, Some(3)), "{outcomes:?}");
    assert_eq!(fs::read_to_string(layers.path("cache/new")).unwrap(), "x\n");
    assert!(!std::path::Path::new(&secret).parent().unwrap().exists());
    assert_eq!(layers.list("source").into_iter().collect::<Vec<_>>(), ["a"]);
    for outcome in &outcomes[1..] {
        let error = outcome.error.as_deref().unwrap();
        assert!(error.contains("use another target"), "{error}");
    }
}

#[test]
fn a_cache_whose_links_cannot_be_parted_is_not_lost() {
    let layers = layers();
    layers.file("cache/precious", "much work");
    // Where kiln wants to put a copy for a moment.
    layers.directory("cache/.kiln-unlinked");
    let mounts = vec![mount("/c", MountSource::Path(layers.path("cache")), Access::Keep)];
    let run = Run { mounts, ..sh("ln /c/precious /linked") };
    let outcome = in_chroot(&layers, run);
    assert!(format!("{outcome:?}").contains("take the mount `/c` out again"), "{outcome:?}");
    assert_eq!(fs::read_to_string(layers.path("cache/precious")).unwrap(), "much work");
}
