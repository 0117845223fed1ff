//! ADD of an address.

use std::time::{Duration, Instant};

use testkit::tar::TarBytes;

use crate::built::{build, run};
use crate::common::{Kiln, Outcome};
use crate::server::{Answer, Server};

/// 2001-02-03T04:05:06Z.
const DATE: (&str, i64) = ("Sat, 03 Feb 2001 04:05:06 GMT", 981_173_106);
const SUM: &str = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

fn server() -> Server {
    Server::start(|request, before| match request.path.as_str() {
        "/test" => Answer::file("test").header("Last-Modified", DATE.0),
        "/a%5B1%5D%20b" => Answer::file("odd"),
        "/x.tar" => Answer::file(TarBytes::new().file("in/f", "unpacked").finish()),
        "/moved" => Answer::status(302).header("Location", "/test"),
        "/circle" => Answer::status(302).header("Location", "/circle"),
        "/busy" if before < 2 => Answer::status(503).header("Retry-After", "0"),
        "/breaks" if before == 0 => Answer::file(vec![b'x'; 100_000]).breaks_after(5000),
        "/breaks" => Answer::file(vec![b'x'; 100_000]),
        "/busy" => Answer::file("at last"),
        "/private" if request.header("authorization") == "Bearer geheim" => Answer::file("token"),
        "/private" if request.header("authorization") == "Basic dTpw" => Answer::file("user"),
        "/private" => Answer::status(401),
        _ => Answer::status(404),
    })
}

#[test]
fn a_file_has_its_name_mode_and_time() {
    let server = server();
    let built = build(
        &format!(
            "FROM scratch\nADD {} /dir/\nADD {} /renamed\nADD --chmod=644 --chown=7:8 {} /dir/\n",
            server.url("test"),
            server.url("moved?a=b"),
            server.url("a%5B1%5D%20b"),
        ),
        &[],
    );
    let tree = built.image().tree().expect("a tree");
    let file = &tree["dir/test"];
    assert_eq!((file.mode, file.uid, file.gid), (0o600, 0, 0));
    assert_eq!(file.mtime, DATE.1);
    let other = &tree["dir/a[1] b"];
    assert_eq!((other.mode, other.uid, other.gid, other.mtime), (0o644, 7, 8, 0));
    assert_eq!(built.text("renamed"), "test");
    let history = &built.image().config["history"][0]["created_by"];
    assert_eq!(*history, format!("ADD {} /dir/ # buildkit", server.url("test")));
}

#[test]
fn a_download_is_unpacked_only_on_demand() {
    let server = server();
    let url = server.url("x.tar");
    let built = build(&format!("FROM scratch\nADD --unpack {url} /d/\n"), &[]);
    assert_eq!(built.text("d/in/f"), "unpacked");
    let built = build(&format!("FROM scratch\nADD {url} f /d/\n"), &[]);
    built.fails("\"/f\": not found");
    let built = run(Kiln::build()
        .dockerfile(&format!("FROM scratch\nADD f {url} <<x /d/\nheredoc\nx\n"))
        .file("f", "local"));
    assert_eq!(built.paths(), ["d", "d/f", "d/x", "d/x.tar"]);
}

#[test]
fn checksums_are_checked() {
    let server = server();
    let url = server.url("test");
    build(&format!("FROM scratch\nADD --checksum={SUM} {url} /\n"), &[]).image();
    let wrong = SUM.replace("9f86", "0000");
    let built = build(&format!("FROM scratch\nADD --checksum={wrong} {url} /\n"), &[]);
    built.fails(&format!("digest mismatch {SUM}: {wrong}"));
    for (line, words) in [
        ("ADD --checksum=md5:1 URL /", "is no checksum of a file"),
        ("ADD --checksum=SUM URL URL /", "checksum can't be specified for multiple sources"),
        ("ADD --checksum=SUM f /", "checksum requires HTTP(S) or Git sources"),
        ("COPY URL /", "source can't be a URL for COPY"),
        ("ADD URL URL /f", "When using ADD with more than one source file"),
    ] {
        let line = line.replace("URL", &url).replace("SUM", SUM);
        build(&format!("FROM scratch\n{line}\n"), &[]).fails(words);
    }
}

