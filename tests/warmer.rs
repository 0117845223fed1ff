//! The warmer, and builds that find their base images where it has put them.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kiln::base_cache::upkeep;
use kiln::cancel::Cancel;
use kiln::cli::{self, Environment, Invocation};
use kiln::event::{Event, Observer, Reporter};
use kiln::pipeline::{self, Built, Ground};
use kiln::request::WarmRequest;
use kiln::sandbox::{self, Choice};
use kiln::warm::{Warmed, warm};
use testkit::image::Image;
use testkit::{Action, Fault, Registry};

use crate::common::{Kiln, Outcome, bases};

/// What was said to the user.
#[derive(Default)]
struct Warnings(Mutex<Vec<String>>);

impl Observer for Warnings {
    fn on(&self, event: Event<'_>) {
        if let Event::Warning(text) = event {
            self.0.lock().expect("lock").push(text.to_owned());
        }
    }
}

impl Warnings {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().expect("lock"))
    }
}

/// A cache directory, and a registry to fill it from.
struct Bench {
    registry: Registry,
    dir: tempfile::TempDir,
    warnings: Arc<Warnings>,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("temp");
        fs::create_dir(dir.path().join("context")).expect("a directory");
        Self { registry: Registry::start(), dir, warnings: Arc::default() }
    }

    fn cache(&self) -> PathBuf {
        self.dir.path().join("cache")
    }

    fn entry(&self, digest: &str) -> PathBuf {
        self.cache().join(digest)
    }

    fn blob(&self, digest: &str, blob: &str) -> PathBuf {
        self.entry(digest).join("blobs/sha256").join(blob.trim_start_matches("sha256:"))
    }

    fn name(&self, name: &str) -> String {
        format!("{}/{name}", self.registry.host())
    }

    fn request(&self, images: &[&str]) -> WarmRequest {
        WarmRequest {
            images: images.iter().map(|name| self.name(name)).collect(),
            dockerfile: None,
            build_args: BTreeMap::new(),
            cache_dir: self.cache(),
            force: false,
            ttl: Duration::from_secs(3600),
            platform: Some("linux/amd64".into()),
            registry: Default::default(),
        }
    }

    fn try_warm(&self, request: &WarmRequest) -> anyhow::Result<Warmed> {
        self.registry.clear_requests();
        warm(request, &Reporter::new(self.warnings.clone()), &Cancel::default())
    }

    fn warm(&self, request: &WarmRequest) -> Warmed {
        self.try_warm(request).expect("warmed")
    }

    /// Builds and pushes `app:1` with the cache.
    fn try_build(&self, dockerfile: &str) -> anyhow::Result<Built> {
        self.try_build_with(dockerfile, self.warnings.clone())
    }

    fn try_build_with(
        &self,
        dockerfile: &str,
        observer: Arc<dyn Observer>,
    ) -> anyhow::Result<Built> {
        self.registry.clear_requests();
        let dir = self.dir.path();
        fs::write(dir.join("context/Dockerfile"), dockerfile).expect("a file");
        let flag = format!("--cache-dir={}", self.cache().display());
        let flags = ["--platform", "linux/amd64", "-t", &self.name("app:1"), &flag, "context"];
        let line = ["kiln", "build"].into_iter().chain(flags);
        let variables = [("TMPDIR".into(), dir.into())];
        let env = Environment::new(dir.to_owned(), variables);
        let Ok(Invocation::Build(job)) = cli::parse(line.map(Into::into), &env) else {
            panic!("a build");
        };
        let request = job.request;
        let ground = Ground {
            sandbox: sandbox::enter(Choice::None).expect("none"),
            reporter: Reporter::new(observer),
            cancel: Cancel::default(),
        };
        pipeline::build(&request, &ground)
    }

    fn build(&self, dockerfile: &str) -> Image {
        self.try_build(dockerfile).expect("built");
        let image = Image::from_registry(&self.registry, "app", "1").expect("the image");
        image.verify().expect("whole");
        image
    }

    /// Requests for manifests and blobs of the repository, as `METHOD kind`.
    fn reads(&self, repository: &str) -> Vec<String> {
        let prefix = format!("/v2/{repository}/");
        let requests = self.registry.requests();
        let own = requests.iter().filter_map(|r| Some((&r.method, r.path.strip_prefix(&prefix)?)));
        own.map(|(method, path)| format!("{method} {}", path.split('/').next().expect("a kind")))
            .collect()
    }
}

