//! umoci and buildah unpack what kiln packed; the files are compared with the test's own reading.

use std::path::Path;

use testkit::image::{Objects, assert_same_tree};
use testkit::tree::scan;

use crate::common::tools::run;
use crate::sample::Sample;

/// A tree on disk, with the owners that the image gives. Needs root.
fn files(root: &Path) -> Objects {
    assert!(rustix::process::geteuid().is_root(), "owners can only be compared as root");
    scan(root).expect("readable")
}

#[test]
fn umoci_unpacks_the_layout() {
    let dir = tempfile::tempdir().expect("a directory");
    let layout = dir.path().join("layout").to_string_lossy().into_owned();
    let bundle = dir.path().join("bundle").to_string_lossy().into_owned();
    let sample = Sample::build(&["--oci-layout-path", &layout]);
    run("umoci", ["unpack", "--image", &format!("{layout}:1"), &bundle]);
    let found = files(&dir.path().join("bundle/rootfs"));
    assert_same_tree(&found, &sample.image().tree().expect("a tree"));
    let config = std::fs::read_to_string(dir.path().join("bundle/config.json")).expect("a file");
    let config: serde_json::Value = serde_json::from_str(&config).expect("JSON");
    assert_eq!(config["process"]["user"]["uid"], 1000, "{config}");
    assert_eq!(config["process"]["cwd"], "/data");
}

#[test]
fn buildah_pulls_and_mounts() {
    let buildah = Buildah::new();
    let sample = Sample::build(&[]);
    buildah.compare(&sample);
}

#[test]
fn buildah_builds_on_top() {
    let buildah = Buildah::new();
    let sample = Sample::build(&["--image-format=docker"]);
    let container = buildah.from(&sample);
    buildah.run(&["config", "--label", "by=buildah", &container]);
    let target = format!("docker://{}/again:1", sample.registry.host());
    let image = buildah.run(&["commit", "-q", &container]);
    buildah.run(&["push", "-q", "--tls-verify=false", image.trim(), &target]);
    let image = testkit::image::Image::from_registry(&sample.registry, "again", "1");
    let image = image.expect("the image");
    assert_eq!(image.config["config"]["Labels"]["by"], "buildah");
    assert_eq!(image.config["config"]["User"], "app");
    assert_same_tree(&image.tree().expect("a tree"), &sample.image().tree().expect("a tree"));
}

/// buildah with a storage of its own.
#[derive(Debug)]
pub struct Buildah(tempfile::TempDir);

impl Buildah {
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    pub fn run(&self, args: &[&str]) -> String {
        let dir = |name: &str| self.0.path().join(name).to_string_lossy().into_owned();
        let (root, runroot) = (dir("root"), dir("run"));
        // vfs: no mount of its storage outlives a test that fails.
        let own = ["--root", &root, "--runroot", &runroot, "--storage-driver", "vfs"];
        run("buildah", own.iter().chain(args))
    }

    /// A container of the sample; its name.
    pub fn from(&self, sample: &Sample) -> String {
        let policy = self.0.path().join("policy.json");
        let accept = r#"{"default":[{"type":"insecureAcceptAnything"}]}"#;
        std::fs::write(&policy, accept).expect("a file");
        let (policy, name) = (policy.to_string_lossy(), format!("docker://{}", sample.name()));
        let args = ["from", "-q", "--tls-verify=false", "--signature-policy", &policy, &name];
        self.run(&args).trim().to_owned()
    }

    /// Pulls the sample and compares its files.
    pub fn compare(&self, sample: &Sample) {
        let container = self.from(sample);
        let mounted = self.run(&["mount", &container]);
        let found = files(Path::new(mounted.trim()));
        self.run(&["umount", &container]);
        self.run(&["rm", &container]);
        assert_same_tree(&found, &sample.image().tree().expect("a tree"));
    }
}
