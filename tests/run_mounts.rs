//! `RUN --mount`, heredocs, networks and limits, in namespaces and in a chroot: what a command sees,
//! and that nothing of it is in the image. As root of the machine.
//!
//! Needs gcc.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

#[path = "run_mounts/agents.rs"]
mod agents;
#[path = "run_mounts/bind.rs"]
mod bind;
#[path = "run_mounts/cache.rs"]
mod cache;
#[path = "run_mounts/heredocs.rs"]
mod heredocs;
#[path = "run_mounts/limits.rs"]
mod limits;
#[path = "run_mounts/secrets.rs"]
mod secrets;

use std::collections::BTreeSet;
use std::ops::Deref;

use testkit::image::Image;

use common::built::{Bench, need_root};
use common::{Kiln, Outcome};

const NAMESPACES: &str = "namespaces";
const CHROOT: &str = "chroot";
const BOTH: [&str; 2] = [NAMESPACES, CHROOT];

/// A build of this Dockerfile on a busybox, isolated so.
fn kiln(bench: &Bench, isolation: &str, dockerfile: &str) -> Kiln {
    need_root();
    bench.kiln(dockerfile).args(["--isolation", isolation])
}

/// An image, and the registry that has its layers.
struct Built {
    image: Image,
    _bench: Bench,
}

impl Deref for Built {
    type Target = Image;

    fn deref(&self) -> &Image {
        &self.image
    }
}

/// The image of such a build, which must succeed.
#[track_caller]
fn built(isolation: &str, dockerfile: &str, with: impl FnOnce(Kiln) -> Kiln) -> Built {
    let bench = Bench::new();
    with(kiln(&bench, isolation, dockerfile)).run().ok();
    Built { image: bench.image(), _bench: bench }
}

/// What the last RUN of such a build has left in `/out`.
#[track_caller]
fn prints(isolation: &str, dockerfile: &str, with: impl FnOnce(Kiln) -> Kiln) -> String {
    built(isolation, dockerfile, with).text("out").unwrap()
}

/// How such a build fails.
#[track_caller]
fn fails(isolation: &str, dockerfile: &str, with: impl FnOnce(Kiln) -> Kiln) -> Outcome {
    let bench = Bench::new();
    let outcome = with(kiln(&bench, isolation, dockerfile)).run();
    assert_ne!(outcome.code, Some(0), "{outcome}");
    outcome
}

/// The paths in the layers that a build made on top of its one base layer.
fn made(image: &Image) -> BTreeSet<String> {
    let names = (1..image.layers.len()).flat_map(|layer| image.paths(layer).unwrap());
    names.map(|name| name.trim_end_matches('/').to_owned()).collect()
}

#[test]
fn a_mount_of_each_type_leaves_nothing() {
    let dockerfile = "FROM BASE/busybox\n\
         RUN --mount=target=/m/bind --mount=type=cache,target=/m/cache \
             --mount=type=tmpfs,target=/m/tmpfs --mount=type=secret,id=s \
             --mount=type=secret,id=s,target=/m/secret \
             ls /m > /out && cat /run/secrets/s >> /out && echo x > /m/cache/x && echo x > /m/tmpfs/x\n";
    for isolation in BOTH {
        let image = built(isolation, dockerfile, |kiln| {
            kiln.args(["--secret", "id=s,env=S"]).env("S", "hidden\n").file("f", "")
        });
        assert_eq!(image.text("out").unwrap(), "bind\ncache\nsecret\ntmpfs\nhidden\n");
        assert_eq!(made(&image), BTreeSet::from(["out".to_owned()]), "{isolation}");
    }
}

#[test]
fn mounts_lie_in_one_another_whatever_comes_first() {
    let dockerfile = "FROM BASE/busybox\n\
         RUN --mount=type=tmpfs,target=/m/in/side --mount=type=bind,target=/m,rw \
             --mount=type=secret,id=s,target=/m/in/side/s \
             echo $(cat /m/file) $(cat /m/in/side/s) $(ls /m/in/side) > /out\n";
    for isolation in BOTH {
        let out = prints(isolation, dockerfile, |kiln| {
            kiln.args(["--secret", "id=s,env=S"]).env("S", "hidden").file("file", "bound")
        });
        assert_eq!(out, "bound hidden s\n", "{isolation}");
    }
}
