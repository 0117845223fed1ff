//! What a RUN sees at places of its own, in every world; and its limits.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;

use kiln::sandbox::{Access, MountSource, RunMount, Ulimit, UlimitResource};

use crate::driver::{Outcome, Run, Step, World};
use crate::layers::{Layers, sh};

in_every_world! {
    a_directory_is_read_only_or_forgets_or_keeps,
    a_file_is_read_only_or_forgets_or_keeps,
    parts_of_layers,
    a_mount_inside_of_another,
    a_place_that_is_missing_leaves_nothing,
    what_is_made_beside_a_mount_stays,
    links_of_the_image_lead_nowhere_else,
    places_that_cannot_be,
    a_file_has_its_mode_and_owner,
    a_script_in_dev_can_be_executed,
    a_tmpfs_is_full_at_its_size,
    a_command_that_fails_leaves_nothing,
    a_mount_is_busy,
    a_socket_is_answered,
    limits,
}

fn mount(target: &str, source: MountSource, access: Access) -> RunMount {
    RunMount { target: target.into(), source, access }
}

fn with(command: &str, mounts: Vec<RunMount>) -> Run {
    Run { mounts, ..sh(command) }
}

fn secret(target: &str, mode: u32, owner: u32) -> RunMount {
    let content = b"hunter2".to_vec().into();
    let source = MountSource::File { content, mode, uid: owner, gid: owner };
    mount(target, source, Access::ReadOnly)
}

/// Runs it, and says what is in its upper directory but for the placeholders.
#[track_caller]
fn changes(layers: &Layers, run: Run) -> (Outcome, Vec<String>) {
    let upper = run.upper.clone();
    let outcome = layers.run(run);
    assert_eq!(outcome.error, None);
    let placed =
        |path: &String| outcome.placeholders.iter().any(|made| made == std::path::Path::new(path));
    let left = layers.list(&upper).into_iter().filter(|path| !placed(path)).collect();
    assert!(!layers.path(&format!("{upper}.work.discarded")).exists());
    (outcome, left)
}

fn a_directory_is_read_only_or_forgets_or_keeps(world: World) {
    let layers = Layers::new(world);
    layers.file("source/a/file", "of the source");
    let source = || MountSource::Path(layers.path("source"));
    let command = "grep -c '^overlay /m ' /proc/mounts; cat /m/a/file; echo new > /m/a/file; rm -r /m/a; echo x > /m/x; ls /m";
    let rows = [
        (Access::ReadOnly, "0\nof the sourcea\n", true, false),
        (Access::Discard, "1\nof the sourcex\n", true, false),
        (Access::Keep, "0\nof the sourcex\n", false, true),
    ];
    for (access, out, old, new) in rows {
        let (outcome, left) = changes(&layers, with(command, vec![mount("/m", source(), access)]));
        assert_eq!(outcome.out, out, "{access:?}: {outcome:?}");
        assert_eq!(outcome.err.contains("Read-only"), access == Access::ReadOnly, "{outcome:?}");
        assert_eq!(left, [""; 0]);
        assert_eq!(layers.path("source/a/file").exists(), old, "{access:?}");
        assert_eq!(layers.path("source/x").exists(), new, "{access:?}");
    }
}

fn a_file_is_read_only_or_forgets_or_keeps(world: World) {
    let layers = Layers::new(world);
    layers.file("source", "old");
    layers.file("base/etc/conf", "of the image");
    let rows = [
        (Access::ReadOnly, "old", "old"),
        (Access::Discard, "new\n", "old"),
        (Access::Keep, "new\n", "new\n"),
    ];
    for (access, seen, after) in rows {
        let mounts = vec![mount("/etc/conf", MountSource::Path(layers.path("source")), access)];
        let run = with("echo new > /etc/conf; cat /etc/conf", mounts);
        let (outcome, left) = changes(&layers, run);
        assert_eq!((outcome.out.as_str(), left), (seen, vec![]), "{access:?}: {}", outcome.err);
        assert_eq!(fs::read_to_string(layers.path("source")).unwrap(), after, "{access:?}");
    }
}

