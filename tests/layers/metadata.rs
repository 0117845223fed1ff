//! Owners, modes, times, attributes, links, sparse files.

use std::fs::{File, FileTimes};
use std::time::{Duration, SystemTime};

use testkit::base::busybox;
use testkit::image::Kind;
use testkit::tar::TarBytes;
use testkit::tree::Tree;

use super::raw::entries;
use crate::common::built::{Bench, need_root};

/// cap_net_bind_service=ep as the kernel stores it (capabilities(7), VFS_CAP_REVISION_2).
const CAPABILITY: [u8; 20] = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

#[test]
fn attributes_and_capabilities_go_through_run_and_copy() {
    need_root();
    let bench = Bench::new();
    let marked = TarBytes::new()
        .file("bin/tool", "1")
        .mode(0o755)
        .xattr("security.capability", CAPABILITY)
        .xattr("user.note", "hello")
        .dir("marked")
        .xattr("user.dir", "yes");
    bench.base("marked", vec![busybox().unwrap(), marked], serde_json::json!({}));
    let image = bench.build(
        "FROM BASE/marked AS with-run\n\
         RUN touch -d '2001-01-01' /bin/tool /marked\n\
         FROM BASE/marked\n\
         COPY --from=with-run /bin/tool /copied\n\
         COPY --from=BASE/marked /bin/tool /straight\n\
         COPY --from=with-run /bin/tool /again/\n\
         RUN touch -d '2002-02-02' /copied\n",
    );
    let tree = image.tree().unwrap();
    for path in ["bin/tool", "copied", "straight", "again/tool"] {
        assert_eq!(tree[path].xattrs["security.capability"], CAPABILITY, "{path}");
        assert_eq!(tree[path].xattrs["user.note"], b"hello", "{path}");
        assert_eq!(tree[path].xattrs.len(), 2, "{path}: {:?}", tree[path].xattrs);
    }
    assert_eq!(tree["marked"].xattrs["user.dir"], b"yes");
    let run = bench.build("FROM BASE/marked\nRUN touch -d '2001-01-01' /bin/tool /marked\n");
    let layer = entries(&bench.registry, &run, 2);
    let tool = layer.iter().find(|entry| entry.path == "bin/tool").unwrap();
    assert!(tool.pax.contains_key("SCHILY.xattr.security.capability"), "{tool:?}");
}

#[test]
fn hard_links_within_a_step_stay_links() {
    need_root();
    let bench = Bench::new();
    let kiln = bench.kiln(
        "FROM BASE/busybox\n\
         RUN echo one > /b && ln /b /a && mkdir /c && ln /b /c/d\n\
         COPY links /links\n",
    );
    let tree = Tree::new().file("links/x", "two").hardlink("links/y", "links/x");
    tree.write_to(&kiln.context()).unwrap();
    kiln.run().ok();
    let image = bench.image();
    let tree = image.tree().unwrap();
    for (path, first) in [("a", "a"), ("b", "a"), ("c/d", "a"), ("links/x", "links/x")] {
        assert_eq!(tree[path].same_as.as_deref(), Some(first), "{path}");
    }
    assert_eq!(tree["links/y"].same_as.as_deref(), Some("links/x"));
    let kinds: Vec<_> = entries(&bench.registry, &image, 1)
        .iter()
        .map(|entry| (entry.path.clone(), entry.kind, entry.link.clone()))
        .collect();
    let expected = [("a", b'0', ""), ("b", b'1', "a"), ("c/", b'5', ""), ("c/d", b'1', "a")];
    assert_eq!(kinds, expected.map(|(path, kind, link)| (path.into(), kind, link.into())));
}

#[test]
fn a_link_to_a_file_of_the_base_is_complete() {
    need_root();
    let bench = Bench::new();
    let image = bench.build("FROM BASE/busybox\nRUN ln /etc/passwd /passwd\n");
    let tree = image.tree().unwrap();
    assert_eq!(tree["passwd"].sha256, tree["etc/passwd"].sha256);
    assert!(tree["passwd"].size > 0);
}