#[test]
fn passing_failures_pass() {
    let server = server();
    let (busy, breaks) = (server.url("busy"), server.url("breaks"));
    let built = build(&format!("FROM scratch\nADD {busy} {breaks} /\n"), &[]);
    assert_eq!(built.text("busy"), "at last");
    assert_eq!(built.text("breaks").len(), 100_000);
}

#[test]
fn failures_are_sentences_without_secrets() {
    let server = server();
    let host = server.host();
    for (address, words) in [
        (format!("http://u:geheim@{host}/none?sig=geheim"), "invalid response status 404"),
        (server.url("circle"), "it is redirected in circles"),
        (server.url("private"), "HTTP_AUTH_TOKEN_127.0.0.1"),
    ] {
        let built = run(Kiln::build()
            .dockerfile("FROM scratch\nARG A\nADD ${A} /\n")
            .args(["--build-arg", &format!("A={address}")]));
        built.fails(words);
        assert!(!built.outcome.stderr.contains("geheim"), "{}", built.outcome);
    }
}

#[test]
fn secrets_go_to_their_host_only() {
    let server = server();
    let other = Server::start(|_, _| Answer::file("elsewhere"));
    let away = other.url("f").replace("127.0.0.1", "localhost");
    let redirecting = Server::start(move |_, _| Answer::status(307).header("Location", &away));
    let dockerfile = format!(
        "FROM scratch\nADD {} /a\nADD {} /b\nADD http://u:p@{}/private /c\n",
        server.url("private"),
        redirecting.url("x"),
        server.host().replace("127.0.0.1", "localhost"),
    );
    let secret = ["--secret", "id=HTTP_AUTH_TOKEN_127.0.0.1,env=TOKEN"];
    let built = run(Kiln::build().dockerfile(&dockerfile).args(secret).env("TOKEN", "geheim"));
    assert_eq!((built.text("a").as_str(), built.text("c").as_str()), ("token", "user"));
    assert_eq!(built.text("b"), "elsewhere");
    assert_eq!(redirecting.requests()[0].header("authorization"), "Bearer geheim");
    assert_eq!(other.requests()[0].header("authorization"), "");
    let layout = std::fs::read(built.dir().join("layout/index.json")).expect("there");
    assert!(!String::from_utf8_lossy(&layout).contains("geheim"));
    assert!(!built.outcome.stderr.contains("geheim"), "{}", built.outcome);
}

#[test]
fn a_server_that_says_nothing_does_not_hold_a_build_that_is_stopped() {
    let server = Server::start(|_, _| {
        std::thread::sleep(Duration::from_secs(60));
        Answer::status(500)
    });
    let dockerfile = format!("FROM scratch\nADD {} /\n", server.url("f"));
    let (mut command, dir) =
        Kiln::build().dockerfile(&dockerfile).args(["--no-push"]).into_command();
    let child = command.stderr(std::process::Stdio::piped()).spawn().expect("kiln starts");
    let start = Instant::now();
    while server.requests().is_empty() {
        assert!(start.elapsed() < Duration::from_secs(60), "no request came");
        std::thread::sleep(Duration::from_millis(20));
    }
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("sent");
    let outcome = Outcome::from(child.wait_with_output().expect("ends"));
    assert_eq!(outcome.code, Some(143), "{outcome}");
    crate::common::assert_no_work_dir(dir.path(), &outcome);
}

/// Two stages wait for the same thing and hear of its failure in any order.
#[test]
fn the_reason_of_a_failure_is_told_whoever_hears_of_it_first() {
    let server = server();
    let gone = server.url("gone");
    let text = format!(
        "FROM scratch AS one\nADD {gone} /\nFROM scratch AS two\nADD {gone} /\n\
         FROM scratch\nCOPY --from=one / /1\nCOPY --from=two / /2\n"
    );
    for _ in 0..10 {
        build(&text, &[]).fails("invalid response status 404");
    }
}
