//! Where results are kept: in repositories, directories and images; several of them.

use testkit::{Action, Fault};

use crate::hits::{Project, uuid};

const DOCKERFILE: &str = "\
FROM BASE/base AS build
COPY app.py /src/
RUN cat /proc/sys/kernel/random/uuid > /made
FROM BASE/base
COPY --from=build /made /
RUN cat /proc/sys/kernel/random/uuid > /uuid
LABEL a=b
";

/// The layers that a directory has.
fn layers(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(dir.join("blobs/sha256")).expect("blobs");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths.filter(|path| std::fs::read(path).expect("read").starts_with(&[0x1f, 0x8b])).collect()
}

/// An image that needs the bytes of all layers; a registry may have them already.
const LAYOUT: &str = "type=oci,tar=false,dest=layout";

/// Changes a byte of each layer, and no length.
fn damage(dir: &std::path::Path) {
    for path in layers(dir) {
        let mut bytes = std::fs::read(&path).expect("read");
        let last = bytes.len() - 9;
        bytes[last] ^= 1;
        std::fs::remove_file(&path).expect("removed");
        std::fs::write(&path, bytes).expect("written");
    }
}

/// Builds with these flags after `--cache=false`, which is not said.
fn args(project: &Project, args: &[&str]) -> (usize, String) {
    let args: Vec<String> =
        args.iter().map(|arg| arg.replace("HOST", project.bench.registry.host())).collect();
    let outcome = project.plain().args(&args).run().ok();
    let cached = outcome.stderr.lines().filter(|it| it.contains(" skipped: cached")).count();
    (cached, outcome.stderr)
}

#[test]
fn an_image_is_a_cache_of_its_own_layers() {
    let project = Project::new(DOCKERFILE);
    args(&project, &["--cache-to", "type=inline"]);
    let first = project.bench.image();
    let (cached, output) =
        args(&project, &["--cache-from", "HOST/app:1", "--cache-to", "type=inline"]);
    // The stage that the file came from is not in the image, and nobody needs it.
    assert_eq!(cached, 2, "{output}");
    assert_eq!(uuid(&project, "uuid"), first.text("uuid").expect("a file"));
    assert_eq!(project.bench.image().digest, first.digest);
    let mut changed = project;
    changed.write("app.py", "print(2)\n");
    let (cached, output) = args(&changed, &["--cache-from", "HOST/app:1"]);
    assert_eq!(cached, 0, "{output}");
}

#[test]
fn an_image_without_keys_is_no_cache_and_no_error() {
    let project = Project::new(DOCKERFILE);
    let (cached, output) = args(&project, &["--cache-from", "HOST/base"]);
    assert_eq!(cached, 0);
    assert!(output.contains("it is an image that carries no keys"), "{output}");
    let (_, output) = args(&project, &["--cache-from", "HOST/nothing/there"]);
    assert!(!output.contains("warning"), "{output}");
}

#[test]
fn a_directory_and_a_repository_can_both_be_written_and_either_be_read() {
    let project = Project::new(DOCKERFILE);
    let dir = tempfile::tempdir().expect("a directory");
    let to = format!("type=local,dest={}/cache,mode=max", dir.path().display());
    let from = format!("type=local,src={}/cache", dir.path().display());
    let repository = "type=registry,ref=HOST/c:x,mode=max";
    args(&project, &["--cache-to", &to, "--cache-to", repository]);
    let first = uuid(&project, "uuid");
    for from in [from.as_str(), "type=registry,ref=HOST/c:x"] {
        let (cached, output) = args(&project, &["--cache-from", from]);
        assert_eq!(cached, 2, "{from}\n{output}");
        assert_eq!(uuid(&project, "uuid"), first, "{from}");
    }
    // What was found in one place is written to another.
    let (cached, _) = args(&project, &["--cache-from", &from, "--cache-to", "HOST/d:y"]);
    assert_eq!(cached, 2);
    let (cached, output) = args(&project, &["--cache-from", "HOST/d:y"]);
    assert_eq!(cached, 2, "{output}");
}

#[test]
fn a_cache_that_cannot_be_read_or_written_is_a_warning() {
    let project = Project::new(DOCKERFILE);
    let broken = Fault::on("GET", "/app/cache/manifests", Action::error(403, "DENIED", "not you"));
    project.bench.registry.fault(broken.always());
    let seen = project.build();
    assert!(seen.outcome.stderr.contains("nothing is taken from the cache"), "{}", seen.outcome);
    project.bench.registry.clear_faults();
    let broken = Fault::on("PUT", "/app/cache/manifests", Action::error(403, "DENIED", "not you"));
    project.bench.registry.fault(broken.always());
    let seen = project.build();
    assert!(seen.outcome.stderr.contains("is not all in the cache"), "{}", seen.outcome);
    let to = "type=registry,ref=HOST/app/cache:z,ignore-error=false";
    let to = to.replace("HOST", project.bench.registry.host());
    let outcome = project.plain().args(["--cache-to", &to]).run();
    assert_ne!(outcome.code, Some(0), "{outcome}");
    assert!(outcome.stderr.contains("cannot write to the cache"), "{outcome}");
}

