//! S3, by a server that checks signatures.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use flate2::write::GzEncoder;
use testkit::image::Image;
use testkit::tar::TarBytes;

use crate::common::{Kiln, Outcome, program};
use crate::proxy::Proxy;

/// The server, and who may read.
struct S3 {
    child: Child,
    stdin: Option<ChildStdin>,
    address: String,
    id: String,
    secret: String,
}

impl S3 {
    /// Serves the files of a directory as `s3://contexts/some/where/NAME`.
    fn start(files: &Path) -> Self {
        let packages = std::env::var_os("KILN_MOTO").expect(
            "KILN_MOTO is not set to a directory with moto: run these with `cargo xtask test`, or \
             install it as xtask/src/moto.rs does",
        );
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/objects/s3_server.py");
        let mut child = Command::new("python3")
            .arg(script)
            .arg(files)
            .env("PYTHONPATH", packages)
            .env_remove("AWS_PROFILE")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("python3 starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        let said: serde_json::Value = serde_json::from_str(&line).expect("the server runs");
        let text = |name: &str| said[name].as_str().expect("text").to_owned();
        let stdin = child.stdin.take();
        Self { child, stdin, address: text("address"), id: text("id"), secret: text("secret") }
    }

    fn host(&self) -> &str {
        self.address.trim_start_matches("http://")
    }

    /// kiln with keys.
    fn kiln(&self, arguments: &[&str], keys: (&str, &str), address: &str) -> Run {
        let dir = tempfile::tempdir().expect("a directory");
        let output = Command::new(program())
            .args(arguments)
            .args(["--no-push", "--oci-layout-path", "layout"])
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("HOME", dir.path())
            .env("TMPDIR", dir.path())
            .env("S3_ENDPOINT", address)
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_ACCESS_KEY_ID", keys.0)
            .env("AWS_SECRET_ACCESS_KEY", keys.1)
            .current_dir(dir.path())
            .stdin(Stdio::null())
            .output()
            .expect("kiln starts");
        Run { outcome: Outcome::from(output), dir }
    }

    fn read(&self, arguments: &[&str]) -> Run {
        self.kiln(arguments, (&self.id, &self.secret), &self.address)
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = self.child.wait();
    }
}

struct Run {
    outcome: Outcome,
    dir: tempfile::TempDir,
}

impl Run {
    #[track_caller]
    fn text(&self, path: &str) -> String {
        assert_eq!(self.outcome.code, Some(0), "{}", self.outcome);
        let image = Image::from_layout(&self.dir.path().join("layout"), None).expect("a layout");
        image.text(path).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    #[track_caller]
    fn fails(&self, words: &[&str]) {
        assert_eq!(self.outcome.code, Some(1), "{}", self.outcome);
        for words in words {
            assert!(self.outcome.stderr.contains(words), "{words}: {}", self.outcome);
        }
        assert!(!self.outcome.stderr.contains("Signature="), "{}", self.outcome);
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("written");
    encoder.finish().expect("finished")
}

/// What gzip cannot make small.
fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) as u8
    };
    (0..bytes).map(|_| next()).collect()
}

#[test]
fn objects_of_s3_are_contexts() {
    let files = tempfile::tempdir().expect("a directory");
    let dockerfile = "FROM scratch\nCOPY f /\n";
    let tar = TarBytes::new()
        .file("Dockerfile", dockerfile)
        .file("f", "top")
        .dir("app")
        .file("app/Dockerfile", dockerfile)
        .file("app/f", "below")
        .finish();
    let big = TarBytes::new().file("Dockerfile", dockerfile).file("f", noise(400_000)).finish();
    let write = |name: &str, bytes: &[u8]| {
        std::fs::write(files.path().join(name), bytes).expect("written");
    };
    write("plain", &tar);
    write("c.tgz", &gzip(&tar));
    write("c.tar.zst", &zstd::encode_all(&tar[..], 1).expect("compressed"));
    write("big.tgz", &gzip(&big));
    write("Dockerfile", b"FROM scratch\nCOPY <<x /f\nheredoc\nx\n");
    let s3 = S3::start(files.path());
    let at = |name: &str| format!("s3://contexts/some/where/{name}");

    for name in ["plain", "c.tgz", "c.tar.zst"] {
        assert_eq!(s3.read(&["build", &at(name)]).text("f"), "top", "{name}");
    }
    let below = ["--context-sub-path", "app"];
    let run = s3.read(&["executor", "-c", &at("c.tgz"), below[0], below[1]]);
    assert_eq!(run.text("f"), "below");
    assert_eq!(s3.read(&["executor", "--bucket", &at("c.tgz")]).text("f"), "top");
    assert_eq!(s3.read(&["build", &at("Dockerfile")]).text("f"), "heredoc\n");
    let named = format!("files={}", at("c.tgz"));
    let context = Kiln::build().dockerfile("FROM scratch\nCOPY --from=files app/f /f\n");
    let dir = context.context().display().to_string();
    assert_eq!(s3.read(&["build", "--build-context", &named, &dir]).text("f"), "below");

    s3.read(&["build", &at("gone")]).fails(&[
        "cannot fetch s3://contexts/some/where/gone: ",
        "answered 404 (NoSuchKey: ",
        "kiln used the keys of AWS_ACCESS_KEY_ID",
    ]);
    s3.read(&["build", "s3://nowhere/c.tgz"]).fails(&["answered 404 (NoSuchBucket: "]);
    let run = s3.read(&["build", "s3://contexts"]);
    assert_eq!(run.outcome.code, Some(2), "{}", run.outcome);
    assert!(run.outcome.stderr.contains("names a bucket, but no object"), "{}", run.outcome);
    for (keys, code) in [
        ((&*s3.id, "geheim"), "SignatureDoesNotMatch"),
        (("wrong", "geheim"), "InvalidAccessKeyId"),
    ] {
        let run = s3.kiln(&["build", &at("c.tgz")], keys, &s3.address);
        run.fails(&["answered 403", code, "kiln used the keys of AWS_ACCESS_KEY_ID"]);
        assert!(!run.outcome.stderr.contains("geheim"), "{}", run.outcome);
    }

    let proxy = Proxy::cutting(s3.host(), 150_000);
    let run = s3.kiln(&["build", &at("big.tgz")], (&s3.id, &s3.secret), proxy.address());
    assert_eq!(run.outcome.code, Some(0), "{}", run.outcome);
    let requests = proxy.requests();
    let [first, second] = &requests[..] else { panic!("{requests:?}") };
    let header = |request: &str, name: &str| {
        let line = request.lines().find(|line| line.to_ascii_lowercase().starts_with(name));
        line.and_then(|line| line.split_once(": ")).map(|(_, value)| value.to_owned())
    };
    assert_eq!(header(first, "range"), None);
    assert!(header(second, "range").is_some_and(|range| range.starts_with("bytes=")), "{second}");
    assert!(header(second, "if-range").is_some_and(|etag| etag.starts_with('"')), "{second}");
}
