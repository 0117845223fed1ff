//! Files and addresses that get the digest.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use testkit::Registry;

use crate::certificates::Certificates;
use crate::job::Job;

const DOCKERFILE: &str = "FROM scratch\nCOPY Dockerfile /\n";

#[test]
fn digest_files_are_what_pipelines_expect() {
    let registry = Registry::start();
    let host = registry.host();
    let job = Job::new(DOCKERFILE);
    let mut command = job.command("executor");
    command.args(["-c", "context", "-d", &format!("{host}/a:1"), "-d", &format!("{host}/b:2")]);
    command.args(["--digest-file=new/dir/digest", "--image-name-with-digest-file=names"]);
    command.args(["--image-name-tag-with-digest-file=tags"]).env("BUILDER_OUTPUT", "built");
    job.run(command).ok();
    let digest = registry.digest("a", "1").expect("an image");
    assert_eq!(job.text("new/dir/digest"), digest);
    assert_eq!(job.text("names"), format!("{host}/a@{digest}\n{host}/b@{digest}\n"));
    assert_eq!(job.text("tags"), format!("{host}/a:1@{digest}\n{host}/b:2@{digest}\n"));
    let line = |name: &str| format!("{{\"name\":\"{host}/{name}\",\"digest\":\"{digest}\"}}\n");
    assert_eq!(job.text("built/images"), line("a:1") + &line("b:2"));
    let mode = |name: &str| {
        let found = std::fs::metadata(job.path(name)).expect(name);
        found.permissions().mode() & 0o777
    };
    assert_eq!((mode("new"), mode("new/dir"), mode("new/dir/digest")), (0o700, 0o700, 0o644));
}

#[test]
fn a_digest_file_is_written_without_a_push_and_not_after_a_failed_one() {
    let job = Job::new(DOCKERFILE);
    job.executor(["--no-push", "--tar-path", "x.tar", "--digest-file", "digest"]).ok();
    assert!(job.text("digest").starts_with("sha256:") && job.path("x.tar").exists());
    let registry = Registry::builder().basic_auth("user", "secret").start();
    let to = format!("{}/app:1", registry.host());
    let args = ["-d", &to, "--skip-push-permission-check", "--digest-file", "other"];
    job.executor(args).fails(1, "error pushing image: ");
    assert!(!job.path("other").exists());
}

/// A server with TLS that takes one request; gives its port, and later what it got.
struct Server(std::process::Child, u16);

impl Server {
    fn start(certificates: &Certificates) -> Self {
        let (certificate, key) = certificates.self_signed("server", "IP:127.0.0.1");
        let free = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = free.local_addr().expect("an address").port();
        drop(free);
        let mut command = Command::new("openssl");
        command.args(["s_server", "-accept", &format!("127.0.0.1:{port}"), "-naccept", "1"]);
        command.arg("-cert").arg(certificate).arg("-key").arg(key);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut server = Self(command.spawn().expect("openssl"), port);
        server.read_until("ACCEPT");
        server
    }

    /// What it prints up to a word.
    fn read_until(&mut self, word: &str) -> String {
        let out = self.0.stdout.as_mut().expect("a pipe");
        let mut text = Vec::new();
        let mut byte = [0];
        while !text.ends_with(word.as_bytes()) && out.read(&mut byte).expect("output") == 1 {
            text.extend(byte);
        }
        String::from_utf8_lossy(&text).into_owned()
    }

    /// The body has no line break at its end.
    fn read_digest(&mut self) {
        let mut hex = [0; 64];
        self.0.stdout.as_mut().expect("a pipe").read_exact(&mut hex).expect("a digest");
        assert!(hex.iter().all(u8::is_ascii_hexdigit));
    }

    fn answer(&mut self, status: &str) {
        let input = self.0.stdin.as_mut().expect("a pipe");
        write!(input, "HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").expect("an answer");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn an_address_gets_the_digest_by_put() {
    for (status, works) in [("200 OK", true), ("403 Forbidden", false)] {
        let certificates = Certificates::new();
        let mut server = Server::start(&certificates);
        let job = Job::new("FROM scratch\nLABEL a=b\n");
        let mut command = job.command("executor");
        command.args(["-c", "context", "--no-push", "--reproducible", "--digest-file"]);
        command.arg(format!("https://127.0.0.1:{}/d?signature=secret", server.1));
        command.env("SSL_CERT_FILE", certificates.files("server").0);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().expect("kiln");
        let seen = server.read_until("sha256:");
        server.read_digest();
        server.answer(status);
        let output = child.wait_with_output().expect("kiln");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(seen.contains("PUT /d?signature=secret HTTP/1.1"), "{seen}");
        assert!(seen.contains("content-type: text/plain"), "{seen}");
        assert_eq!(output.status.success(), works, "{error}");
        assert!(!error.contains("secret"), "{error}");
        assert_eq!(error.contains("answered 403"), !works, "{error}");
    }
}

#[test]
fn a_digest_file_that_is_there_needs_no_writable_directory() {
    let job = Job::new(DOCKERFILE);
    std::fs::create_dir(job.path("dev")).expect("a directory");
    std::fs::write(job.path("dev/termination-log"), "longer than a digest ".repeat(9))
        .expect("a file");
    let script = "mount -t tmpfs none dev && touch dev/termination-log log && \
                  mount --bind log dev/termination-log && mount -o remount,ro dev && \
                  exec \"$0\" executor -c context --no-push --digest-file dev/termination-log";
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script]).arg(crate::common::program());
    command.current_dir(job.path("")).env("TMPDIR", job.path("tmp"));
    job.run(command).ok();
    assert_eq!(job.text("log").len(), "sha256:".len() + 64);
}
