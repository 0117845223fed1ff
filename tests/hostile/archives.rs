//! Archives with members that want out, or want more than there is.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;
use testkit::image::{Image, Kind};
use testkit::tar::TarBytes;

use crate::arena::{IMAGE_WAYS, WAYS, Way, accepted, attack, refused, run};
use crate::common::bench::Bench;

/// From a layer's directory to beside the work directory.
const OUT: &str = "../../../../canary";

#[test]
fn members_with_dots_are_refused() {
    for path in [OUT, "a/../../evil", "..", "./../evil", "a/.."] {
        refused(&[TarBytes::new().file(path, "evil")], &WAYS, "`..`");
    }
    refused(&[TarBytes::new().dir("a").hardlink("a/x", OUT)], &WAYS, "`..`");
}

#[test]
fn absolute_members_land_in_the_image() {
    let archive = TarBytes::new().file("/usr/evil", "x").file("//tmp/evil", "x").dir("/");
    accepted(std::slice::from_ref(&archive), &WAYS);
    let (bench, _) = attack(&[archive], Way::Add);
    let tree = Image::from_registry(&bench.registry, "app", "1").expect("an image").tree();
    let tree = tree.expect("a tree");
    assert!(tree.contains_key("usr/evil") && tree.contains_key("tmp/evil"), "{:?}", tree.keys());
}

#[test]
fn nothing_is_written_through_a_symbolic_link() {
    for target in ["/", "/etc", "..", "../../../..", "/proc/self/root/etc", "/proc/self/cwd"] {
        let inside = TarBytes::new().symlink("evil", target).file("evil/passwd", "x");
        let above = [
            TarBytes::new().symlink("evil", target),
            TarBytes::new().file("evil/passwd", "x").file("evil/canary", "x"),
        ];
        for way in WAYS {
            attack(std::slice::from_ref(&inside), way);
            attack(&above, way);
        }
    }
}

#[test]
fn a_directory_that_becomes_a_link_between_its_files() {
    let inside = TarBytes::new()
        .dir("a")
        .file("a/one", "1")
        .symlink("a", "/etc")
        .file("a/passwd", "evil")
        .dir("a")
        .file("a/two", "2");
    let between = [
        TarBytes::new().dir("a").dir("a/b").file("a/b/c", "1"),
        TarBytes::new().symlink("a/b", "/etc"),
        TarBytes::new().file("a/b/passwd", "evil").whiteout("a/b/shadow"),
    ];
    for way in WAYS {
        attack(std::slice::from_ref(&inside), way);
        attack(&between, way);
    }
}

#[test]
fn a_link_in_the_place_of_the_destination_stays_in_the_image() {
    let bench = Bench::new();
    for (number, target) in
        ["/etc", "../../../../../../etc", "/proc/self/root/etc"].iter().enumerate()
    {
        let tag = number.to_string();
        let layer = TarBytes::new().dir("etc").dir("proc").symlink("app", target);
        bench.registry.add_image("base", &tag, vec![layer], json!({}));
        let text = format!("FROM REGISTRY/base:{tag}\nCOPY Dockerfile /app/evil\n");
        run(bench.kiln(&text));
    }
    let image = Image::from_registry(&bench.registry, "app", "1").expect("the last one");
    assert!(!image.paths(image.layers.len() - 1).expect("paths").iter().any(|p| p.contains("..")));
}

#[test]
fn hard_links_reach_nothing_outside() {
    for target in ["/etc/passwd", "/proc/self/exe", "etc/../../canary"] {
        let archive = TarBytes::new().hardlink("evil", target);
        for way in WAYS {
            let (bench, outcome) = attack(std::slice::from_ref(&archive), way);
            if outcome.code == Some(0) {
                let image = Image::from_registry(&bench.registry, "app", "1").expect("an image");
                let own = std::fs::read_to_string("/etc/passwd").expect("users");
                let text = image.text("evil").unwrap_or_default();
                assert_ne!(text, own, "{way:?} {target}");
            }
        }
    }
    // To a link that leads out, which the next member would write through.
    let archive = TarBytes::new()
        .symlink("way", "/etc/passwd")
        .hardlink("evil", "way")
        .file("evil", "through the link");
    for way in WAYS {
        attack(std::slice::from_ref(&archive), way);
    }
}

#[test]
fn a_hard_link_to_nothing_names_both() {
    let archive = TarBytes::new().hardlink("usr/evil", "no/such/file");
    refused(&[archive], &[Way::Run, Way::CopyInto, Way::CopyFrom, Way::Add], "no/such/file");
}

#[test]
fn devices_arrive_as_what_they_are() {
    let archive = TarBytes::new().char_device("dev/evil", 1, 1).block_device("sda", 8, 0).fifo("p");
    for way in IMAGE_WAYS {
        attack(std::slice::from_ref(&archive), way);
    }
    let (bench, outcome) = attack(&[archive], Way::Add);
    if outcome.code == Some(0) {
        let image = Image::from_registry(&bench.registry, "app", "1").expect("an image");
        let tree = image.tree().expect("a tree");
        assert!(matches!(tree["p"].kind, Kind::Fifo), "{:?}", tree["p"]);
    }
}