fn names(bench: &Bench, names: &[&str]) -> Vec<String> {
    names.iter().map(|name| bench.name(name)).collect()
}

fn layers(bench: &Bench, repository: &str, reference: &str) -> Vec<String> {
    let (bytes, _) = bench.registry.manifest(repository, reference).expect("a manifest");
    let manifest: serde_json::Value = serde_json::from_slice(&bytes).expect("JSON");
    let layers = manifest["layers"].as_array().expect("layers");
    layers.iter().map(|l| l["digest"].as_str().expect("a digest").to_owned()).collect()
}

/// Names in a directory but for the locks.
fn entries(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry"));
    let mut names: Vec<_> =
        names.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.retain(|name| name != ".kiln-locks");
    names.sort();
    names
}

#[test]
fn an_image_becomes_a_layout_that_other_tools_read() {
    let bench = Bench::new();
    let digest = bases::plain(&bench.registry, "base", "1");
    let warmed = bench.warm(&bench.request(&["base:1", "base:1"]));
    assert_eq!(warmed.stored, names(&bench, &["base:1"]));
    assert_eq!(entries(&bench.cache()), [digest.as_str()]);
    let image = Image::from_layout(&bench.entry(&digest), None).expect("a layout");
    image.verify().expect("whole");
    assert_eq!(image.digest, digest);
    let again = bench.warm(&bench.request(&["base:1"]));
    assert_eq!((again.stored.len(), again.present.len()), (0, 1));
    assert_eq!(bench.reads("base"), ["HEAD manifests"]);
    let request = WarmRequest { force: true, ..bench.request(&["base:1"]) };
    assert_eq!(bench.warm(&request).stored.len(), 1);
    let request = WarmRequest { ttl: Duration::ZERO, ..bench.request(&["base:1"]) };
    assert_eq!(bench.warm(&request).stored.len(), 1);
    assert_eq!(entries(&bench.cache()), [digest.as_str()]);
}

#[test]
fn a_build_takes_what_is_there_and_asks_a_tag_s_digest_only() {
    let bench = Bench::new();
    let digest = bases::plain(&bench.registry, "base", "1");
    let plain = format!("FROM {}\nCOPY Dockerfile /f\n", bench.name("base:1"));
    let expected = bench.build(&plain);
    assert!(bench.reads("base").iter().any(|read| read == "GET blobs"), "without a cache");
    bench.warm(&bench.request(&["base:1"]));
    let image = bench.build(&plain);
    assert_eq!(bench.reads("base"), ["HEAD manifests"]);
    assert_eq!(image.text("etc/base").expect("a file"), "base\n");
    assert_eq!(image.text("data/big").is_ok(), expected.text("data/big").is_ok());
    let pinned = format!("FROM {}@{digest}\nENV B=1\n", bench.name("base"));
    bench.build(&pinned);
    assert_eq!(bench.reads("base"), [""; 0]);
    assert_eq!(bench.warnings.take(), [""; 0]);
}

