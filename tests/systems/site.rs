//! What each system has around the container: a daemon, registries, source and credentials.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::json;
use testkit::image::Image;
use testkit::process::DockerRegistry;
use testkit::{Registry, base};

use crate::common::containers::{Container, Engine};

const USER: &str = "robot";
const PASSWORD: &str = "correct-horse";

/// A place where kiln builds in a container.
pub struct Site {
    pub engine: Engine,
    base: Registry,
    registry: DockerRegistry,
    dir: tempfile::TempDir,
}

impl Site {
    /// A daemon, a registry with base images, one that asks for a password, and a directory with
    /// what is mounted: `source` with a Dockerfile that has a RUN, `credentials`, `results`.
    pub fn new() -> Self {
        let engine = Engine::start();
        let base = Registry::start();
        let config = json!({ "config": { "Env": ["PATH=/bin:/usr/bin"] } });
        base.add_image("busybox", "1", vec![base::busybox().unwrap()], config);
        let registry = DockerRegistry::builder().login(USER, PASSWORD).start().unwrap();
        let site = Self { engine, base, registry, dir: tempfile::tempdir().unwrap() };
        for name in ["source", "credentials", "results"] {
            fs::create_dir(site.path(name)).unwrap();
        }
        let dockerfile = format!(
            "FROM {}/busybox:1\n\
             ARG VERSION=0\n\
             WORKDIR /app\n\
             COPY --chown=1000 . .\n\
             RUN cat hello > made && echo $VERSION > version && chown 1000:1000 made\n\
             FROM {}/busybox:1\n\
             COPY --from=0 /app /app\n",
            site.base.host(),
            site.base.host()
        );
        fs::write(site.path("source/Dockerfile"), dockerfile).unwrap();
        fs::write(site.path("source/hello"), "hello\n").unwrap();
        fs::write(site.path("credentials/config.json"), site.credentials()).unwrap();
        site
    }

    /// A file or directory of this place.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Makes a directory that containers see.
    pub fn directory(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
        path
    }

    /// Docker's config.json for the registry.
    pub fn credentials(&self) -> String {
        let login = json!({ "username": USER, "password": PASSWORD });
        json!({ "auths": { self.registry.host(): login } }).to_string()
    }

    /// What `registry.example.com/team/app` stands for.
    pub fn image(&self) -> String {
        format!("{}/team/app", self.registry.host())
    }

    /// The arguments with what the system puts in for these names.
    pub fn fill(&self, args: &[String], values: &[(&str, &str)]) -> Vec<String> {
        let fill = |arg: &String| {
            let arg = arg.replace("registry.example.com/team/app", &self.image());
            let filled = values.iter().fold(arg, |arg, (name, value)| arg.replace(name, value));
            let left = ["$(", "{{", "example.com"].iter().any(|mark| filled.contains(mark));
            assert!(!left, "nothing stands for the name in {filled}");
            filled
        };
        args.iter().map(fill).collect()
    }

    /// A container with the source at this path, and in that directory.
    pub fn container(&self, source: &str) -> Container<'_> {
        self.engine.container().mount(&self.path("source"), source).flags(["--workdir", source])
    }

    /// The image that was pushed under this tag: the one of the source.
    #[track_caller]
    pub fn pushed(&self, tag: &str) -> Image {
        let login = Some((USER, PASSWORD));
        let image = Image::pull(self.registry.host(), "team/app", tag, login).expect("an image");
        image.verify().unwrap();
        assert_is_of_the_source(&image);
        image
    }

    /// The source is as it was: nothing is gone, nothing is new but what the test names.
    #[track_caller]
    pub fn assert_source_is_whole(&self, new: &[&str]) {
        let entries = fs::read_dir(self.path("source")).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        let mut expected = [&["Dockerfile", "hello"], new].concat();
        expected.sort_unstable();
        assert_eq!(names, expected);
        assert_eq!(fs::read_to_string(self.path("source/hello")).unwrap(), "hello\n");
    }
}

/// The image has what the source's Dockerfile makes.
#[track_caller]
pub fn assert_is_of_the_source(image: &Image) {
    assert_eq!(image.text("app/made").unwrap(), "hello\n");
    let tree = image.tree().unwrap();
    assert_eq!((tree["app/made"].uid, tree["app/hello"].uid), (1000, 1000));
}

/// A file with a digest and nothing else, not even a line's end.
#[track_caller]
pub fn digest_in(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.starts_with("sha256:") && text.len() == 71, "{text:?}");
    text
}

/// Writes a script that can be executed.
pub fn executable(path: &Path, script: &str) {
    fs::write(path, script).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}
