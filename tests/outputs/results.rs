//! Files that tell programs what was made, and flags of what is made anew.

use serde_json::Value;
use testkit::Registry;
use testkit::image::Image;

use crate::common::Kiln;

#[test]
fn the_id_is_the_configs_digest() {
    let registry = Registry::start();
    let name = format!("{}/app", registry.host());
    let (outcome, dir) = Kiln::build()
        .dockerfile("FROM scratch\nCOPY Dockerfile /\n")
        .args(["-t", &name, "--iidfile", "new/iid", "--metadata-file", "meta.json"])
        .run_and_keep();
    let digest = outcome.ok().stdout.trim().to_owned();
    let image = Image::from_registry(&registry, "app", "latest").expect("the image");
    let id = image.manifest["config"]["digest"].as_str().expect("a digest");
    let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).expect("there");
    assert_eq!(read("new/iid"), id, "without a line end");
    let meta: Value = serde_json::from_str(&read("meta.json")).expect("JSON");
    assert_eq!(meta["containerimage.config.digest"], id);
    assert_eq!(meta["containerimage.digest"], digest);
    assert_eq!(meta["image.name"], format!("{name}:latest"));
    let descriptor = &meta["containerimage.descriptor"];
    assert_eq!(descriptor["digest"], digest);
    assert_eq!(descriptor["mediaType"], image.manifest["mediaType"]);
    assert_eq!(descriptor["platform"]["os"], "linux");
    let (bytes, _) = registry.manifest("app", "latest").expect("a manifest");
    assert_eq!(descriptor["size"], bytes.len());
}

#[test]
fn nothing_is_taken_from_earlier_builds_and_slips_are_named() {
    let outcome = Kiln::build()
        .dockerfile("FROM scratch AS Base\nCOPY Dockerfile /\n")
        .args(["--no-push", "--pull", "--no-cache", "--no-cache-filter", "base,0,tests"])
        .run()
        .ok();
    assert!(outcome.stderr.contains("no stage is called `tests`"), "{outcome}");
    assert!(!outcome.stderr.contains("`base`") && !outcome.stderr.contains("`0`"), "{outcome}");
}