/// The program itself, by names, by a Dockerfile that is named and by the one that is here.
#[test]
fn kiln_warm_fills_what_builds_read() {
    let bench = Bench::new();
    let plain = bases::plain(&bench.registry, "base", "1");
    let shell = bases::busybox(&bench.registry, "shell", "1");
    let dockerfile = format!("FROM {} AS a\nFROM a\nCOPY Dockerfile /\n", bench.name("base:1"));
    let warm = |args: &[&str]| {
        let kiln = Kiln::subcommand("warm").dockerfile(&dockerfile).args(args);
        let kiln = kiln.args(["--platform", "linux/amd64"]).arg_pair("--cache-dir", bench.cache());
        let context = kiln.context();
        let (mut command, _dir) = kiln.into_bare_command();
        Outcome::from(command.current_dir(context).output().expect("kiln starts")).ok()
    };
    for args in [&[][..], &["-f", "Dockerfile"]] {
        assert_eq!(warm(args).stdout, "");
        assert_eq!(entries(&bench.cache()), [plain.as_str()], "{args:?}");
        fs::remove_dir_all(bench.cache()).expect("removed");
    }
    warm(&["-f", "Dockerfile", &bench.name("shell:1")]);
    let mut expected = [plain, shell];
    expected.sort();
    assert_eq!(entries(&bench.cache()), expected);
    bench.registry.clear_requests();
    let build = Kiln::build().dockerfile(&dockerfile).args(["--no-push", "--platform=linux/amd64"]);
    build.arg_pair("--cache-dir", bench.cache()).run().ok();
    assert_eq!(bench.reads("base"), ["HEAD manifests"]);
}

#[test]
fn layers_for_another_registry_come_from_the_cache() {
    let bench = Bench::new();
    bases::plain(&bench.registry, "base", "1");
    bench.warm(&bench.request(&["base:1"]));
    let target = Bench::new();
    fs::rename(bench.cache(), target.cache()).expect("the cache moves");
    target.build(&format!("FROM {}\nENV B=1\n", bench.name("base:1")));
    assert_eq!(
        bench.registry.requests().iter().filter(|r| r.path.contains("/blobs/")).count(),
        2 + 1
    );
    let reads = bench.reads("base");
    assert_eq!(reads.last().map(String::as_str), Some("HEAD manifests"), "{reads:?}");
}

#[test]
fn a_tag_that_moved_is_not_the_cached_image() {
    let bench = Bench::new();
    bases::plain(&bench.registry, "base", "1");
    bench.warm(&bench.request(&["base:1"]));
    let layer = testkit::tar::TarBytes::new().file("new", "new\n");
    bench.registry.add_image("base", "1", vec![layer], serde_json::json!({}));
    let image = bench.build(&format!("FROM {}\nCOPY Dockerfile /f\n", bench.name("base:1")));
    assert_eq!(image.text("new").expect("the new base"), "new\n");
}

#[test]
fn an_index_leads_to_the_image_of_the_platform_without_the_registry() {
    let bench = Bench::new();
    let amd64 = bases::plain(&bench.registry, "base", "amd64");
    let layer = testkit::tar::TarBytes::new().file("arm", "");
    let arm64 = bench.registry.add_image(
        "base",
        "arm64",
        vec![layer],
        serde_json::json!({ "architecture": "arm64", "os": "linux" }),
    );
    let images = [("linux/amd64", amd64.as_str()), ("linux/arm64", arm64.as_str())];
    let index = bench.registry.add_index("base", "1", &images);
    bench.warm(&bench.request(&["base:1"]));
    let mut expected = [amd64, index.clone()];
    expected.sort();
    assert_eq!(entries(&bench.cache()), expected);
    bench.build(&format!("FROM {}\nENV A=2\n", bench.name("base:1")));
    assert_eq!(bench.reads("base"), ["HEAD manifests"]);
    // Another platform's image is not there, which is nothing to warn of.
    let arm = format!(
        "# check=skip=FromPlatformFlagConstDisallowed\nFROM --platform=linux/arm64 {}\nENV A=2\n",
        bench.name("base:1")
    );
    bench.build(&arm);
    assert_eq!(bench.warnings.take(), [""; 0]);
    bench.build(&format!("FROM {}@{index}\nCOPY Dockerfile /f\n", bench.name("base")));
    assert_eq!(bench.reads("base"), [""; 0]);
}

