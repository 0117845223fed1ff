//! Where projects are built: base images, caches, and a look at what comes of it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use fastrand::Rng;
use kiln::cache::backend::Layout;
use kiln::cache::record;
use kiln::cancel::Cancel;
use serde_json::{Value, json};
use testkit::Registry;
use testkit::image::{Image, Object, diff_json, diff_trees};
use testkit::registry::Layer;
use testkit::tar::TarBytes;

use super::project::{Project, write};
use crate::common::built::need_root;
use crate::common::{Kiln, Outcome};

/// Its images are `base:v0` to `base:v3`, and `base:latest` is one of them.
pub struct Lab {
    pub registry: Registry,
    pub dir: tempfile::TempDir,
    bases: Vec<(Vec<Layer>, Value)>,
}

/// What came of a build.
pub struct Built {
    pub outcome: Outcome,
    /// Nothing if it failed.
    pub image: Option<Image>,
}

impl Lab {
    pub fn new() -> Self {
        need_root();
        let registry = Registry::start();
        let programs = registry.put_layer("base", &programs(&registry));
        let etc = |uid: u32| {
            let users = format!("root:x:0:0::/root:/bin/sh\nu:x:{uid}:{uid}::/home:/bin/sh\n");
            TarBytes::new().dir("etc").file("etc/passwd", users).dir("home").owner(uid.into(), 0)
        };
        let others = [
            (etc(1000).dir("w").file("w/a", "base\n").dir("x"), json!({})),
            (etc(1001).dir("v").symlink("l", "v"), json!({ "Env": ["PATH=/bin", "A=1"] })),
            (
                etc(1000).dir("w").mode(0o700).owner(5, 5).file("w/a", "base\n"),
                json!({
                    "Env": ["PATH=/bin"], "WorkingDir": "/w",
                    "OnBuild": ["COPY a* /onb/", "RUN { echo $A > /onb/run; } || true"],
                }),
            ),
            (etc(1000).dir("v").symlink("w", "/v"), json!({ "Env": ["PATH=/bin"], "User": "u" })),
        ];
        let mut bases = Vec::new();
        for (number, (layer, mut config)) in others.into_iter().enumerate() {
            if config["Env"].is_null() {
                config["Env"] = json!(["PATH=/bin"]);
            }
            let layers = vec![programs.clone(), registry.put_layer("base", &layer)];
            let config = json!({ "config": config });
            registry.add_layers("base", &format!("v{number}"), layers.clone(), config.clone());
            bases.push((layers, config));
        }
        Self { registry, bases, dir: tempfile::tempdir().unwrap() }
    }

    /// Lets `base:latest` be this image.
    pub fn move_tag(&self, number: usize) {
        let (layers, config) = self.bases[number].clone();
        self.registry.add_layers("base", "latest", layers, config);
    }

