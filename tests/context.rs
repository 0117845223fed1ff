//! Where the context is, and where the build's own files are.

mod common;

#[path = "context/archives.rs"]
mod archives;

use common::Kiln;
use testkit::image::Image;

#[test]
fn a_context_may_be_named_by_a_link() {
    let kiln = Kiln::build().dockerfile("FROM scratch\nCOPY f /f\n").file("f", "x");
    let link = kiln.dir().join("link");
    std::os::unix::fs::symlink("context", &link).expect("linked");
    kiln.context_dir(&link).args(["--no-push"]).run().ok();
}

#[test]
fn a_work_directory_in_the_context_is_refused() {
    let kiln = Kiln::build().dockerfile("FROM scratch\nCOPY . /\n");
    let inside = kiln.context().join("work");
    let said = kiln.args(["--no-push".as_ref(), "--work-dir".as_ref(), inside.as_os_str()]).run();
    said.fails(1, "is inside the context, so that COPY would find the build's own files");
}

#[test]
fn a_temporary_directory_in_the_context_is_not_copied() {
    let layouts = tempfile::tempdir().expect("a directory");
    let layout = layouts.path().join("layout");
    let kiln = Kiln::build().dockerfile("FROM scratch\nCOPY . /\n").file("tmp/f", "x");
    let inside = kiln.context().join("tmp");
    let kiln = kiln.env("TMPDIR", &inside);
    kiln.args(["--no-push".as_ref(), "--oci-layout-path".as_ref(), layout.as_os_str()]).run().ok();
    let image = Image::from_layout(&layout, None).expect("a layout");
    assert_eq!(image.paths(0).expect("a layer"), ["Dockerfile", "tmp", "tmp/f"]);
}
