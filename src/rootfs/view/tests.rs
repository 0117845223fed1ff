use super::*;
use crate::rootfs::Index;
use crate::rootfs::testing::{Layer, Sandbox, ownership};
use crate::rootfs::{Extract, Whiteouts, extract};

/// Links are followed as the kernel does it in a chroot, whichever view is asked.
#[test]
fn paths_lead_where_they_would_in_a_container() {
    let layer = Layer::default()
        .file("usr/bin/tool", "")
        .symlink("bin", "usr/bin")
        .symlink("abs", "/usr/../bin")
        .symlink("out", "../../../usr")
        .symlink("tool", "bin/tool")
        .symlink("dangling", "usr/new/file")
        .symlink("loop", "loop")
        .symlink("usr/up", "..");
    let mut index = Index::default();
    index.apply(&mut layer.entries()).expect("applies");
    let sandbox = Sandbox::new();
    let policy = Extract::new(Whiteouts::Apply, ownership());
    extract(&mut layer.entries(), &sandbox.root, &policy).expect("unpacks");
    let views: [&dyn View; 2] = [&index, &sandbox.root];
    for view in views {
        for (path, follow, expected, exists) in [
            ("", true, "", true),
            ("/", true, "", true),
            ("bin/tool", true, "usr/bin/tool", true),
            ("/abs/./tool", true, "usr/bin/tool", true),
            ("out/bin", true, "usr/bin", true),
            ("tool", true, "usr/bin/tool", true),
            ("tool", false, "tool", true),
            ("bin", false, "bin", true),
            ("bin/", false, "bin", true),
            ("usr/up/usr/up/bin/tool", true, "usr/bin/tool", true),
            ("bin/../tool", false, "usr/tool", false),
            ("../../bin/..", true, "usr", true),
            ("dangling", true, "usr/new/file", false),
            ("dangling", false, "dangling", true),
            ("bin/new/deep", true, "usr/bin/new/deep", false),
            ("nothing/../bin", true, "usr/bin", true),
        ] {
            let found = resolve(view, Path::new(path), follow).expect("leads somewhere");
            assert_eq!(found.path, Path::new(expected), "{path}");
            assert_eq!(found.entry.is_some(), exists, "{path}");
        }
        let fails = |path: &str| resolve(view, Path::new(path), true).expect_err("no way");
        assert!(matches!(fails("loop"), ViewError::Loop(_)));
        assert!(matches!(fails("loop/x"), ViewError::Loop(_)));
        assert!(matches!(fails("tool/x"), ViewError::NotADirectory(_)));
        assert!(resolve(view, Path::new("loop"), false).is_ok());
    }
}
