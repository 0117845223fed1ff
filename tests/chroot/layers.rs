//! What a RUN in a chroot leaves: what it made, and the same bytes as elsewhere.

use std::fs;

use serde_json::json;
use testkit::base::busybox;
use testkit::tar::TarBytes;

use super::{Bench, kiln};
use crate::common::built::need_root;

#[test]
fn nothing_that_covers_the_image_enters_the_layer() {
    let bench = Bench::new();
    let busybox = fs::read("/bin/busybox").expect("/bin/busybox (package busybox-static)");
    let kiln = kiln(
        &bench,
        "FROM scratch\n\
         COPY --chmod=755 busybox /busybox\n\
         RUN [\"/busybox\", \"touch\", \"/made\"]\n\
         RUN [\"/busybox\", \"ls\", \"-lR\", \"/dev\", \"/proc/self\", \"/sys/class\", \"/etc\"]\n\
         RUN [\"/busybox\", \"sh\", \"-c\", \"echo x >> /etc/hosts; echo x > /dev/shm/x; echo x > /dev/x\"]\n",
    );
    kiln.file("busybox", busybox).run().ok();
    let image = bench.image();
    assert_eq!(image.paths(0).unwrap(), ["busybox"]);
    assert_eq!(image.paths(1).unwrap(), ["made"]);
    assert_eq!(image.layers.len(), 2);
}

#[test]
fn what_the_image_has_there_stays() {
    need_root();
    let bench = Bench::new();
    let own = TarBytes::new()
        .dir("dev")
        .mode(0o711)
        .file("dev/own", "of the image\n")
        .dir("proc")
        .file("proc/own", "of the image\n")
        .dir("etc")
        .file("etc/hosts", "of the image\n")
        .symlink("etc/hostname", "/proc/nowhere");
    bench.base("own", vec![busybox().unwrap(), own], json!({}));
    let text = "FROM BASE/own\n\
        RUN ls /dev/own /proc/own 2> /dev/null; echo x >> /etc/hosts; ls /proc > /dev/null; touch /a\n\
        RUN touch /b\n";
    kiln(&bench, text).run().ok();
    let image = bench.image();
    assert_eq!(
        (image.paths(2).unwrap(), image.paths(3).unwrap()),
        (vec!["a".into()], vec!["b".into()])
    );
    for name in ["dev/own", "proc/own", "etc/hosts"] {
        assert_eq!(image.text(name).unwrap(), "of the image\n");
    }
    assert_eq!(image.tree().unwrap()["dev"].mode, 0o711);
}

/// No hard link of a lower layer is changed: an overlay breaks it then (overlayfs, "index=off"), and a
/// directory does not.
#[test]
fn the_digest_is_that_of_other_isolations() {
    need_root();
    let bench = Bench::new();
    let text = "FROM BASE/busybox\n\
        RUN mkdir -p /a/b && echo c > /a/b/c && ln -s c /a/b/d && ln /a/b/c /a/e && mkfifo /a/f\n\
        RUN rm -r /var/tmp && chmod 600 /etc/group && mv /a/f /a/g\n\
        WORKDIR /w\n\
        USER nobody\n\
        RUN id > /tmp/id && cat /proc/self/status | grep Uid > /tmp/uid\n\
        USER root\n\
        RUN cp /etc/passwd /etc/copy && ls -l /dev/null | cut -c 1-10 > /mode && readlink /proc/self/cwd > /cwd\n\
        RUN true\n\
        RUN cat /proc/cpuinfo /etc/mtab > /dev/null 2>&1; echo x > /etc/hosts; touch -h /a/b/d\n";
    let digest = |isolation: &str| {
        let args = ["--isolation", isolation, "--source-date-epoch", "1700000000"];
        bench.kiln(text).args(args).run().ok().stdout
    };
    let (chroot, namespaces) = (digest("chroot"), digest("namespaces"));
    assert!(chroot.contains("sha256:"), "{chroot}");
    assert_eq!(chroot, namespaces);
}
