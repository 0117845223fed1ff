//! `kiln cache du` and `kiln cache prune`: the real program at real caches.

mod common;

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kiln::cache::backend::{Layout, Registry as RegistryPlace};
use kiln::cache::record::{self, About, Detail, KeptLayer, Rivals};
use kiln::cache::{Backend, Content, Entry, Key};
use kiln::cancel::Cancel;
use kiln::digest::Digest;
use kiln::image::Descriptor;
use kiln::registry::{Client, Options, Reference};
use serde_json::{Value, json};
use testkit::{Action, Fault, Registry};

use crate::common::{Kiln, Outcome};

const DAY: u64 = 24 * 3600;

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

/// Puts a result there whose layer has so many bytes, and that was used so many days ago.
fn add(place: &dyn Backend, tag: &str, name: &str, bytes: usize, days: u64) {
    let layer = common::bases::noise(bytes, name.bytes().map(u64::from).sum());
    let kind = "application/vnd.oci.image.layer.v1.tar+gzip";
    let descriptor = Descriptor::new(kind, Digest::of(&layer), layer.len() as u64);
    place.keep(&descriptor, Content::Bytes(&layer), None, &|_| {}).expect("kept");
    let entry = Entry {
        facts: kiln::cache::facts::Facts::default(),
        key: Key(Digest::of(name.as_bytes())),
        below: Digest::of(b"below"),
        sources: Vec::new(),
        layer: Some(KeptLayer { descriptor, diff_id: Digest::of(name.as_bytes()) }),
        created: "2026-01-01T00:00:00Z".into(),
        used: now() - days * DAY,
        about: About { step: name.to_owned(), inputs: Vec::new() },
    };
    record::write(place, tag, &mut |record| record.merge(vec![entry.clone()], Rivals::Keep))
        .expect("written");
}

/// Puts a travelling mount there.
fn add_mount(place: &dyn Backend, tag: &str, bytes: usize) {
    let part = common::bases::noise(bytes, 7);
    let kind = "application/octet-stream";
    let part_of = Descriptor::new(kind, Digest::of(&part), part.len() as u64);
    place.keep(&part_of, Content::Bytes(&part), None, &|_| {}).expect("kept");
    let config = Descriptor::new("application/vnd.oci.empty.v1+json", Digest::of(b"{}"), 2);
    place.keep(&config, Content::Bytes(b"{}"), None, &|_| {}).expect("kept");
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    let manifest = json!({
        "schemaVersion": 2, "mediaType": media_type,
        "config": config, "layers": [part_of],
        "annotations": {
            "dev.kiln.cache-mount.version": "1",
            "dev.kiln.cache-mount.saved": "1577836800",
        },
    });
    let document = kiln::cache::backend::Document {
        bytes: manifest.to_string().into_bytes(),
        media_type: media_type.into(),
    };
    place.update(tag, &mut |_| Ok(Some(document.clone()))).expect("written");
}

fn steps(place: &dyn Backend, tag: &str) -> Vec<String> {
    let record = record::read(place, tag, Detail::About).expect("read");
    let mut steps: Vec<_> = record.entries.into_iter().map(|entry| entry.about.step).collect();
    steps.sort();
    steps
}

fn run<S: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = S>) -> Outcome {
    run_bare(Kiln::subcommand("cache").args(args))
}

fn run_bare(kiln: Kiln) -> Outcome {
    let (mut command, _dir) = kiln.into_bare_command();
    Outcome::from(command.output().expect("kiln starts"))
}

fn succeeds(args: &[&str]) -> String {
    let outcome = run(args);
    assert_eq!(outcome.code, Some(0), "{args:?}: {}", outcome.stderr);
    outcome.stdout
}

/// As if nobody had used a blob for two hours.
fn age(layout: &Path) {
    for entry in fs::read_dir(layout.join("blobs/sha256")).expect("readable").flatten() {
        let file = fs::File::options().append(true).open(entry.path()).expect("writable");
        file.set_modified(SystemTime::now() - Duration::from_secs(7200)).expect("changed");
    }
}