#[test]
fn what_is_broken_is_a_warning_and_comes_from_the_registry() {
    let bench = Bench::new();
    let digest = bases::plain(&bench.registry, "base", "1");
    let dockerfile = format!("FROM {}\nCOPY Dockerfile /etc/\n", bench.name("base:1"));
    let layer = layers(&bench, "base", "1").remove(0);
    let same_length = |path: &Path| {
        let length = fs::metadata(path).expect("a file").len();
        fs::write(path, vec![7; usize::try_from(length).expect("small")]).expect("written");
    };
    let damages: [(&dyn Fn(), &str); 5] = [
        (&|| same_length(&bench.blob(&digest, &layer)), "cannot be used, so it is downloaded"),
        (&|| fs::write(bench.blob(&digest, &layer), "short").expect("written"), "is damaged"),
        (&|| fs::remove_file(bench.blob(&digest, &layer)).expect("removed"), "is incomplete"),
        (&|| same_length(&bench.blob(&digest, &digest)), "is damaged"),
        (
            &|| fs::remove_dir_all(bench.entry(&digest).join("blobs")).expect("removed"),
            "incomplete",
        ),
    ];
    for (damage, saying) in damages {
        bench.warm(&WarmRequest { force: true, ..bench.request(&["base:1"]) });
        damage();
        let image = bench.build(&dockerfile);
        assert_eq!(image.text("etc/base").expect("a file"), "base\n");
        let warnings = bench.warnings.take();
        assert!(matches!(&warnings[..], [one] if one.contains(saying)), "{saying}: {warnings:?}");
        assert!(bench.reads("base").iter().any(|read| read == "GET blobs"), "{saying}");
    }
    // The warmer replaces what it can see to be broken.
    assert_eq!(bench.warm(&bench.request(&["base:1"])).stored.len(), 1);
    bench.build(&dockerfile);
    assert_eq!(bench.reads("base"), ["HEAD manifests"]);
}

/// Takes the cache away as soon as the build has found its base image there.
struct Prunes(PathBuf, Arc<Warnings>);

impl Observer for Prunes {
    fn on(&self, event: Event<'_>) {
        if let Event::Finished { .. } = event {
            for image in upkeep::kept(&self.0).expect("readable") {
                upkeep::remove(&self.0, &image).expect("removed");
            }
        }
        self.1.on(event);
    }
}

#[test]
fn a_build_goes_on_when_what_it_found_is_taken_away() {
    let bench = Bench::new();
    bases::plain(&bench.registry, "base", "1");
    bench.warm(&bench.request(&["base:1"]));
    assert_eq!(upkeep::kept(&bench.cache()).expect("readable").len(), 1);
    let prunes = Arc::new(Prunes(bench.cache(), bench.warnings.clone()));
    let dockerfile = format!("FROM {}\nCOPY Dockerfile /etc/\n", bench.name("base:1"));
    bench.try_build_with(&dockerfile, prunes).expect("built");
    let image = Image::from_registry(&bench.registry, "app", "1").expect("the image");
    image.verify().expect("whole");
    assert_eq!(image.text("etc/base").expect("a file"), "base\n");
    assert_eq!(upkeep::kept(&bench.cache()).expect("readable"), []);
    let warnings = bench.warnings.take();
    let told = |warning: &String| warning.contains("cannot be used, so it is downloaded");
    assert!(warnings.iter().all(told), "{warnings:?}");
    assert!(bench.reads("base").iter().any(|read| read == "GET blobs"));
}

#[test]
fn builds_warmers_and_prunes_at_once_disturb_nobody() {
    let bench = Bench::new();
    let digest = bases::plain(&bench.registry, "base", "1");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let prunes = || {
            while !done.load(Ordering::Relaxed) {
                for image in upkeep::kept(&bench.cache()).expect("readable") {
                    upkeep::remove(&bench.cache(), &image).expect("removed");
                }
                upkeep::remove_leftovers(&bench.cache()).expect("removed");
                std::thread::sleep(Duration::from_millis(2));
            }
        };
        let warms = || {
            for _ in 0..8 {
                let request = WarmRequest { force: true, ..bench.request(&["base:1"]) };
                warm(&request, &Reporter::new(bench.warnings.clone()), &Cancel::default())
                    .expect("warmed");
            }
        };
        scope.spawn(prunes);
        let warmers: Vec<_> = (0..4).map(|_| scope.spawn(warms)).collect();
        let dockerfile = format!("FROM {}\nCOPY Dockerfile /etc/\n", bench.name("base:1"));
        for _ in 0..4 {
            let image = bench.build(&dockerfile);
            assert_eq!(image.text("etc/base").expect("a file"), "base\n");
        }
        warmers.into_iter().for_each(|warmer| warmer.join().expect("warmed"));
        done.store(true, Ordering::Relaxed);
    });
    bench.warm(&bench.request(&["base:1"]));
    assert_eq!(entries(&bench.cache()), [digest.as_str()]);
}

