//! The kernel's overlayfs shows what [`Index`] says, and writes what [`diff_upper`] reads.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use super::testing::{Layer, Snapshot, is_root, ownership, snapshot};
use super::{Extract, Index, Root, View, Whiteouts, extract};

/// Set for the process that may mount.
const INSIDE: &str = "KILN_TEST_IN_MOUNT_NAMESPACE";

#[test]
fn overlayfs_agrees() {
    in_namespaces("rootfs::overlay_tests::in_a_mount_namespace");
}

/// Runs an ignored test in a mount namespace of its own, and in a user namespace too where that is
/// needed. Where the machine allows neither, there is nothing to see.
pub(super) fn in_namespaces(test: &str) {
    let flags = if is_root() { "-m" } else { "-Urm" };
    let allowed = Command::new("unshare").args([flags, "true"]).output();
    if !allowed.is_ok_and(|output| output.status.success()) {
        return;
    }
    let output = Command::new("unshare")
        .args([flags, "--propagation", "private"])
        .arg(std::env::current_exe().expect("this test"))
        .args([test, "--exact", "--ignored", "--nocapture"])
        .env(INSIDE, flags)
        .output()
        .expect("starts");
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}\n{errors}");
    assert!(text.contains("1 passed"), "{text}\n{errors}");
}

/// Directories on a file system of their own, as overlayfs wants them.
pub(super) struct Mounts {
    dir: tempfile::TempDir,
    pub(super) userxattr: bool,
}

impl Mounts {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        mount("tmpfs", dir.path(), "tmpfs", MountFlags::empty(), None).expect("tmpfs");
        let userxattr = std::env::var(INSIDE).expect("set") != "-m";
        Self { dir, userxattr }
    }

    pub(super) fn dir(&self, name: &str) -> Root {
        let path = self.dir.path().join(name);
        fs::create_dir_all(&path).expect("made");
        Root::open(&path).expect("opens")
    }

    /// Mounts as kiln does.
    pub(super) fn overlay(&self, at: &str, lower: &[&Root], upper: &Root) -> Root {
        let at = self.dir(at);
        let name = upper.path().file_name().expect("a name");
        let work = self.dir(&format!("work-{}", name.display()));
        let lower: Vec<_> = lower.iter().map(|root| root.path().display().to_string()).collect();
        let mut options = format!(
            "lowerdir={},upperdir={},workdir={},redirect_dir=off,metacopy=off",
            lower.join(":"),
            upper.path().display(),
            work.path().display()
        );
        if self.userxattr {
            options = options.replace(",redirect_dir=off,metacopy=off", ",userxattr");
        }
        let options = std::ffi::CString::new(options).expect("no NUL");
        mount("overlay", at.path(), "overlay", MountFlags::empty(), &*options).expect("mounted");
        // The directory that was opened is the one below the mount.
        Root::open(at.path()).expect("opens")
    }
}

impl Drop for Mounts {
    fn drop(&mut self) {
        let _ = unmount(self.dir.path(), UnmountFlags::DETACH);
    }
}

fn base() -> [Layer; 2] {
    [
        Layer::default()
            .dir("etc")
            .file("etc/passwd", "root:x:0:0::/root:/bin/sh\n")
            .dir("lib")
            .file("lib/one", "1")
            .file("lib/two", "2")
            .dir("lib/sub")
            .file("lib/sub/deep", "deep")
            .dir("replaced")
            .file("replaced/by-file", "")
            .symlink("bin", "usr/bin")
            .file("usr/bin/tool", "tool")
            .file("same", "same")
            .file("untouched", "untouched")
            .file("linked", "linked")
            .dir("tmp")
            .meta(|meta| meta.mode = 0o1777)
            .dir("opaque")
            .file("opaque/old", ""),
        Layer::default()
            .file("lib/.wh.two", "")
            .file("bin/other", "the link is gone")
            .file("opaque/.wh..wh..opq", "")
            .file("opaque/new", "")
            .file("tmp/file", ""),
    ]
}