fn parts_of_layers(world: World) {
    let layers = Layers::new(world);
    layers.file("one/d/a", "one");
    layers.file("one/d/b", "one");
    layers.file("two/d/b", "two");
    let part = |lowers: &[&str], path: &str| MountSource::Layers {
        lowers: lowers.iter().map(Into::into).collect(),
        path: path.into(),
    };
    let both = ["one", "two"];
    let command = "cat /m/a /m/b; echo x > /m/a && cat /m/a; cat /f; echo x > /f; ls /all /one";
    for access in [Access::ReadOnly, Access::Discard] {
        let mounts = vec![
            mount("/m", part(&both, "d"), access),
            mount("/f", part(&both, "d/b"), access),
            mount("/all", part(&both, ""), access),
            mount("/one", part(&["one"], "d"), access),
            mount("/none", part(&[], ""), access),
        ];
        let (outcome, left) = changes(&layers, with(command, mounts));
        let written = if access == Access::Discard { "x\n" } else { "" };
        let expected = format!("onetwo{written}two/all:\nd\n\n/one:\na\nb\n");
        assert_eq!((outcome.out, left), (expected, vec![]), "{}", outcome.err);
        assert_eq!(fs::read_to_string(layers.path("one/d/a")).unwrap(), "one");
    }
    let run = with("true", vec![mount("/m", part(&both, "d/none"), Access::ReadOnly)]);
    let error = layers.run(run).error.unwrap();
    assert!(error.contains("`/m`") && error.contains("`/d/none` is not in"), "{error}");
}

fn a_mount_inside_of_another(world: World) {
    let layers = Layers::new(world);
    layers.file("cache/own", "");
    let mounts = vec![
        mount("/a", MountSource::Tmpfs { size: None }, Access::Discard),
        mount("/a/b", MountSource::Path(layers.path("cache")), Access::Keep),
        secret("/a/b/secret", 0o400, 0),
    ];
    let command = "ls /a /a/b; cat /a/b/secret; stat -c %a /a; echo x > /a/x; echo x > /a/b/x";
    let (outcome, left) = changes(&layers, with(command, mounts));
    assert_eq!(outcome.out, "/a:\nb\n\n/a/b:\nown\nsecret\nhunter21777\n", "{}", outcome.err);
    assert_eq!(left, [""; 0]);
    assert_eq!(fs::read_to_string(layers.path("cache/x")).unwrap(), "x\n");
    assert_eq!(fs::read(layers.path("cache/secret")).unwrap(), b"");
}

fn a_place_that_is_missing_leaves_nothing(world: World) {
    let layers = Layers::new(world);
    layers.directory("base/opt");
    let time = fs::metadata(layers.path("base/opt")).unwrap().modified().unwrap();
    let mounts = vec![
        mount("/opt/a/b", MountSource::Tmpfs { size: None }, Access::Discard),
        secret("/run/secrets/x", 0o400, 0),
    ];
    let run = with("echo x > /opt/a/b/x; cat /run/secrets/x", mounts);
    let upper = run.upper.clone();
    let (outcome, left) = changes(&layers, run);
    assert_eq!(outcome.out, "hunter2");
    // Copied up, as it was.
    assert_eq!(left, ["opt"]);
    let copied = fs::metadata(layers.path(&upper).join("opt")).unwrap();
    assert_eq!(copied.modified().unwrap(), time);
    for made in ["opt/a", "opt/a/b", "run", "run/secrets", "run/secrets/x"] {
        assert!(
            outcome.placeholders.iter().any(|path| path == std::path::Path::new(made)),
            "{outcome:?}"
        );
    }
    assert_eq!(fs::read(layers.path(&upper).join("run/secrets/x")).unwrap(), b"");
}

