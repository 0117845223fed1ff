//! Builds on top of a busybox image, and a look at what came of them.

use serde_json::{Value, json};
use testkit::Registry;
use testkit::base::busybox;
use testkit::image::Image;
use testkit::tar::TarBytes;

use super::Kiln;

/// The PATH of the busybox image.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A registry with the image `busybox`, for builds that push `app:1` to it.
///
/// In Dockerfiles `BASE/` stands for the registry, as in `FROM BASE/busybox`.
#[derive(Debug)]
pub struct Bench {
    pub registry: Registry,
}

impl Bench {
    pub fn new() -> Self {
        let bench = Self { registry: Registry::start() };
        bench.base("busybox", vec![busybox().expect("busybox")], json!({}));
        bench
    }

    /// Adds an image of these layers. PATH is set unless the config sets variables.
    pub fn base(&self, name: &str, layers: Vec<TarBytes>, mut config: Value) {
        if config["Env"].is_null() {
            config["Env"] = json!([format!("PATH={PATH}")]);
        }
        self.registry.add_image(name, "latest", layers, json!({ "config": config }));
    }

    /// A build of this Dockerfile.
    pub fn kiln(&self, dockerfile: &str) -> Kiln {
        let base = format!("{}/", self.registry.host());
        Kiln::build().dockerfile(&dockerfile.replace("BASE/", &base)).args([
            "-t",
            &self.name(),
            "--progress",
            "plain",
        ])
    }

    /// Where builds are pushed.
    pub fn name(&self) -> String {
        format!("{}/app:1", self.registry.host())
    }

    /// What was pushed last.
    pub fn image(&self) -> Image {
        Image::from_registry(&self.registry, "app", "1").expect("an image was pushed")
    }

    /// Builds this Dockerfile, which must succeed.
    #[track_caller]
    pub fn build(&self, dockerfile: &str) -> Image {
        self.kiln(dockerfile).run().ok();
        self.image()
    }

    /// What a shell command in a RUN prints to standard output.
    #[track_caller]
    pub fn prints(&self, command: &str) -> String {
        let command = command.replace('\n', "; ");
        self.build(&format!("FROM BASE/busybox\nRUN ({command}) > /out\n"))
            .text("out")
            .expect("/out")
    }
}

/// These tests make namespaces and devices.
pub fn need_root() {
    assert!(rustix::process::geteuid().is_root(), "this test needs root");
}