/// What a command may do, through the mount.
fn run_command(at: &Path) {
    let path = |name: &str| at.join(name);
    let write = |name: &str, content: &str| fs::write(path(name), content).expect("written");
    write("new", "new");
    write("etc/passwd", "root:x:0:0::/root:/bin/sh\nme:x:1:1::/:\n");
    fs::remove_file(path("lib/one")).expect("removed");
    fs::remove_dir_all(path("replaced")).expect("removed");
    write("replaced", "a file");
    // A directory of the same name again: overlayfs makes it opaque.
    fs::remove_dir_all(path("opaque")).expect("removed");
    fs::create_dir(path("opaque")).expect("made");
    write("opaque/newest", "");
    fs::hard_link(path("linked"), path("second")).expect("linked");
    fs::hard_link(path("new"), path("lib/new")).expect("linked");
    symlink("/nowhere", path("lib/link")).expect("made");
    fs::set_permissions(path("usr/bin/tool"), fs::Permissions::from_mode(0o4755)).expect("set");
    // Opened for writing, and nothing written.
    drop(fs::OpenOptions::new().append(true).open(path("same")).expect("opens"));
    fs::rename(path("tmp/file"), path("tmp/renamed")).expect("renamed");
    write("tmp/short-lived", "");
    fs::remove_file(path("tmp/short-lived")).expect("removed");
    fs::create_dir(path("empty")).expect("made");
    fs::remove_dir_all(path("lib/sub")).expect("removed");
}

#[test]
#[ignore = "run by `overlayfs_agrees` in a mount namespace"]
fn in_a_mount_namespace() {
    let mounts = Mounts::new();
    let style = super::Overlay { userxattr: mounts.userxattr };
    let whiteouts = Whiteouts::Overlay { userxattr: style.userxattr };
    let mut index = Index::default();
    let mut lower = Vec::new();
    for (number, layer) in base().iter().enumerate() {
        let root = mounts.dir(&format!("layer{number}"));
        let policy = Extract::new(whiteouts, ownership());
        let done = extract(&mut layer.entries(), &root, &policy).expect("unpacks");
        index.apply(&mut layer.entries()).expect("applies");
        for dir in done.implicit_dirs {
            let meta = index.lstat(&dir).expect("readable").expect("there").meta;
            root.set_metadata(&dir, &meta, ownership()).expect("set");
        }
        lower.insert(0, root);
    }
    let lower: Vec<_> = lower.iter().collect();

    let below = mounts.overlay("below", &lower, &mounts.dir("upper-of-below"));
    assert_eq!(snapshot(&below, false), snapshot(&index, false));

    let upper = mounts.dir("upper");
    let merged = mounts.overlay("merged", &lower, &upper);
    run_command(merged.path());
    let after: Snapshot = snapshot(&merged, true);
    drop(merged);

    let mut sink = super::properties::Collect::default();
    let none = BTreeSet::new();
    let stats = super::diff_upper(&upper, &below, style, &none, &mut sink).expect("a layer");
    let layer = sink.0;
    let left_out: Vec<&str> = vec!["same", "untouched", "tmp/short-lived"];
    for (entry, _) in &layer.0 {
        assert!(!left_out.iter().any(|path| entry.path == Path::new(path)), "{entry:?}");
    }
    assert_eq!(stats.unchanged, 1, "{layer:?}");

    // What is mounted in a tree is not removed with it.
    let around = mounts.dir("around");
    let inside = mounts.dir("around/dir/inside");
    mount("tmpfs", inside.path(), "tmpfs", MountFlags::empty(), None).expect("tmpfs");
    fs::write(inside.path().join("somebodys"), "").expect("written");
    around.remove_tree(Path::new("dir")).expect_err("a mount is in it");
    assert!(inside.path().join("somebodys").exists());

    // The same layer on top of the same layers is the same image.
    let again = mounts.dir("again");
    for layer in base().iter().chain([&layer]) {
        let policy = Extract::new(Whiteouts::Apply, ownership());
        extract(&mut layer.entries(), &again, &policy).expect("unpacks");
    }
    assert_eq!(snapshot(&again, true), after);
}