#[test]
fn every_image_of_a_dockerfile_is_wanted() {
    let bench = Bench::new();
    for name in ["a", "b", "c"] {
        let layer = testkit::tar::TarBytes::new().file(name, name);
        bench.registry.add_image(name, "1", vec![layer], serde_json::json!({}));
    }
    let dockerfile = "ARG NAME=none\nFROM HOST/${NAME}:1 AS first\nFROM HOST/b:1\n\
                      FROM first\nCOPY --from=HOST/c:1 c /c\nFROM scratch\nENV A=1\n";
    let path = bench.dir.path().join("Dockerfile");
    fs::write(&path, dockerfile.replace("HOST", bench.registry.host())).expect("a file");
    let build_args = BTreeMap::from([("NAME".to_owned(), "a".to_owned())]);
    let request = WarmRequest { dockerfile: Some(path), build_args, ..bench.request(&["b:1"]) };
    let mut stored = bench.warm(&request).stored;
    stored.sort();
    assert_eq!(stored, names(&bench, &["a:1", "b:1", "c:1"]));
}

#[test]
fn one_image_that_cannot_be_had_is_a_warning_and_all_are_an_error() {
    let bench = Bench::new();
    bases::plain(&bench.registry, "base", "1");
    let warmed = bench.warm(&bench.request(&["gone:1", "base:1"]));
    assert_eq!(warmed.failed, names(&bench, &["gone:1"]));
    assert_eq!(warmed.stored, names(&bench, &["base:1"]));
    let warnings = bench.warnings.take();
    assert!(matches!(&warnings[..], [one] if one.contains("gone:1 is not in the cache: ")));
    let error = bench.try_warm(&bench.request(&["gone:1", "gone:2"])).expect_err("none");
    assert!(format!("{error:#}").contains("no image could be brought into"), "{error:#}");
    let error = bench.try_warm(&bench.request(&[])).expect_err("none");
    assert!(error.to_string().contains("there is no image to put into"), "{error}");
}

#[test]
fn a_download_that_fails_leaves_nothing_and_an_old_image_stays() {
    let bench = Bench::new();
    let digest = bases::plain(&bench.registry, "base", "1");
    bench.registry.fault(Fault::on("GET", "/blobs/", Action::CorruptBody).always());
    bench.try_warm(&bench.request(&["base:1"])).expect_err("corrupt");
    assert_eq!(entries(&bench.cache()), [""; 0]);
    bench.registry.clear_faults();
    bench.warm(&bench.request(&["base:1"]));
    let layer = layers(&bench, "base", "1").remove(0);
    bench.registry.fault(Fault::on("GET", &layer, Action::CorruptBody).always());
    let request = WarmRequest { force: true, ..bench.request(&["base:1"]) };
    bench.try_warm(&request).expect_err("corrupt");
    let image = Image::from_layout(&bench.entry(&digest), None).expect("a layout");
    image.verify().expect("whole");
    assert_eq!(entries(&bench.cache()), [digest.as_str()]);
}

#[test]
fn warmers_side_by_side_download_an_image_once() {
    let bench = Bench::new();
    let digest = bases::plain(&bench.registry, "base", "1");
    let layer = layers(&bench, "base", "1").remove(0);
    let slow = Action::Delay(Duration::from_millis(300));
    bench.registry.fault(Fault::on("GET", &layer, slow));
    let request = bench.request(&["base:1"]);
    let stored: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    let warmed = warm(&request, &Reporter::silent(), &Cancel::default());
                    warmed.expect("warmed").stored.len()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
    });
    assert_eq!(stored, 1);
    assert_eq!(bench.reads("base").iter().filter(|read| *read == "GET blobs").count(), 3 + 2);
    assert_eq!(entries(&bench.cache()), [digest.as_str()]);
}