#[test]
fn a_device_like_a_whiteout_of_the_overlay_removes_nothing_else() {
    // 0:0 is what the overlay itself uses for a deleted file.
    let archive = TarBytes::new().char_device("etc/passwd", 0, 0).char_device("evil", 0, 0);
    for way in WAYS {
        attack(std::slice::from_ref(&archive), way);
    }
}

#[test]
fn attributes_of_the_overlay_mean_nothing() {
    let mut archive = TarBytes::new().dir("etc");
    for name in ["trusted.overlay.opaque", "user.overlay.opaque", "user.overlay.redirect"] {
        archive = archive.xattr(name, if name.ends_with("opaque") { "y" } else { "/bin" });
    }
    archive = archive.file("evil", "").xattr("trusted.overlay.metacopy", "");
    let (bench, outcome) = attack(&[archive], Way::Run);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let image = Image::from_registry(&bench.registry, "app", "1").expect("an image");
    assert!(image.tree().expect("a tree").contains_key("etc/passwd"));
}

#[test]
fn records_of_any_size_take_no_memory() {
    let huge = vec![b'x'; 40 << 20];
    refused(&[TarBytes::new().file("a", "").pax("comment", &huge)], &WAYS, "limit");
    refused(&[TarBytes::new().file("a", "").pax("path", &huge)], &WAYS, "limit");
    refused(&[TarBytes::new().file("a", "").xattr("user.big", &huge)], &WAYS, "limit");
}

#[test]
fn records_that_lie_are_refused() {
    let lies: [(&str, &[u8]); 6] = [
        ("size", b"99999999999999999999999"),
        ("size", b"-1"),
        ("mtime", b"never"),
        ("uid", b"99999999999"),
        ("path", b"a\0b"),
        ("linkpath", b"\0"),
    ];
    for (key, value) in lies {
        for way in WAYS {
            attack(&[TarBytes::new().file("a", "content").pax(key, value)], way);
        }
    }
    for raw in [&b"x\x80garbage"[..], &[0xff; 1024], b"7 a=b\n"] {
        for way in WAYS {
            attack(&[TarBytes::new().raw(raw).file("a", "")], way);
        }
    }
}

#[test]
fn a_member_that_is_larger_than_its_archive() {
    let archive = TarBytes::new().file("a", "short").raw_header(|header| {
        header[124..136].copy_from_slice(b"77777777777\0");
    });
    refused(&[archive], &IMAGE_WAYS, "");
}

#[test]
fn an_archive_without_an_end_is_an_archive() {
    let bench = Bench::new();
    let whole = TarBytes::new().file("a", "x").unfinished();
    bench.kiln("FROM scratch\nADD a.tar /\n").file("a.tar", whole).run().ok();
}

#[test]
fn zeros_that_compress_well_are_only_passed_through() {
    // 1 GiB of nothing in 1 MB: no limit is broken, and neither is the memory.
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    let zeros = vec![0; 1 << 20];
    let file = TarBytes::new().file("zeros", "").raw_header(|header| {
        header[124..136].copy_from_slice(b"10000000000\0");
    });
    gzip.write_all(&file.unfinished()).expect("written");
    for _ in 0..1024 {
        gzip.write_all(&zeros).expect("written");
    }
    gzip.write_all(&[0; 1024]).expect("written");
    let bench = Bench::new();
    let kiln = bench.kiln("FROM scratch\nADD bomb.tar.gz /\n");
    let kiln = kiln.file("bomb.tar.gz", gzip.finish().expect("written"));
    run(kiln).ok();
}

#[test]
fn fifty_thousand_entries_are_fine() {
    let mut archive = TarBytes::new();
    for number in 0..50_000 {
        archive = archive.file(format!("d{}/f{number}", number % 100), "");
    }
    accepted(&[archive], &WAYS);
}

#[test]
fn paths_of_any_depth_end_well() {
    let deep = "d/".repeat(1500) + "file";
    for way in WAYS {
        let (_, outcome) = attack(&[TarBytes::new().file(&deep, "x")], way);
        assert_eq!(outcome.code, Some(0), "{way:?} {outcome}");
    }
    let deeper = "d/".repeat(10_000) + "file";
    let long = "x".repeat(300);
    for path in [deeper, long] {
        for way in WAYS {
            let (bench, outcome) = attack(&[TarBytes::new().file(&path, "x")], way);
            if outcome.code != Some(0) {
                bench.assert_nothing_pushed(&outcome);
            }
        }
    }
}

#[test]
fn names_of_any_bytes_do_not_reach_the_terminal() {
    let archive = TarBytes::new()
        .file("\u{1b}]0;owned\u{7}", "")
        .file(b"\xff\xfe\x1b[2J", "")
        .file("new\nline", "")
        .hardlink("z", "\u{1b}[31mnothing");
    for way in WAYS {
        attack(std::slice::from_ref(&archive), way);
    }
}

#[test]
fn the_root_can_only_be_a_directory() {
    for archive in [
        TarBytes::new().file("", "x"),
        TarBytes::new().file("./", "x"),
        TarBytes::new().file(".", "x"),
        TarBytes::new().symlink(".", "/etc"),
        TarBytes::new().hardlink(".", "etc"),
        TarBytes::new().char_device("./", 1, 3),
    ] {
        for way in WAYS {
            attack(std::slice::from_ref(&archive), way);
        }
    }
}
