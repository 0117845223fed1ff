//! The registries of one case, the image that travels, and what must hold whatever happens.

use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::digest::sha256;
use testkit::image::Image;
use testkit::registry::Builder;
use testkit::tar::TarBytes;
use testkit::{Fault, Registry};

use crate::common::bases;

/// Who may push where a registry asks.
pub const USER: &str = "ci";
pub const PASSWORD: &str = "correct horse battery";

/// Where the image comes from, where it goes, and a server that has no business with either.
#[derive(Debug)]
pub struct World {
    pub source: Registry,
    pub target: Registry,
    pub elsewhere: Registry,
    pub dir: TempDir,
}

impl World {
    /// `source` and `target` are as they are set up; all three have the image `base:1`.
    pub fn new(source: Builder, target: Builder) -> Self {
        let (source, target) = (source.start(), target.start());
        let elsewhere = Registry::start();
        for registry in [&source, &target, &elsewhere] {
            seed(registry);
        }
        Self { source, target, elsewhere, dir: tempfile::tempdir().expect("a directory") }
    }

    /// A config.json with the credentials for both registries.
    pub fn logins(&self) -> String {
        let login = json!({ "username": USER, "password": PASSWORD });
        let auths = json!({ self.source.host(): login, self.target.host(): login });
        json!({ "auths": auths }).to_string()
    }

    /// A text without what differs from run to run.
    pub fn plain(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (registry, name) in
            [(&self.source, "SOURCE"), (&self.target, "TARGET"), (&self.elsewhere, "ELSEWHERE")]
        {
            if let Some(storage) = registry.storage_host() {
                text = text.replace(storage, &format!("STORAGE-OF-{name}"));
            }
            text = text.replace(registry.host(), name);
            let port = registry.host().trim_start_matches("127.0.0.1");
            text = text.replace(&format!("localhost{port}"), &format!("ALIAS-OF-{name}"));
        }
        text = text.replace(&*self.dir.path().to_string_lossy(), "DIR");
        ["sha256:", "upload-", "push layer "]
            .iter()
            .fold(text, |text, it| without_numbers(&text, it))
    }

    /// What is wrong now, whatever the case expects.
    pub fn problems(&self, open_uploads: usize) -> Vec<String> {
        let mut problems = Vec::new();
        for (registry, name) in [(&self.source, "SOURCE"), (&self.target, "TARGET")] {
            for repo in registry.repositories() {
                for tag in registry.tags(&repo) {
                    let whole = Image::from_registry(registry, &repo, &tag)
                        .and_then(|image| image.verify());
                    if let Err(error) = whole {
                        problems.push(format!("{name}/{repo}:{tag} is not complete: {error:#}"));
                    }
                }
            }
        }
        let open = self.target.open_uploads() + self.source.open_uploads();
        if open != open_uploads {
            problems.push(format!("{open} uploads are open"));
        }
        let told = |registry: &Registry, path: &str| {
            registry.requests().iter().any(|r| r.had_auth && r.path.starts_with(path))
        };
        if told(&self.elsewhere, "") || told(&self.target, "/storage") {
            problems.push("credentials went elsewhere".into());
        }
        problems
    }
}

/// Replaces the digits of digests and the like.
fn without_numbers(text: &str, before: &str) -> String {
    let mut parts = text.split(before);
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_hexdigit());
        // A word may go on with a letter that is a digit too, such as that of `--upload-chunk-size`.
        let (mark, rest) = if part.len() - rest.len() > 1 { ("…", rest) } else { ("", part) };
        text + before + mark + rest
    })
}

/// An image of two layers, with all its bytes.
#[derive(Debug, Clone)]
pub struct Seed {
    pub layers: Vec<Vec<u8>>,
    pub config: Vec<u8>,
    pub manifest: Vec<u8>,
}

pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
/// Content of the larger layer: more than one buffer, and nothing that compresses.
const LARGE: usize = 300_000;

impl Seed {
    pub fn new() -> Self {
        Self::with(bases::noise(LARGE, 9))
    }

    /// One whose larger layer has a bit more than 12 MiB.
    pub fn large() -> Self {
        Self::with(vec![0; 12 << 20])
    }

    fn with(content: Vec<u8>) -> Self {
        let lower = TarBytes::new().dir("etc").file("etc/large", content).finish();
        let upper = TarBytes::new().dir("etc").file("etc/small", "small\n").finish();
        let layers = vec![lower, upper];
        let diff_ids: Vec<_> = layers.iter().map(|layer| sha256(layer)).collect();
        let config = json!({
            "architecture": "amd64", "os": "linux", "config": {},
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
        });
        let config = config.to_string().into_bytes();
        let described: Vec<_> = layers.iter().map(|layer| descriptor(LAYER, layer)).collect();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": descriptor(CONFIG, &config),
            "layers": described,
        });
        Self { layers, config, manifest: manifest.to_string().into_bytes() }
    }
}

pub fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({ "mediaType": media_type, "digest": sha256(bytes), "size": bytes.len() })
}

fn seed(registry: &Registry) {
    let seed = Seed::new();
    for blob in seed.layers.iter().chain([&seed.config]) {
        registry.put_blob("base", blob);
    }
    registry.put_manifest("base", "1", MANIFEST, &seed.manifest);
}

/// A fault for paths that end so.
pub fn ending(method: &str, end: &'static str, action: testkit::Action) -> Fault {
    Fault::when(method, move |path| path.ends_with(end), action)
}