    /// Writes the files of a project.
    pub fn write(&self, project: &Project) {
        let mut files = project.files.clone();
        let ignore = project.ignore.join("\n");
        files.insert(".dockerignore".into(), super::project::Node::File(ignore, 0o644));
        write(&files, &self.path("context"));
        write(&project.named, &self.path("nc"));
        let base = format!("{}/base", self.registry.host());
        std::fs::write(self.path("Dockerfile"), project.dockerfile().replace("BASE", &base))
            .unwrap();
        self.move_tag(project.base);
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A build of what was written, whose image gets this tag.
    pub fn kiln(&self, project: &Project, tag: &str, more: &[String]) -> Kiln {
        let name = format!("{}/app:{tag}", self.registry.host());
        let nc = format!("nc={}", self.path("nc").display());
        let kiln =
            Kiln::build().context_dir(&self.path("context")).args(["--progress", "plain", "-t"]);
        let kiln =
            kiln.args([&name, "--build-context", &nc]).arg_pair("-f", self.path("Dockerfile"));
        let args = project
            .args
            .iter()
            .flat_map(|(name, value)| ["--build-arg".to_owned(), format!("{name}={value}")]);
        let target = project.target.iter().flat_map(|name| ["--target".to_owned(), name.clone()]);
        kiln.args(args.chain(target).chain(more.iter().cloned()))
    }

    pub fn build(&self, project: &Project, tag: &str, more: &[String]) -> Built {
        self.built(tag, self.kiln(project, tag, more).run())
    }

    pub fn built(&self, tag: &str, outcome: Outcome) -> Built {
        let is_good = outcome.code == Some(0);
        let image = is_good.then(|| Image::from_registry(&self.registry, "app", tag).unwrap());
        Built { outcome, image }
    }

    /// `oci:` and the directory of a cache.
    pub fn cache(&self, name: &str) -> String {
        format!("oci:{}", self.path(name).display())
    }
}

/// Programs of what commands call, and no others: a base is unpacked by every build.
const PROGRAMS: [&str; 20] = [
    "sh", "cat", "chmod", "echo", "env", "false", "find", "grep", "id", "ln", "mkdir", "mv", "pwd",
    "rm", "sed", "sort", "stat", "true", "xargs", "expr",
];

fn programs(registry: &Registry) -> TarBytes {
    let all = testkit::base::busybox().expect("busybox");
    registry.add_image("busybox", "all", vec![all], json!({}));
    let all = Image::from_registry(registry, "busybox", "all").unwrap();
    let layer = TarBytes::new().dir("bin").file("bin/busybox", all.file("bin/busybox").unwrap());
    let layer = layer.mode(0o755).dir("proc").dir("tmp").mode(0o1777);
    let link = |layer: TarBytes, name: &&str| layer.symlink(format!("bin/{name}"), "busybox");
    PROGRAMS.iter().fold(layer, link)
}

/// Forgets some results of a cache, as if others had pushed them out.
pub fn lose(rng: &mut Rng, dir: &Path, tag: &str) {
    if !dir.exists() {
        return;
    }
    let layout = Layout::new(dir.to_owned(), Cancel::default());
    let (seed, one_in) = (rng.u64(..), rng.u32(2..6));
    record::write(&layout, tag, &mut |record| {
        let mut rng = Rng::with_seed(seed);
        record.entries.retain(|_| rng.u32(..one_in) > 0);
    })
    .unwrap();
}

impl Built {
    /// Steps that had no result, by `--explain`.
    pub fn misses(&self) -> Vec<&str> {
        let told = self.outcome.stderr.lines().filter(|line| line.contains("cache: ["));
        told.filter(|line| !line.contains(": hit, made ")).collect()
    }

    pub fn hits(&self) -> usize {
        self.outcome.stderr.lines().filter(|line| line.contains(": hit, made ")).count()
    }

    /// The error at the end, without what is only this call's.
    pub fn error(&self) -> String {
        let text = &self.outcome.stderr;
        let error = text.find("error: ").map_or("", |start| &text[start..]);
        let mut parts = error.split("kiln-build-");
        let first = parts.next().unwrap_or_default().to_owned();
        parts.fold(first, |text, part| {
            let random = part.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(part.len());
            text + &part[random..]
        })
    }

    /// How it differs from another build of the same: in all but times.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let (Some(one), Some(two)) = (&self.image, &other.image) else {
            let same = self.outcome.code == other.outcome.code && self.error() == other.error();
            let told = format!("{:?} {}", self.outcome.code, self.error());
            let told = format!("{told}\n  but {:?} {}", other.outcome.code, other.error());
            return if same { Vec::new() } else { vec![told] };
        };
        let mut found = diff_trees(&one.tree().unwrap(), &two.tree().unwrap());
        found.extend(diff_json(&config(one), &config(two)));
        for number in 0..one.layers.len().max(two.layers.len()) {
            if one.layers.get(number) == two.layers.get(number) {
                continue;
            }
            let (left, right) = (entries(one, number), entries(two, number));
            let changed = left.symmetric_difference(&right);
            found.extend(changed.map(|entry| format!("layer {number}: {entry}")));
        }
        found
    }
}

/// The config without times, and digests of layers, in which there are times.
fn config(image: &Image) -> Value {
    let mut config = image.config.clone();
    config["created"] = Value::Null;
    config["rootfs"]["diff_ids"] =
        config["rootfs"]["diff_ids"].as_array().map_or(0, Vec::len).into();
    for entry in config["history"].as_array_mut().into_iter().flatten() {
        entry["created"] = Value::Null;
    }
    config
}

fn entries(image: &Image, number: usize) -> BTreeSet<String> {
    let Ok(entries) = image.entries(number) else { return BTreeSet::new() };
    entries.iter().map(|(path, object): &(String, Object)| format!("{path}: {object}")).collect()
}
