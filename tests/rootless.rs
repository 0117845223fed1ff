//! Builds by a user who is not root: with ranges of ids, with one id, and without namespaces.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::Outcome;
use common::built::Bench;
use common::unprivileged::{Ids, run_as};
use serde_json::json;
use testkit::base::busybox;
use testkit::image::assert_same_tree;
use testkit::tar::TarBytes;

const EPOCH: &str = "1700000000";

/// Where ids can be chosen, root's and a user's builds cannot be told apart.
const MIXED: &str = "FROM BASE/mixed AS build\n\
    RUN touch /a && chown 12:34 /a && mkdir -m 2775 /d && chown 0:7 /d && echo x >> /srv/app/file\n\
    RUN rm -r /home && mkfifo /pipe && ln -s a /link && chown -h 5:6 /link && ln /a /hard\n\
    RUN rm -r /gone && mkdir /gone && touch /gone/new && chmod 4755 /srv/tool\n\
    USER app\n\
    RUN id -u > /tmp/id && id -G >> /tmp/id && touch /tmp/mine\n\
    FROM BASE/mixed\n\
    COPY --from=build /a /d /tmp/id /tmp/mine /copied/\n\
    COPY --from=build /srv /srv\n\
    COPY --chown=app Dockerfile /mine\n\
    COPY --from=BASE/mixed /srv/app /straight\n\
    RUN ls -ln /mine /copied > /seen\n";

/// All of it belongs to root, and nothing asks for another user.
const PLAIN: &str = "FROM BASE/busybox\n\
    RUN echo x > /a && mkdir -p /d/e && ln /a /d/b && rm -r /home && chmod 4755 /a\n\
    RUN rm -r /var && mkdir /var && touch /var/new && ln -s /a /s && mkfifo /p\n\
    COPY --chown=33:44 Dockerfile /owned\n\
    RUN cat /owned /a > /both\n";

fn bench() -> Bench {
    let bench = Bench::new();
    let mixed = TarBytes::new()
        .dir("etc")
        .file("etc/passwd", "root:x:0:0::/root:/bin/sh\napp:x:1000:1001::/srv/app:/bin/sh\n")
        .file("etc/group", "root:x:0:\napp:x:1001:\nmore:x:1002:app\n")
        .dir("srv")
        .dir("srv/app")
        .owner(1000, 1001)
        .mode(0o2750)
        .file("srv/app/file", "of app\n")
        .owner(1000, 1001)
        .mode(0o640)
        .file("srv/app/other", "of app\n")
        .owner(1000, 1001)
        .xattr("user.note", "kept")
        .file("srv/tool", "tool")
        .owner(0, 1002)
        .mode(0o2755)
        .symlink("srv/link", "app")
        .owner(1000, 1001)
        .dir("gone")
        .owner(1000, 1001)
        .file("gone/old", "");
    bench.base("mixed", vec![busybox().unwrap(), mixed], json!({}));
    bench
}

fn by_root(bench: &Bench, dockerfile: &str) -> String {
    let kiln = bench.kiln(dockerfile).env("SOURCE_DATE_EPOCH", EPOCH);
    kiln.run().ok().stdout.trim().to_owned()
}

fn by_user(bench: &Bench, dockerfile: &str, ids: Ids) -> Outcome {
    run_as(bench.kiln(dockerfile).env("SOURCE_DATE_EPOCH", EPOCH), ids, "")
}

#[test]
fn with_ranges_the_image_is_the_one_that_root_builds() {
    let bench = bench();
    let root = by_root(&bench, MIXED);
    let image = bench.image();
    assert_eq!(image.tree().unwrap()["copied/mine"].uid, 1000);
    let outcome = by_user(&bench, MIXED, Ids::Ranges).ok();
    assert_same_tree(&image.tree().unwrap(), &bench.image().tree().unwrap());
    assert_eq!(outcome.stdout.trim(), root);
    assert!(!outcome.stderr.contains("warning"), "{outcome}");
}

#[test]
fn with_one_id_the_image_is_the_one_that_root_builds_if_all_is_roots() {
    let bench = bench();
    let root = by_root(&bench, PLAIN);
    let image = bench.image();
    assert_eq!(image.tree().unwrap()["owned"].uid, 33);
    let outcome = by_user(&bench, PLAIN, Ids::One).ok();
    assert_same_tree(&image.tree().unwrap(), &bench.image().tree().unwrap());
    assert_eq!(outcome.stdout.trim(), root);
    let warned = outcome.stderr.lines().filter(|line| line.contains("warning")).count();
    assert!(warned == 1 && outcome.stderr.contains("/etc/subuid"), "{outcome}");
}

#[test]
fn with_one_id_files_of_other_owners_keep_them() {
    let bench = bench();
    let dockerfile = "FROM BASE/mixed AS build\n\
        COPY --chown=12:34 Dockerfile /copied\n\
        RUN echo x >> /srv/app/file && chmod 700 /srv/app/other && chmod 711 /gone && \
            chmod 4755 /srv/tool && echo y >> /copied && touch /new /srv/new\n\
        FROM BASE/mixed\n\
        COPY --from=build /srv /all\n\
        COPY --from=build /copied /all/\n\
        COPY --from=BASE/mixed /srv/app /straight\n\
        RUN touch /all/app/file /straight/file\n";
    by_root(&bench, dockerfile);
    let expected = bench.image().tree().unwrap();
    assert_eq!(expected["all/app/file"].uid, 1000);
    by_user(&bench, dockerfile, Ids::One).ok();
    let mut found = bench.image().tree().unwrap();
    // A link cannot have the attribute that an owner is kept in.
    let link = found.get_mut("all/link").unwrap();
    assert_eq!((link.uid, link.gid), (0, 0));
    (link.uid, link.gid) = (1000, 1001);
    assert_same_tree(&expected, &found);
    let build = "FROM BASE/mixed\n\
        RUN echo x >> /srv/app/file && chmod 711 /gone && rm -r /gone && mkdir /gone\n";
    by_root(&bench, build);
    let expected = bench.image().tree().unwrap();
    by_user(&bench, build, Ids::One).ok();
    assert_same_tree(&expected, &bench.image().tree().unwrap());
}

