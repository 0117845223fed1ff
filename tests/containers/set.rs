//! The Dockerfiles of tests/isolation, what they are built from, and the digests that came of them.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::json;
use testkit::base::{self, busybox};
use testkit::tar::TarBytes;
use testkit::{Registry, tree::Tree};

/// No date in an image is later. It is after those of the base images.
pub const EPOCH: &str = "1750000000";

/// Digests by the Dockerfile's name; none where the build failed.
pub type Digests = BTreeMap<String, Option<String>>;

/// Base images in a registry, and a directory that every user can read: `context`, `files` with the
/// Dockerfiles, and `out` for what comes of them.
pub struct Set {
    pub registry: Registry,
    dir: tempfile::TempDir,
}

impl Set {
    pub fn new() -> Self {
        let registry = Registry::start();
        let config = json!({ "config": { "Env": ["PATH=/usr/local/bin:/usr/bin:/bin"] } });
        let layers = vec![busybox().unwrap(), mixed()];
        registry.add_image("library/mixed", "1", layers, config);
        let python = base::python(&base::cache_dir()).expect("a Debian with Python");
        python.add_to(&registry, "library/python", "3-slim").unwrap();
        let set = Self { registry, dir: tempfile::tempdir().unwrap() };
        open_to_all(set.dir.path());
        set.lay_out();
        set
    }

    fn lay_out(&self) {
        let package = Path::new(env!("CARGO_MANIFEST_DIR"));
        copy_files(&package.join("tests/isolation"), &self.path("files"));
        copy_files(&package.join("examples/pythonapp-flask"), &self.path("context/flask"));
        let packed = TarBytes::new().file("packed", "1").file("kept", "2").owner(7, 8);
        Tree::new()
            .file("tree/one", "one\n")
            .file("tree/sub/two", "two\n")
            .file("archive.tar", packed.finish())
            .write_to(&self.path("context"))
            .unwrap();
    }

    /// A file or directory of it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// An empty directory that everybody can write to.
    pub fn out(&self, name: &str) -> PathBuf {
        let out = self.path(name);
        fs::create_dir(&out).unwrap();
        open_to_all(&out);
        out
    }

    /// Names of the Dockerfiles, and whether a RUN is needed.
    pub fn names(&self) -> BTreeMap<String, bool> {
        let files = fs::read_dir(self.path("files")).unwrap();
        let read = |path: PathBuf| {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            let needs_run = !name.starts_with("no-run");
            (name, needs_run)
        };
        files.map(|entry| read(entry.unwrap().path())).collect()
    }

    /// Flags that each build has, wherever it is.
    pub fn flags(&self) -> Vec<String> {
        let host = self.registry.host();
        [
            "--registry-mirror",
            host,
            "--skip-default-registry-fallback",
            "--source-date-epoch",
            EPOCH,
        ]
        .iter()
        .chain(["--progress", "plain", "--tag", "app:1", "--no-push"].iter())
        .map(|flag| (*flag).to_owned())
        .collect()
    }

    /// A script that builds all with `kiln` from `/set`, and leaves a digest and a log of each in
    /// `/out`.
    pub fn script(&self) -> String {
        format!(
            "for file in /set/files/*.dockerfile; do\n\
             name=$(basename \"$file\" .dockerfile)\n\
             kiln build {} --file \"$file\" /set/context \
             > /out/$name.digest 2> /out/$name.log || rm /out/$name.digest\n\
             done\n",
            self.flags().join(" ")
        )
    }

    /// What a script has left.
    pub fn digests(&self, out: &Path) -> Digests {
        let names = self.names().into_keys();
        let digest = |name: &String| fs::read_to_string(out.join(format!("{name}.digest"))).ok();
        let digests = names.map(|name| (digest(&name), name));
        digests.map(|(digest, name)| (name, digest.map(|text| text.trim().to_owned()))).collect()
    }

    /// The log of one build.
    pub fn log(&self, out: &Path, name: &str) -> String {
        fs::read_to_string(out.join(format!("{name}.log"))).unwrap_or_default()
    }
}

/// Owners, modes and attributes for RUNs to change.
fn mixed() -> TarBytes {
    TarBytes::new()
        .dir("etc")
        .file("etc/passwd", "root:x:0:0::/root:/bin/sh\napp:x:1000:1001::/srv/app:/bin/sh\n")
        .file("etc/group", "root:x:0:\napp:x:1001:\nmore:x:1002:app\n")
        .dir("srv")
        .dir("srv/app")
        .owner(1000, 1001)
        .mode(0o2755)
        .file("srv/app/file", "of app\n")
        .owner(1000, 1001)
        .mode(0o640)
        .file("srv/app/other", "of app\n")
        .owner(1000, 1001)
        .xattr("user.note", "kept")
        .file("srv/tool", "tool")
        .owner(0, 1002)
        .mode(0o2755)
        .symlink("srv/link", "app")
        .owner(1000, 1001)
        .dir("gone")
        .owner(1000, 1001)
        .file("gone/old", "")
}

/// Copies a directory's files, of which all may be read.
fn copy_files(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

fn open_to_all(dir: &Path) {
    fs::set_permissions(dir, fs::Permissions::from_mode(0o777)).unwrap();
}
