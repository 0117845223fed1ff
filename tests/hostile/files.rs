//! Files that kiln itself reads: users, resolver, ignore file, Dockerfile.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::json;
use testkit::base;
use testkit::image::Image;
use testkit::tar::TarBytes;

use crate::arena::run;
use crate::common::bench::Bench;

/// An image that has a shell and this layer.
fn with_layer(layer: TarBytes) -> Bench {
    let bench = Bench::new();
    let busybox = base::busybox().expect("a busybox to make an image of");
    bench.registry.add_image("base", "1", vec![busybox, layer], json!({}));
    bench
}

#[test]
fn users_of_any_kind_do_no_harm() {
    let long = "x".repeat(3 << 20);
    let good = "app:x:1234:1234::/home/app:/bin/sh\n";
    let mut rows: Vec<Vec<u8>> = [
        format!("{good}{long}\n"),
        format!("{good}evil:x:0:0:{long}:/:/bin/sh\n"),
        format!("\0\0\0\n{good}"),
        format!("a:b\n:::::\n{good}\u{1b}[2J:x:-1:4294967295::/:\n"),
        format!("evil:x:18446744073709551616:1::/:/\n{good}"),
    ]
    .map(String::into_bytes)
    .into();
    rows.push([b"\xff\xfe:x:1:1::/:\n", good.as_bytes()].concat());
    for passwd in rows {
        let bench = with_layer(TarBytes::new().file("etc/passwd", passwd));
        let text =
            "FROM REGISTRY/base:1\nCOPY --chown=app Dockerfile /f\nUSER app\nRUN id -u >/tmp/id\n";
        run(bench.kiln(text)).ok();
        let image = Image::from_registry(&bench.registry, "app", "1").expect("an image");
        assert_eq!(image.text("tmp/id").expect("a file"), "1234\n");
        assert_eq!(image.tree().expect("a tree")["f"].uid, 1234);
    }
}

#[test]
fn users_that_are_no_file_are_no_users() {
    for layer in [
        TarBytes::new().whiteout("etc/passwd").dir("etc/passwd"),
        TarBytes::new().symlink("etc/passwd", "/proc/self/environ"),
        TarBytes::new().symlink("etc/passwd", "../../../../../../etc/passwd"),
        TarBytes::new().symlink("etc/passwd", "passwd"),
        TarBytes::new().symlink("etc", "/"),
    ] {
        let bench = with_layer(layer);
        let users = fs::read_to_string("/etc/passwd").expect("users");
        let someone = users.lines().nth(1).and_then(|l| l.split(':').next()).expect("a user");
        let text = format!("FROM REGISTRY/base:1\nUSER {someone}\nRUN id\n");
        let outcome = run(bench.kiln(&text));
        assert_eq!(outcome.code, Some(1), "users of the machine were used: {outcome}");
    }
    // A pipe has no end: reading it must not wait for a writer.
    let bench = with_layer(TarBytes::new().fifo("etc/passwd").fifo("etc/group"));
    let outcome = run(bench.kiln("FROM REGISTRY/base:1\nUSER app\nRUN id\n"));
    assert_eq!(outcome.code, Some(1), "{outcome}");
}

#[test]
fn resolver_and_hosts_that_lead_out_are_not_followed() {
    for target in
        ["/canary", "../../../../../../canary", "/proc/1/environ", "nowhere/at/all", "resolv.conf"]
    {
        let layer = TarBytes::new()
            .symlink("etc/resolv.conf", target)
            .symlink("etc/hosts", target)
            .symlink("etc/hostname", target);
        let bench = with_layer(layer);
        run(bench.kiln("FROM REGISTRY/base:1\nRUN cat /etc/hosts; echo x >>/etc/hosts; true\n"));
    }
    let directories = TarBytes::new().dir("etc/resolv.conf").dir("etc/hosts");
    run(with_layer(directories).kiln("FROM REGISTRY/base:1\nRUN true\n"));
}

#[test]
fn mount_points_that_are_links_do_not_lead_out() {
    for name in ["proc", "dev", "sys", "dev/shm", "tmp"] {
        for target in ["/etc", "../../../..", "/proc/self/root"] {
            let layer = TarBytes::new().whiteout(name).symlink(name, target);
            run(with_layer(layer).kiln("FROM REGISTRY/base:1\nRUN true\n"));
        }
    }
}

#[test]
fn an_ignore_file_of_any_kind_ends() {
    let stars = "**/".repeat(300) + "x";
    let long = "a*".repeat(20_000);
    for text in [stars.as_str(), &long, "!*\n*\n!!!\n", "..\n../../**\n/\n", "a\0b\n\u{1b}[2J\n"] {
        let bench = Bench::new();
        let kiln = bench.kiln("FROM scratch\nCOPY . /\n");
        let kiln = kiln.file(".dockerignore", text).file(&("d/".repeat(20) + "f"), "");
        run(kiln);
    }
    let bench = Bench::new();
    let kiln = bench.kiln("FROM scratch\nCOPY . /\n").file(".dockerignore", b"\xff\xfe\n*.md\n");
    run(kiln);
}

#[test]
fn a_context_full_of_ways_out_is_copied_as_it_is() {
    let bench = Bench::new();
    let kiln = bench.kiln("FROM scratch\nCOPY . /\n");
    let context = kiln.context();
    symlink("/etc/passwd", context.join("absolute")).expect("a link");
    symlink("../../canary", context.join("relative")).expect("a link");
    symlink("loop", context.join("loop")).expect("a link");
    symlink(".", context.join("self")).expect("a link");
    run(kiln).ok();
    let image = Image::from_registry(&bench.registry, "app", "1").expect("an image");
    let tree = image.tree().expect("a tree");
    assert_eq!(tree["absolute"].target, "/etc/passwd");
    assert_eq!(tree["relative"].target, "../../canary");
}

#[test]
fn a_copy_never_follows_a_link_out_of_its_source() {
    let own = fs::read_to_string("/etc/passwd").expect("users");
    let bench =
        with_layer(TarBytes::new().symlink("way", "/../../../etc").symlink("file", "/etc/passwd"));
    for source in ["/way/passwd", "/file", "/way/../etc/passwd"] {
        let text = format!("FROM scratch\nCOPY --from=REGISTRY/base:1 {source} /copied\n");
        let outcome = run(bench.kiln(&text));
        if outcome.code == Some(0) {
            let image = Image::from_registry(&bench.registry, "app", "1").expect("an image");
            assert_ne!(image.text("copied").unwrap_or_default(), own, "{source}");
        }
    }
}