#[test]
fn with_one_id_another_user_is_refused_with_what_to_do() {
    let bench = bench();
    let outcome = by_user(&bench, "FROM BASE/mixed\nUSER app\nRUN true\n", Ids::One);
    outcome.fails(1, "/etc/subuid");
    let outcome = by_user(&bench, "FROM BASE/busybox\nRUN chown 1:1 /etc/passwd\n", Ids::One);
    outcome.fails(1, "exit code");
}

#[test]
fn without_newuidmap_one_id_is_what_is_left() {
    let bench = bench();
    let kiln = bench.kiln("FROM BASE/busybox\nRUN id -u > /id\n");
    let hide = "for f in /usr/bin/newuidmap /bin/newuidmap; do \
                [ ! -e $f ] || mount --bind /dev/null $f; done";
    let outcome = run_as(kiln, Ids::Ranges, hide).ok();
    assert!(outcome.stderr.contains("newuidmap"), "{outcome}");
    assert_eq!(bench.image().text("id").unwrap(), "0\n");
}

#[test]
fn a_build_without_run_needs_no_namespaces() {
    let bench = bench();
    let dockerfile = "FROM BASE/mixed\n\
        COPY --chown=app:more Dockerfile /mine\n\
        WORKDIR /made\n\
        COPY --from=BASE/mixed /srv /copied\n\
        LABEL a=b\n";
    let root = by_root(&bench, dockerfile);
    let expected = bench.image().tree().unwrap();
    assert_eq!(expected["mine"].gid, 1002);
    for ids in [Ids::One, Ids::Ranges] {
        let kiln = bench.kiln(dockerfile).env("SOURCE_DATE_EPOCH", EPOCH);
        let outcome = run_as(kiln.args(["--isolation", "none"]), ids, "").ok();
        let mut found = bench.image().tree().unwrap();
        let link = found.get_mut("copied/link").unwrap();
        if (link.uid, link.gid) == (0, 0) {
            (link.uid, link.gid) = (1000, 1001);
        } else {
            assert_eq!(outcome.stdout.trim(), root);
        }
        assert_same_tree(&expected, &found);
    }
    let as_root = bench.kiln(dockerfile).env("SOURCE_DATE_EPOCH", EPOCH);
    as_root.args(["--isolation", "none"]).run().ok();
}

#[test]
fn a_run_without_namespaces_is_refused_before_anything_is_fetched() {
    let bench = bench();
    let dockerfile = "FROM BASE/mixed\nCOPY Dockerfile /\nRUN true\n";
    let none = bench.kiln(dockerfile).args(["--isolation", "none"]);
    let outcome = none.run().fails(1, "this RUN cannot run here");
    assert!(outcome.stderr.contains("--isolation auto"), "{outcome}");
    assert!(outcome.stderr.contains("Dockerfile:3"), "{outcome}");
    let manifest = bench.registry.manifest("mixed", "latest").unwrap().0;
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    for layer in manifest["layers"].as_array().unwrap() {
        let digest = layer["digest"].as_str().unwrap();
        let fetched =
            bench.registry.requests().iter().any(|request| request.path.ends_with(digest));
        assert!(!fetched, "{digest} was asked for");
    }
}

/// In a user namespace that allows no more of them, without the right to mount.
fn where_namespaces_are_refused(kiln: common::Kiln) -> Outcome {
    let (command, dir) = kiln.into_command();
    let script = "echo 0 > /proc/sys/user/max_user_namespaces || exit 99\n\
                  exec setpriv --bounding-set=-sys_admin --inh-caps=-all -- \"$@\"";
    let mut shell = std::process::Command::new("unshare");
    shell.args(["--user", "--map-root-user", "sh", "-c", script, "sh"]);
    shell.arg(command.get_program()).args(command.get_args()).env_clear();
    shell.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let outcome = Outcome::from(shell.current_dir(dir.path()).output().unwrap());
    assert_eq!(std::fs::read_dir(dir.path().join("tmp")).unwrap().count(), 0, "{outcome}");
    outcome
}

#[test]
fn where_namespaces_are_refused_a_run_is_in_a_chroot_and_says_what_to_set_for_more() {
    let bench = bench();
    let run = bench.kiln("FROM BASE/busybox\nRUN touch /made\n");
    where_namespaces_are_refused(run).ok();
    assert!(bench.image().tree().unwrap().contains_key("made"));
    let forced = bench.kiln("FROM BASE/busybox\nCOPY Dockerfile /a\n");
    let forced = forced.args(["--isolation", "namespaces"]);
    where_namespaces_are_refused(forced).fails(1, "user.max_user_namespaces");
    let copy = "FROM BASE/mixed\nCOPY --chown=app Dockerfile /a\nWORKDIR /b\n";
    where_namespaces_are_refused(bench.kiln(copy)).ok();
    assert_eq!(bench.image().tree().unwrap()["a"].uid, 1000);
}
