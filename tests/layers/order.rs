//! Names and their order.

use std::collections::BTreeSet;

use testkit::tree::Tree;

use super::raw::{Entry, entries};
use crate::common::built::{Bench, need_root};

/// Sorted, relative, each directory before what is in it, nothing twice.
#[track_caller]
fn check(entries: &[Entry]) {
    let mut seen = BTreeSet::new();
    let mut last = String::new();
    for entry in entries {
        let path = entry.path.trim_end_matches('/');
        assert!(!path.is_empty() && !path.starts_with('/'), "{path}");
        assert!(!path.split('/').any(|name| matches!(name, "" | "." | "..")), "{path}");
        assert_eq!(entry.path.ends_with('/'), entry.kind == b'5', "{path}");
        assert!(seen.insert(path.to_owned()), "{path} is there twice");
        if let Some((parent, _)) = path.rsplit_once('/') {
            let in_base = !entries.iter().any(|other| other.path.trim_end_matches('/') == parent);
            assert!(in_base || seen.contains(parent), "{path} comes before its directory");
        }
        // By names, as a walk finds them; a whiteout has the place of what it removes.
        let name = |name: &str| name.strip_prefix(".wh.").unwrap_or(name).to_owned();
        let key = |path: &str| path.split('/').map(name).collect::<Vec<_>>();
        assert!(last.is_empty() || key(&last) < key(path), "{last} comes before {path}");
        last = path.to_owned();
        assert_eq!(&entry.magic, b"ustar\x0000", "{path}");
        assert_eq!((&*entry.user, &*entry.group), ("", ""), "{path}");
    }
}

#[test]
fn a_runs_layer_is_sorted_and_relative() {
    need_root();
    let bench = Bench::new();
    let image = bench.build(
        "FROM BASE/busybox\n\
         RUN mkdir -p z/y a/b a.b 'a b' && touch z/y/x a/b/c a.b/c a-b zz a/é 'a b/c' && \
             rm -r /home && ln -s /z /z/link\n",
    );
    let found = entries(&bench.registry, &image, 1);
    check(&found);
    assert!(found.iter().any(|entry| entry.path == "a/é"), "{found:?}");
    assert!(found.iter().any(|entry| entry.path == ".wh.home"), "{found:?}");
}

#[test]
fn a_copys_layer_is_sorted_and_relative() {
    let bench = Bench::new();
    let kiln = bench.kiln("FROM BASE/busybox\nCOPY tree /srv/deep/down/\n");
    let tree = Tree::new()
        .file("z/y/x", "")
        .file("a/b/c", "")
        .file("a.b/c", "")
        .file("a-b", "")
        .symlink("a/link", "/etc")
        .dir("empty")
        .fifo("pipe");
    std::fs::create_dir(kiln.context().join("tree")).unwrap();
    tree.write_to(&kiln.context().join("tree")).unwrap();
    kiln.run().ok();
    let found = entries(&bench.registry, &bench.image(), 1);
    check(&found);
    let paths: Vec<_> = found.iter().map(|entry| entry.path.as_str()).collect();
    assert_eq!(paths[..4], ["srv/", "srv/deep/", "srv/deep/down/", "srv/deep/down/a/"]);
}

#[test]
fn long_names_and_others_than_ascii_are_whole() {
    need_root();
    let bench = Bench::new();
    let name = "n".repeat(255);
    let deep = vec!["directory"; 60].join("/");
    let image = bench.build(&format!(
        "FROM BASE/busybox\n\
         RUN mkdir -p /{deep} && touch /{deep}/{name} && ln -s /{deep}/{name} /link && \
             ln /{deep}/{name} /hard && printf x > \"$(printf 'latin\\351')\"\n",
    ));
    let found = entries(&bench.registry, &image, 1);
    let whole = format!("{deep}/{name}");
    assert!(found.iter().any(|entry| entry.path == whole || entry.link == whole), "{found:?}");
    let link = found.iter().find(|entry| entry.path == "link").unwrap();
    assert_eq!(link.link, format!("/{whole}"));
    let tree = image.tree().unwrap();
    assert_eq!(tree["hard"].same_as, tree[&whole].same_as);
    assert!(tree.keys().any(|path| path == "latin\u{fffd}"), "{:?}", tree.keys());
}