#[test]
fn what_is_damaged_is_not_a_cache_and_is_not_overwritten() {
    let project = Project::new(DOCKERFILE);
    let dir = tempfile::tempdir().expect("a directory");
    let place = format!("oci:{}", dir.path().display());
    std::fs::write(dir.path().join("index.json"), "{").expect("written");
    let (_, output) = args(&project, &["--cache-repo", &place]);
    assert!(output.contains("nothing is taken from the cache"), "{output}");
    assert_eq!(std::fs::read(dir.path().join("index.json")).expect("there"), b"{");
}

#[test]
fn a_layer_that_is_damaged_in_a_directory_is_never_in_an_image() {
    let project = Project::new(DOCKERFILE);
    let dir = tempfile::tempdir().expect("a directory");
    let place = format!("oci:{}", dir.path().display());
    args(&project, &["--cache-repo", &place]);
    damage(dir.path());
    let args = ["--cache-repo", &place, "-o", LAYOUT];
    let outcome = project.plain().args(args).run();
    assert_ne!(outcome.code, Some(0), "{outcome}");
    assert!(outcome.stderr.contains("does not match its digest"), "{outcome}");
    // They are made anew; one after the other is found to be damaged.
    for _ in 0..4 {
        if project.plain().args(args).run().code == Some(0) {
            return;
        }
    }
    panic!("what was damaged is not made anew");
}

/// Commands in a row, so that whatever one leaves the next one is built on.
const ROW: &str = "\
FROM BASE/base
COPY app.py /
RUN cat /proc/sys/kernel/random/uuid > /uuid
RUN cat /proc/sys/kernel/random/uuid > /other
";

#[test]
fn a_layer_that_a_directory_has_lost_is_made_anew_and_known_again() {
    let project = Project::new(ROW);
    let dir = tempfile::tempdir().expect("a directory");
    let place = format!("oci:{}", dir.path().display());
    args(&project, &["--cache-repo", &place]);
    for path in layers(dir.path()) {
        std::fs::remove_file(path).expect("removed");
    }
    let before = uuid(&project, "uuid");
    let (cached, output) = args(&project, &["--cache-repo", &place]);
    assert_eq!(cached, 0, "{output}");
    let after = uuid(&project, "uuid");
    assert_ne!(after, before);
    let (cached, output) = args(&project, &["--cache-repo", &place]);
    assert_eq!((cached, uuid(&project, "uuid")), (3, after), "{output}");
}

#[test]
fn a_directory_recovers_from_layers_that_are_damaged() {
    let project = Project::new(ROW);
    let dir = tempfile::tempdir().expect("a directory");
    let place = format!("oci:{}", dir.path().display());
    args(&project, &["--cache-repo", &place]);
    damage(dir.path());
    let build = || project.plain().args(["--cache-repo", &place, "-o", LAYOUT]).run();
    // Each time what was found to be damaged goes.
    let failed = (0..8).take_while(|_| build().code != Some(0)).count();
    assert!((1..8).contains(&failed), "{failed}");
    let again = build().ok().stderr;
    assert_eq!(again.matches(" skipped: cached").count(), 3, "{again}");
}

#[test]
fn a_place_that_has_lost_a_layer_gets_it_from_another() {
    let project = Project::new(ROW);
    let [one, two] = [(); 2].map(|()| tempfile::tempdir().expect("a directory"));
    let first = format!("oci:{}", one.path().display());
    let second = format!("{},tag=kiln", two.path().display());
    let to = format!("type=local,dest={second}");
    args(&project, &["--cache-repo", &first, "--cache-to", &to]);
    for path in layers(two.path()) {
        std::fs::remove_file(path).expect("removed");
    }
    args(&project, &["--cache-repo", &first, "--cache-to", &to]);
    let (cached, output) = args(&project, &["--cache-from", &format!("type=local,src={second}")]);
    assert_eq!(cached, 3, "{output}");
}

#[test]
fn what_is_taken_to_another_place_is_explained_there() {
    let mut project = Project::new(ROW);
    let [one, two] = [(); 2].map(|()| tempfile::tempdir().expect("a directory"));
    let [first, second] = [&one, &two].map(|dir| format!("oci:{}", dir.path().display()));
    args(&project, &["--cache-repo", &first]);
    args(&project, &["--cache-from", &first, "--cache-to", &second]);
    project.write("app.py", "print(2)\n");
    let (_, output) = args(&project, &["--cache-from", &second, "--explain"]);
    assert!(output.contains("COPY app.py /: miss: /app.py changed"), "{output}");
}