fn what_is_made_beside_a_mount_stays(world: World) {
    let layers = Layers::new(world);
    let mounts = vec![mount("/a/b", MountSource::Tmpfs { size: None }, Access::Discard)];
    let (_, left) = changes(&layers, with("echo x > /a/own; echo x > /a/b/gone", mounts));
    assert_eq!(left, ["a/own"]);
}

fn links_of_the_image_lead_nowhere_else(world: World) {
    let layers = Layers::new(world);
    layers.directory("outside");
    layers.directory("base/real");
    for (link, target) in [
        ("absolute", layers.path("outside").to_str().unwrap()),
        ("climbing", "../../../../../../../../real"),
        ("process", "/proc/self/root/real"),
        ("to-proc", "proc/sys"),
        ("to-root", "/"),
    ] {
        symlink(target, layers.path("base").join(link)).unwrap();
    }
    let at = |target: &str| {
        let mounts = vec![secret(target, 0o400, 0)];
        layers.run(with(&format!("cat {target}; cat /real/x"), mounts))
    };
    assert_eq!(at("/absolute/x").out, "hunter2");
    assert_eq!(fs::read_dir(layers.path("outside")).unwrap().count(), 0);
    assert_eq!(at("/climbing/x").out, "hunter2hunter2");
    for refused in ["/process/x", "/to-proc/x", "/to-proc", "/to-root"] {
        let outcome = at(refused);
        assert!(outcome.error.is_some(), "{refused}: {outcome:?}");
    }
}

fn places_that_cannot_be(world: World) {
    let layers = Layers::new(world);
    layers.directory("base/directory");
    layers.file("base/file", "");
    let tmpfs = |target| mount(target, MountSource::Tmpfs { size: None }, Access::Discard);
    let missing = MountSource::Path(layers.path("nowhere"));
    let rows = [
        (tmpfs("/proc/x"), "/proc"),
        (tmpfs("/"), "`/`"),
        (tmpfs("relative"), "absolute"),
        (tmpfs("/file"), "the image has a file there"),
        (secret("/directory", 0o400, 0), "the image has a directory there"),
        (mount("/m", missing, Access::ReadOnly), "nowhere"),
    ];
    for (mount, expected) in rows {
        let error = layers.run(with("true", vec![mount])).error.unwrap();
        assert!(error.contains(expected) && !error.contains("hunter2"), "{error}");
    }
}

fn a_file_has_its_mode_and_owner(world: World) {
    let layers = Layers::new(world);
    let user = if world == World::Single { 0 } else { 1000 };
    let mounts = vec![secret("/run/secrets/x", 0o440, user), secret("/other", 0o600, 0)];
    let mut run = with("stat -c '%a %u %g' /run/secrets/x; cat /run/secrets/x /other", mounts);
    (run.uid, run.gid) = (user, user);
    let (outcome, _) = changes(&layers, run);
    let other = if user == 0 { "hunter2" } else { "" };
    assert_eq!(outcome.out, format!("440 {user} {user}\nhunter2{other}"), "{}", outcome.err);
}

fn a_script_in_dev_can_be_executed(world: World) {
    let layers = Layers::new(world);
    let source = MountSource::File {
        content: b"#!/bin/sh\necho ran $0\n".to_vec().into(),
        mode: 0o755,
        uid: 0,
        gid: 0,
    };
    let mounts = vec![mount("/dev/pipes/EOF", source, Access::ReadOnly)];
    let (outcome, left) = changes(&layers, with("/dev/pipes/EOF", mounts));
    assert_eq!((outcome.out.as_str(), left), ("ran /dev/pipes/EOF\n", vec![]), "{}", outcome.err);
}