#[test]
fn sparse_files_are_plain_data() {
    need_root();
    let bench = Bench::new();
    let kiln = bench.kiln(
        "FROM BASE/busybox\n\
         RUN truncate -s 3000000 /sparse && printf end >> /sparse\n\
         COPY holes /\n",
    );
    let holes = File::create(kiln.context().join("holes")).unwrap();
    holes.set_len(5_000_000).unwrap();
    kiln.run().ok();
    let image = bench.image();
    for (layer, path, size) in [(1, "sparse", 3_000_003), (2, "holes", 5_000_000)] {
        let found = entries(&bench.registry, &image, layer);
        let [entry] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!((&*entry.path, entry.kind, entry.size), (path, b'0', size));
        assert!(!entry.pax.keys().any(|key| key.contains("sparse")), "{entry:?}");
    }
    assert!(image.file("sparse").unwrap().ends_with(b"\0end"));
}

#[test]
fn large_ids_and_odd_modes_are_kept() {
    need_root();
    let bench = Bench::new();
    let image = bench.build(
        "FROM BASE/busybox\n\
         RUN touch /a && chown 3000000:4000000000 /a && chmod 4751 /a && mkfifo /pipe && \
             mkdir -m 3777 /d && mknod -m 660 /null c 1 3 && ln -s a /s && chown -h 7:8 /s\n\
         COPY --chown=2500000:2097152 Dockerfile /b\n",
    );
    let tree = image.tree().unwrap();
    let ids = |path: &str| (tree[path].uid, tree[path].gid);
    assert_eq!((ids("a"), tree["a"].mode), ((3_000_000, 4_000_000_000), 0o4751));
    assert_eq!(ids("b"), (2_500_000, 2_097_152));
    assert_eq!((ids("s"), tree["d"].mode), ((7, 8), 0o3777));
    assert_eq!((tree["pipe"].kind, tree["null"].kind), (Kind::Fifo, Kind::CharDevice));
    assert_eq!((tree["null"].device, tree["null"].mode), ((1, 3), 0o660));
    let b = &entries(&bench.registry, &image, 2)[0];
    assert_eq!((&*b.pax["uid"], &*b.pax["gid"]), ("2500000", "2097152"), "{b:?}");
}

#[test]
fn fractions_of_a_second_are_kept() {
    need_root();
    let bench = Bench::new();
    let kiln = bench.kiln(
        "FROM BASE/busybox\n\
         COPY file /copied\n\
         RUN chmod 600 /copied && stat -c %y /copied > /seen\n",
    );
    let path = kiln.context().join("file");
    let time = SystemTime::UNIX_EPOCH + Duration::new(1_600_000_000, 123_456_789);
    let file = File::create(&path).unwrap();
    file.set_times(FileTimes::new().set_modified(time)).unwrap();
    kiln.run().ok();
    let image = bench.image();
    let copied = &entries(&bench.registry, &image, 1)[0];
    assert_eq!(
        copied.pax.get("mtime").map(String::as_str),
        Some("1600000000.123456789"),
        "{copied:?}"
    );
    assert!(image.text("seen").unwrap().contains(":40.123456789"));
    let kept = entries(&bench.registry, &image, 2);
    let kept = kept.iter().find(|entry| entry.path == "copied").unwrap();
    assert_eq!(kept.pax["mtime"], "1600000000.123456789");
}

#[test]
fn parents_of_a_change_have_their_own_metadata() {
    need_root();
    let bench = Bench::new();
    let dirs = TarBytes::new()
        .dir("srv")
        .owner(11, 12)
        .mode(0o2750)
        .mtime(1_000_000_000)
        .xattr("user.a", "b")
        .dir("srv/in")
        .owner(13, 14)
        .mode(0o711)
        .file("srv/in/file", "old");
    bench.base("dirs", vec![busybox().unwrap(), dirs], serde_json::json!({}));
    let image = bench.build(
        "FROM BASE/dirs\n\
         RUN echo new > /srv/in/file\n\
         COPY Dockerfile /srv/in/copied\n",
    );
    let tree = image.tree().unwrap();
    for layer in [2, 3] {
        let found = image.entries(layer).unwrap();
        let dir = |path: &str| &found.iter().find(|(found, _)| found == path).unwrap().1;
        let (srv, inner) = (dir("srv"), dir("srv/in"));
        assert_eq!((srv.uid, srv.gid, srv.mode), (11, 12, 0o2750), "layer {layer}");
        assert_eq!((inner.uid, inner.gid, inner.mode), (13, 14, 0o711), "layer {layer}");
        assert_eq!(srv.xattrs["user.a"], b"b", "layer {layer}");
        assert_eq!(srv.mtime, 1_000_000_000, "layer {layer}");
    }
    assert_eq!((tree["srv"].uid, tree["srv/in"].mode), (11, 0o711));
}