#[test]
fn a_directory_tells_what_it_has_and_gives_some_of_it_up() {
    let temp = tempfile::tempdir().expect("temp");
    let dir = temp.path().join("cache");
    let layout = Layout::new(dir.clone(), Cancel::default());
    for (name, bytes, days) in [("old", 300_000, 10), ("middle", 200_000, 5), ("new", 100_000, 0)] {
        add(&layout, "kiln", name, bytes, days);
    }
    add(&layout, "main", "other", 50_000, 30);
    add_mount(&layout, "kiln-mount-0f", 40_000);
    let place = format!("oci:{}", dir.display());
    age(&dir);
    let shown = succeeds(&["du", &place]);
    for part in [
        place.as_str(),
        "3 results",
        "600.0 kB",
        "used just now, the oldest 10 days ago",
        "kiln-mount-0f (RUN cache)",
        "1 part",
        "40.0 kB",
        "that nothing leads to",
        "total",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(!shown.contains("main"), "{shown}");
    assert!(succeeds(&["du", &format!("{place}:main")]).contains("50.0 kB"));
    let json: Value = serde_json::from_str(&succeeds(&["du", "--json", &place])).expect("JSON");
    assert_eq!(json[0]["place"], place);
    assert_eq!(json[0]["things"][0]["kind"], "results");
    assert_eq!(json[0]["things"][0]["count"], 3);
    assert_eq!(json[0]["things"][1]["kind"], "travelling-mount");
    assert_eq!(json[0]["things"][1]["used"]["newest"], 1_577_836_800);

    // First only said, then done.
    let old = ["--older-than", "72h", "--keep", "250k"];
    let prune = |more: &[&str]| succeeds(&[&["prune", place.as_str()], more].concat());
    let said = prune(&[&old[..], &["--dry-run"]].concat());
    assert!(said.contains("would be taken away"), "{said}");
    assert_eq!(steps(&layout, "kiln"), ["middle", "new", "old"]);
    let done = prune(&old);
    // The mount is of 2020, and goes first; then what is older, until the rest fits.
    assert!(done.contains("2 results and 1 RUN cache (540.0 kB) taken away"), "{done}");
    assert!(done.contains("freed"), "{done}");
    assert_eq!(steps(&layout, "kiln"), ["new"]);
    assert_eq!(layout.names().expect("an index"), ["main", "kiln"]);
    assert!(prune(&old).contains("nothing taken away"));
    // What a build has used just now stays until later.
    add(&layout, "kiln", "newest", 10_000, 0);
    let all = prune(&[]);
    assert!(all.contains("2 results (110.0 kB) taken away"), "{all}");
    assert!(all.contains("used within the hour"), "{all}");
    assert_eq!(layout.names().expect("an index"), ["main"]);
    assert_eq!(steps(&layout, "main"), ["other"]);
    age(&dir);
    assert!(prune(&[]).contains("freed"));
    assert_eq!(layout.blobs_and_loose().expect("read").1.blobs, 0);
}

/// A registry, and a place in it.
fn registry() -> (Registry, RegistryPlace, String) {
    let registry = Registry::start();
    let name = format!("{}/app/cache", registry.host());
    let reference: Reference = name.parse().expect("a name");
    let client = Client::new(Options::default(), Cancel::default()).expect("a client");
    (registry, RegistryPlace::new(client, reference.repository()), name)
}

#[test]
fn a_repository_has_a_smaller_record_or_none() {
    let (registry, place, name) = registry();
    add(&place, "kiln", "old", 30_000, 10);
    add(&place, "kiln", "new", 20_000, 0);
    add(&place, "kiln-arm64", "arm", 10_000, 0);
    add(&place, "v1", "image", 10_000, 0);
    let shown = succeeds(&["du", &name]);
    assert!(shown.contains("50.0 kB") && shown.contains("kiln-arm64"), "{shown}");
    assert!(!shown.contains("v1") && shown.contains("60.0 kB"), "{shown}");
    assert!(succeeds(&["du", &format!("{name}:v1")]).contains("10.0 kB"));
    let done = succeeds(&["prune", "--older-than", "72h", &name]);
    assert!(done.contains("1 result (30.0 kB) taken away"), "{done}");
    assert!(done.contains("collects its garbage"), "{done}");
    assert_eq!(steps(&place, "kiln"), ["new"]);
    // All of a record is its tag, too.
    succeeds(&["prune", &format!("{name}:kiln")]);
    assert!(registry.manifest("app/cache", "kiln").is_none());
    assert!(registry.manifest("app/cache", "kiln-arm64").is_some());
    // Where the registry does not allow that, an empty record stays.
    let refusal = Action::Status {
        code: 405,
        headers: Vec::new(),
        body: r#"{"errors":[{"code":"UNSUPPORTED"}]}"#.into(),
    };
    registry.fault(Fault::on("DELETE", "/manifests/", refusal).always());
    let done = succeeds(&["prune", &name]);
    assert!(done.contains("the tag kiln-arm64 stays: ") && done.contains("405"), "{done}");
    assert_eq!(steps(&place, "kiln-arm64"), [""; 0]);
    assert!(registry.manifest("app/cache", "v1").is_some());
    // A repository that does not exist is an empty cache.
    let none = format!("{}/none", registry.host());
    assert!(succeeds(&["du", &none]).contains("empty"));
    assert!(succeeds(&["prune", &none]).contains("nothing taken away"));
}

#[test]
fn what_a_build_writes_while_a_prune_looks_on_stays() {
    let (registry, place, name) = registry();
    add_mount(&place, "kiln-mount-0a", 10_000);
    add_mount(&place, "kiln-mount-0b", 10_000);
    // The last thing that it looks at takes a while.
    let slow = Action::SlowBody { piece: 200, pause: std::time::Duration::from_millis(400) };
    registry.fault(Fault::on("GET", "/manifests/kiln-mount-0b", slow));
    registry.clear_requests();
    let prune = std::thread::spawn(move || succeeds(&["prune", &name]));
    let has_looked = || {
        let requests = registry.requests();
        requests.iter().any(|it| it.method == "GET" && it.path.ends_with("/kiln-mount-0a"))
    };
    while !has_looked() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    add_mount(&place, "kiln-mount-0a", 20_000);
    let done = prune.join().expect("no panic");
    assert!(registry.manifest("app/cache", "kiln-mount-0a").is_some(), "{done}");
    assert!(registry.manifest("app/cache", "kiln-mount-0b").is_none(), "{done}");
}

#[test]
fn directories_of_images_and_of_caches_of_run() {
    let temp = tempfile::tempdir().expect("temp");
    let registry = Registry::start();
    let digest = common::bases::plain(&registry, "base", "1");
    let dir = temp.path().join("cache");
    let image = format!("{}/base:1", registry.host());
    let args = ["--cache-dir", &dir.display().to_string(), "--image", &image];
    run_bare(Kiln::subcommand("warmer").args(args)).ok();
    // What a warmer that was killed has left.
    let killed = dir.join(format!(".kiln-{}-new", "0".repeat(64)));
    fs::create_dir(&killed).expect("made");
    let home = dir.join("0123456789abcdef0123456789abcdef");
    fs::create_dir_all(home.join("0")).expect("made");
    fs::write(home.join("about"), "id /root/.cache/pip\n").expect("written");
    fs::write(home.join("0/wheel"), vec![1; 70_000]).expect("written");
    let name = dir.display().to_string();
    let shown = succeeds(&["du", &name]);
    for part in [digest.as_str(), "base image", "/root/.cache/pip", "70.0 kB", "RUN cache"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let said = succeeds(&["prune", "--older-than", "1h", &name]);
    assert_eq!(said.matches("nothing taken away").count(), 2, "{said}");
    let held = hold(&home.join("0.lock"));
    let said = succeeds(&["prune", &name]);
    assert!(said.contains("1 thing in use, left alone"), "{said}");
    assert!(home.join("0/wheel").exists() && !dir.join(&digest).exists() && !killed.exists());
    drop(held);
    let said = succeeds(&["prune", &name]);
    assert!(said.contains("1 thing (70.0 kB) taken away"), "{said}");
    assert!(!home.join("0").exists());
}

fn hold(path: &Path) -> kiln::sys::lock::Lock {
    use kiln::sys::lock::{Hold, Lock};
    Lock::try_take(path, Hold::Together).expect("a lock").expect("free")
}

#[test]
fn mistakes_are_sentences() {
    let temp = tempfile::tempdir().expect("temp");
    let dir = temp.path().display().to_string();
    for (args, code, parts) in [
        (vec!["du"], 2, vec!["there is no cache to look at"]),
        (vec!["du", &dir], 2, vec!["has no cache of kiln's in it"]),
        (vec!["du", "/nowhere"], 2, vec!["there is no directory /nowhere"]),
        (vec!["du", "--retry-budget", "0", "127.0.0.1:1/app"], 1, vec!["127.0.0.1:1"]),
    ] {
        let outcome = run(&args);
        assert_eq!(outcome.code, Some(code), "{args:?}: {}", outcome.stderr);
        for part in parts {
            assert!(outcome.stderr.contains(part), "{part}: {}", outcome.stderr);
        }
    }
    // The blobs of a layout that was never a cache are not kiln's, whatever leads to them.
    let theirs = temp.path().join("theirs");
    fs::create_dir_all(theirs.join("blobs/sha256")).expect("made");
    fs::write(theirs.join("index.json"), r#"{"schemaVersion":2,"manifests":[]}"#).expect("written");
    let blob = theirs.join("blobs/sha256").join("0".repeat(64));
    fs::write(&blob, "theirs").expect("written");
    age(&theirs);
    assert!(succeeds(&["prune", &theirs.display().to_string()]).contains("nothing taken away"));
    assert!(blob.exists() && !theirs.join(".kiln").exists());
    // What can be said is said, although another place is damaged.
    let bad = temp.path().join("bad");
    fs::create_dir(&bad).expect("made");
    fs::write(bad.join("index.json"), "[]").expect("written");
    let good = Layout::new(temp.path().join("good"), Cancel::default());
    add(&good, "kiln", "a", 10_000, 0);
    let outcome = run([bad.as_path(), good.dir()].map(|path| format!("oci:{}", path.display())));
    assert_eq!(outcome.code, Some(2), "a command is missing: {}", outcome.stderr);
    let names = [bad.as_path(), good.dir()].map(|path| format!("oci:{}", path.display()));
    let outcome = run(["du".to_owned()].into_iter().chain(names));
    assert_eq!(outcome.code, Some(1), "{}", outcome.stderr);
    assert!(outcome.stdout.contains("10.0 kB"), "{}", outcome.stdout);
    assert!(outcome.stderr.contains("is no index of an OCI layout"), "{}", outcome.stderr);
}
