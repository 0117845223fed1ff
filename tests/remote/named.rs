//! `--build-context`.

use std::fs;

use testkit::Registry;
use testkit::image::Image;
use testkit::tar::TarBytes;

use crate::built::{build, run};
use crate::common::Kiln;
use crate::repository::Repository;
use crate::server::{Answer, Server};

#[test]
fn a_directory_stands_in_for_a_stage_or_an_image() {
    let dockerfile = "FROM base AS one\nCOPY --from=files a /copied\nFROM one\n";
    let mut kiln = Kiln::build().dockerfile(dockerfile);
    let more = kiln.dir().join("more");
    fs::create_dir_all(more.join("d")).expect("made");
    for (name, text) in [("a", "A"), ("d/b", "B"), ("hidden", ""), (".dockerignore", "hidden\n")] {
        fs::write(more.join(name), text).expect("written");
    }
    kiln = kiln.args(["--build-context", "base=more", "--build-context", "files=more"]);
    let built = run(kiln);
    let image = built.image();
    assert_eq!(image.paths(0).expect("a layer"), [".dockerignore", "a", "d", "d/b"]);
    assert_eq!(image.text("copied").expect("there"), "A");
    let object = &image.tree().expect("a tree")["a"];
    assert_eq!((object.uid, object.gid), (0, 0));
    let history = image.config["history"].as_array().expect("a list");
    assert_eq!(history.len(), 2);
    assert_eq!(history[0]["comment"], "buildkit.exporter.image.v0");
}

#[test]
fn a_hidden_file_of_a_named_context_is_not_copied() {
    let mut kiln = Kiln::build().dockerfile("FROM scratch\nCOPY --from=files hidden /\n");
    let more = kiln.dir().join("more");
    fs::create_dir_all(&more).expect("made");
    fs::write(more.join("hidden"), "").expect("written");
    fs::write(more.join(".dockerignore"), "hidden\n").expect("written");
    kiln = kiln.args(["--build-context", "files=more"]);
    run(kiln).fails("it is excluded by `hidden`");
}

#[test]
fn repositories_and_addresses_are_contexts() {
    let tar = TarBytes::new().file("t", "of a tar").finish();
    let server = Server::start(move |request, _| match request.path.as_str() {
        "/c.tar" => Answer::file(tar.clone()),
        "/file" => Answer::file("plain"),
        _ => Answer::status(404),
    });
    Repository::with_history(server.dir(), "r.git");
    let contexts = [
        format!("repo={}#side", server.url("git/r.git")),
        format!("tar={}", server.url("c.tar")),
        format!("file={}", server.url("file")),
        format!("unused={}", server.url("none")),
        "nothing=docker-image://scratch".to_owned(),
    ];
    let flags: Vec<&str> = contexts.iter().flat_map(|text| ["--build-context", text]).collect();
    let dockerfile = "FROM nothing\nCOPY --from=repo f /\nCOPY --from=tar . /\n\
                      COPY --from=file context /c\nCOPY --from=repo f /again\n";
    let built = build(dockerfile, &flags);
    let texts = ["f", "t", "c", "again"].map(|path| built.text(path));
    assert_eq!(texts, ["two", "of a tar", "plain", "two"]);
    let fetches = server.requests();
    let count = fetches.iter().filter(|request| request.path.ends_with("/info/refs")).count();
    assert!(count <= 2, "fetched once: {count}");
    build("FROM tar\nCOPY --from=unused a /\n", &flags).fails("invalid response status 404");
}

#[test]
fn an_image_stands_in_for_another() {
    let registry = Registry::start();
    let layer = TarBytes::new().file("inside", "of the image");
    let config = serde_json::json!({ "config": { "Env": ["A=b"] } });
    registry.add_image("other", "1", vec![layer], config);
    let context = format!("alpine=docker-image://{}/other:1", registry.host());
    let built = build("FROM alpine\n", &["--build-context", &context]);
    assert_eq!(built.text("inside"), "of the image");
}

#[test]
fn an_image_of_a_layout_is_a_base_and_is_pushed() {
    let registry = Registry::start();
    let first = build("FROM scratch\nADD <<x /x\nfrom the layout\nx\nENV A=b\n", &["-t", "app:v1"]);
    first.image();
    let layout = first.dir().join("layout");
    let name = format!("{}/result:1", registry.host());
    for address in [layout.display().to_string(), format!("{}:v1", layout.display())] {
        let context = format!("base=oci-layout://{address}");
        let kiln = Kiln::build().dockerfile("FROM base\nCOPY --from=base /x /again\n").args([
            "--build-context",
            &context,
            "-t",
            &name,
        ]);
        kiln.run().ok();
        let image = Image::from_registry(&registry, "result", "1").expect("pushed");
        image.verify().expect("whole");
        assert_eq!(image.text("again").expect("there"), "from the layout\n");
        assert_eq!(image.layers[0], first.image().layers[0]);
        assert!(image.config["config"]["Env"].to_string().contains("A=b"));
    }
    let digest = format!("base=oci-layout://{}@{}", layout.display(), first.image().digest);
    assert_eq!(build("FROM base\n", &["--build-context", &digest]).text("x"), "from the layout\n");
    let gone = format!("base=oci-layout://{}:gone", layout.display());
    build("FROM base\n", &["--build-context", &gone]).fails("has no image `gone`; it has v1");
}

#[test]
fn a_damaged_layout_is_found_out() {
    let first = build("FROM scratch\nADD <<x /x\nfrom the layout\nx\n", &["-t", "app:v1"]);
    let layout = first.dir().join("layout");
    let layer = first.image().layers[0].clone();
    let blob = layout.join("blobs/sha256").join(layer.trim_start_matches("sha256:"));
    let mut bytes = fs::read(&blob).expect("there");
    bytes[20] ^= 1;
    fs::remove_file(&blob).expect("removed");
    fs::write(&blob, bytes).expect("written");
    let context = format!("base=oci-layout://{}", layout.display());
    build("FROM base\nCOPY --from=base x /y\n", &["--build-context", &context])
        .fails("cannot use the layer");
}
