//! Marks of deletion with odd names.

use testkit::image::Image;
use testkit::tar::TarBytes;

use crate::arena::{IMAGE_WAYS, Way, attack};

#[test]
fn odd_names_remove_nothing_outside() {
    for name in [".wh..", ".wh...", ".wh.", "a/.wh..", "etc/.wh...", ".wh..wh.", ".wh..wh..wh.x"] {
        for way in IMAGE_WAYS {
            let (bench, outcome) = attack(&[TarBytes::new().file(name, "")], way);
            if outcome.code == Some(1) {
                bench.assert_nothing_pushed(&outcome);
                assert!(outcome.stderr.contains(".wh."), "{name} {way:?} {outcome}");
            }
        }
    }
}

#[test]
fn auxiliary_marks_of_aufs_are_passed_over() {
    let archive = TarBytes::new().dir(".wh..wh.plnk").file(".wh..wh.plnk/1.2", "x").file("a", "");
    for way in IMAGE_WAYS {
        let (_, outcome) = attack(std::slice::from_ref(&archive), way);
        assert_eq!(outcome.code, Some(0), "{way:?} {outcome}");
    }
}

#[test]
fn a_mark_through_a_link_stays_inside() {
    let layers = [
        TarBytes::new().symlink("evil", "/etc"),
        TarBytes::new().whiteout("evil/passwd").opaque("evil"),
    ];
    for way in IMAGE_WAYS {
        attack(&layers, way);
    }
}

#[test]
fn an_opaque_root_hides_all_that_is_below() {
    let layers =
        [TarBytes::new().file("old", ""), TarBytes::new().file(".wh..wh..opq", "").file("new", "")];
    for way in [Way::CopyInto, Way::CopyFrom] {
        let (bench, outcome) = attack(&layers, way);
        assert_eq!(outcome.code, Some(0), "{way:?} {outcome}");
        let image = Image::from_registry(&bench.registry, "app", "1").expect("an image");
        let tree = image.tree().expect("a tree");
        assert!(tree.contains_key("new") && !tree.contains_key("old"), "{:?}", tree.keys());
    }
    // Below a RUN there is no shell left to run it.
    let (bench, outcome) = attack(&layers, Way::Run);
    assert_ne!(outcome.code, Some(0), "{outcome}");
    bench.assert_nothing_pushed(&outcome);
}

#[test]
fn a_mark_with_content_is_a_mark() {
    let archive =
        TarBytes::new().file("tmp/.wh.x", "content").dir(".wh.etc").symlink(".wh.bin", "/");
    for way in IMAGE_WAYS {
        attack(std::slice::from_ref(&archive), way);
    }
}

#[test]
fn an_object_and_its_mark_in_one_layer() {
    let before = TarBytes::new().whiteout("etc").dir("etc").file("etc/new", "");
    let after = TarBytes::new().dir("etc").file("etc/new", "").whiteout("etc");
    for archive in [before, after] {
        for way in IMAGE_WAYS {
            attack(std::slice::from_ref(&archive), way);
        }
    }
}
