//! A project in several versions, and whether an image is that of a version.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use kiln::digest::Digest;
use testkit::Registry;
use testkit::image::Image;
use testkit::tar::TarBytes;

use crate::common::built::need_root;
use crate::common::{Kiln, bases};

/// Each uuid is copied on and on, by commands and out of other stages: a result that was taken from
/// another build than the one below it shows.
const DOCKERFILE: &str = "\
FROM BASE/base AS build
WORKDIR /src
COPY big small ./
RUN cat big small > joined; cat /proc/sys/kernel/random/uuid > /one
RUN sha256sum joined > sums; cp /one /two
FROM BASE/base
COPY --from=build /two /
RUN cp /two /three
COPY --from=build /src/sums /one /
COPY own /
";
/// Steps of the image that a cache can have. Those of the other stage are not looked at then.
pub const STEPS: usize = 4;
/// Layers of the base.
const BASE_LAYERS: usize = 1;
const BIG: usize = 300_000;
/// Versions that have the same files in their first stage.
pub const SIBLINGS: usize = 2;

/// The versions, and where they are built.
pub struct Project {
    pub registry: Registry,
    pub temp: tempfile::TempDir,
}

impl Project {
    pub fn new() -> Self {
        need_root();
        let registry = Registry::start();
        base(&registry);
        let temp = tempfile::tempdir().expect("a directory");
        for dir in ["work", "out"] {
            fs::create_dir(temp.path().join(dir)).expect("a directory");
        }
        Self { registry, temp }
    }

    /// What builds have for their temporary files, together.
    pub fn work(&self) -> PathBuf {
        self.temp.path().join("work")
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.temp.path().join(name)
    }

    /// A build of a version, made before.
    pub fn kiln(&self, version: usize) -> Kiln {
        Kiln::build()
            .context_dir(&self.context(version))
            .env("TMPDIR", self.work())
            .args(["--progress", "plain"])
    }

    fn context(&self, version: usize) -> PathBuf {
        self.path(&format!("version-{version}"))
    }

    /// Writes the files of a version.
    pub fn make(&self, version: usize) {
        let dir = self.context(version);
        fs::create_dir(&dir).expect("a directory");
        let base = format!("{}/", self.registry.host());
        let write = |name: &str, bytes: &[u8]| fs::write(dir.join(name), bytes).expect("a file");
        write("Dockerfile", DOCKERFILE.replace("BASE/", &base).as_bytes());
        for (name, bytes) in files(version) {
            write(name, &bytes);
        }
    }
}

/// An image with what the commands of these tests need, and nothing more: it is unpacked very often.
pub fn base(registry: &Registry) {
    let program = fs::read("/bin/busybox").expect("busybox");
    let mut tar = TarBytes::new();
    for dir in ["bin", "dev", "etc", "proc", "sys", "tmp"] {
        tar = tar.dir(dir);
    }
    tar = tar.file("bin/busybox", program).mode(0o755);
    let names = "sh cat cp sha256sum head ls grep mv rm echo wc tail";
    for name in names.split(' ') {
        tar = tar.symlink(format!("bin/{name}"), "busybox");
    }
    registry.add_image("base", "latest", vec![tar], bases::busybox_config());
}

fn files(version: usize) -> [(&'static str, Vec<u8>); 3] {
    let seed = (version / SIBLINGS) as u64 + 1;
    [
        ("big", bases::noise(BIG, seed)),
        ("small", bases::noise(2000, 1000 + seed)),
        ("own", format!("version {version}\n").into_bytes()),
    ]
}

/// Checks all that a version's image has; gives its uuid.
pub fn check(image: &Image, version: usize) -> Result<String, String> {
    image.verify().map_err(|error| format!("{error:#}"))?;
    let found = above_the_base(image)?;
    let [big, small, own] = files(version).map(|(_, bytes)| bytes);
    let joined = Digest::of(&[big, small].concat());
    let uuid = found.get("one").cloned().unwrap_or_default();
    let expected = BTreeMap::from([
        ("one".to_owned(), uuid.clone()),
        ("two".to_owned(), uuid.clone()),
        ("three".to_owned(), uuid.clone()),
        ("sums".to_owned(), format!("{}  joined\n", joined.hex()).into_bytes()),
        ("own".to_owned(), own),
    ]);
    let text = String::from_utf8_lossy(&uuid).into_owned();
    if found != expected || text.len() != 37 {
        return Err(format!("version {version} has\n{}", listed(&found)));
    }
    Ok(text)
}

fn above_the_base(image: &Image) -> Result<BTreeMap<String, Vec<u8>>, String> {
    let mut found = BTreeMap::new();
    for layer in BASE_LAYERS..image.layers.len() {
        let layer = image.layer(layer).map_err(|error| format!("{error:#}"))?;
        let mut tar = tar::Archive::new(layer);
        for entry in tar.entries().map_err(|error| error.to_string())? {
            let mut entry = entry.map_err(|error| error.to_string())?;
            let path = entry.path().map_err(|error| error.to_string())?.display().to_string();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).map_err(|error| error.to_string())?;
            if entry.header().entry_type().is_file() {
                found.insert(path, bytes);
            }
        }
    }
    Ok(found)
}

fn listed(files: &BTreeMap<String, Vec<u8>>) -> String {
    let line = |(name, bytes): (&String, &Vec<u8>)| {
        format!("  {name}: {}\n", String::from_utf8_lossy(bytes).trim_end())
    };
    files.iter().map(line).collect()
}

/// The image of a layout under a tag, or its only one.
pub fn of_layout(dir: &Path, tag: Option<&str>) -> Result<Image, String> {
    Image::from_layout(dir, tag).map_err(|error| format!("{error:#}"))
}

/// Steps that a build took from a cache.
pub fn cached(log: &str) -> usize {
    log.matches(" skipped: cached").count()
}