fn a_tmpfs_is_full_at_its_size(world: World) {
    let layers = Layers::new(world);
    layers.directory("base/small");
    fs::set_permissions(layers.path("base/small"), fs::Permissions::from_mode(0o750)).unwrap();
    let tmpfs = MountSource::Tmpfs { size: Some(1 << 20) };
    let mounts = vec![mount("/small", tmpfs, Access::Discard)];
    let command =
        "stat -c %a /small; dd if=/dev/zero of=/small/x bs=64k count=32 || wc -c < /small/x";
    let (outcome, left) = changes(&layers, with(command, mounts));
    assert_eq!((outcome.out.as_str(), left), ("750\n1048576\n", vec![]), "{}", outcome.err);
    assert!(outcome.err.contains("No space left"), "{}", outcome.err);
}

fn a_command_that_fails_leaves_nothing(world: World) {
    let layers = Layers::new(world);
    layers.directory("cache");
    let mounts = || {
        vec![
            mount("/c", MountSource::Path(layers.path("cache")), Access::Keep),
            mount("/d", MountSource::Path(layers.path("cache")), Access::Discard),
        ]
    };
    let (outcome, left) = changes(&layers, with("echo x > /c/x; echo y > /d/y; exit 3", mounts()));
    assert_eq!((outcome.code, left), (Some(3), vec![]));
    assert_eq!(layers.list("cache").into_iter().collect::<Vec<_>>(), ["x"]);
    let run = Run { cancel: true, ..with("echo x > /d/z; echo go; sleep 600", mounts()) };
    let upper = run.upper.clone();
    assert!(layers.run(run).error.unwrap().contains("cancelled"));
    assert!(!layers.path(&format!("{upper}.work.discarded")).exists());
}

fn a_mount_is_busy(world: World) {
    let layers = Layers::new(world);
    layers.directory("cache");
    let mounts = vec![
        mount("/c", MountSource::Path(layers.path("cache")), Access::Keep),
        secret("/s", 0o400, 0),
    ];
    let command = "rmdir /c || mv /c /elsewhere || rm -f /s || echo all busy";
    let (outcome, left) = changes(&layers, with(command, mounts));
    assert_eq!((outcome.out.as_str(), left), ("all busy\n", vec![]), "{}", outcome.err);
}

fn a_socket_is_answered(world: World) {
    let layers = Layers::new(world);
    let path = layers.path("agent");
    let _listener = UnixListener::bind(&path).unwrap();
    layers.own(&path);
    let source = MountSource::Socket { path: path.clone(), mode: 0o600, uid: 0, gid: 0 };
    let mounts = vec![mount("/run/agent", source, Access::ReadOnly)];
    let (outcome, left) = changes(&layers, with("stat -c '%F %a %u' /run/agent", mounts));
    assert_eq!((outcome.out.as_str(), left), ("socket 600 0\n", vec![]), "{}", outcome.err);
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
}

fn limits(world: World) {
    let layers = Layers::new(world);
    let limit = |resource, soft, hard| Ulimit { resource, soft: Some(soft), hard: Some(hard) };
    let mut run = sh("ulimit -n; ulimit -Hn; ulimit -c; ulimit -s");
    run.ulimits = vec![
        limit(UlimitResource::Nofile, 100, 200),
        limit(UlimitResource::Core, 0, 0),
        limit(UlimitResource::Stack, 1 << 20, 2 << 20),
    ];
    let outcome = layers.run(run);
    assert_eq!(outcome.out, "100\n200\n0\n1024\n", "{outcome:?}");

    let mut run = sh("true");
    run.ulimits = vec![limit(UlimitResource::Nofile, 1 << 40, 1 << 41)];
    let error = layers.run(run).error.unwrap();
    assert!(error.contains("`nofile` to 1099511627776 (soft) and 2199023255552"), "{error}");
    let mut run = sh("true");
    run.ulimits = vec![limit(UlimitResource::Nofile, 3, 2)];
    assert!(layers.log(vec![Step::Run(run)]).outcomes[0].error.as_ref().unwrap().contains("above"));
}
