//! What can be scripted.

use super::*;

#[test]
fn faults_strike_as_scripted() {
    let registry = Registry::start();
    let digest = registry.put_blob("a", b"0123456789");
    let url = format!("{}/v2/a/blobs/{digest}", registry.url());
    let get = || client::get(&url);
    registry.fault(Fault::on("GET", "/blobs/", Action::status(500)).nth(2).times(2));
    let statuses: Vec<_> = (0..4).map(|_| get().unwrap().status).collect();
    assert_eq!(statuses, [200, 500, 500, 200]);

    let once = |action| registry.fault(Fault::on("*", "/blobs/", action));
    once(Action::CutAfter(4));
    assert!(format!("{:#}", get().unwrap_err()).contains("cut after 4 bytes"));
    once(Action::DropConnection);
    assert!(get().is_err());
    once(Action::CorruptBody);
    assert_eq!(get().unwrap().text(), "0123446789");
    once(Action::WrongDigestHeader);
    assert_ne!(get().unwrap().header("docker-content-digest"), digest);
    once(Action::SlowBody { piece: 3, pause: Duration::from_millis(1) });
    assert_eq!(get().unwrap().text(), "0123456789");
    once(Action::RetryAfter { code: 429, seconds: 7 });
    let answer = get().unwrap();
    assert_eq!((answer.status, answer.header("retry-after")), (429, "7"));
    registry.fault(Fault::on("*", "/", Action::status(503)).always());
    assert_eq!(get().unwrap().status, 503);
    registry.clear_faults();
    assert_eq!(get().unwrap().status, 200);
    let cut = &registry.requests()[4];
    assert_eq!((cut.status, cut.bytes_out), (200, 4));
}

#[test]
fn cut_upload_can_go_on() {
    let registry = Registry::start();
    let location = begin(&registry, "a");
    registry.fault(Fault::on("PATCH", "/uploads/", Action::CutUploadAfter(4)));
    assert!(client::request("PATCH", &location, &[], b"0123456789").is_err());
    let status = send(&registry, "GET", &location, b"");
    assert_eq!((status.status, status.header("range")), (204, "0-3"));
    let digest = sha256(b"0123456789");
    let put = format!("{}&digest={digest}", status.header("location"));
    registry.fault(Fault::on("PUT", "/uploads/", Action::DropAnswer));
    assert!(client::request("PUT", &put, &[], b"456789").is_err());
    assert!(registry.has_blob("a", &digest));
}

#[test]
fn answers_are_spoilt_in_every_place() {
    let registry = Registry::start();
    let digest = registry.put_blob("a", b"0123456789");
    let url = format!("{}/v2/a/blobs/{digest}", registry.url());
    let once = |action| {
        registry.fault(Fault::on("GET", "/blobs/", action));
        client::get(&url)
    };
    assert!(once(Action::CutHead(12)).is_err());
    assert!(format!("{:#}", once(Action::CutAfter(0)).unwrap_err()).contains("after 0 bytes"));
    assert!(format!("{:#}", once(Action::CutAfter(9)).unwrap_err()).contains("after 9 bytes"));
    let long = format!("{:#}", once(Action::WrongLength(5)).unwrap_err());
    assert!(long.contains("cut after 10 bytes"), "{long}");
    assert_eq!(once(Action::WrongLength(-3)).unwrap().text(), "0123456");
    let bare = once(Action::WithoutHeader("Docker-Content-Digest")).unwrap();
    assert_eq!((bare.status, bare.header("docker-content-digest")), (200, ""));
    let odd = once(Action::SetHeader("Content-Type", "text/odd".into())).unwrap();
    assert_eq!(odd.header("content-type"), "text/odd");
    let moved = once(Action::RedirectTo("other.test:1".into())).unwrap();
    let location = format!("http://other.test:1/v2/a/blobs/{digest}");
    assert_eq!((moved.status, moved.header("location")), (307, location.as_str()));
    let error = once(Action::error(400, "DENIED", "no")).unwrap();
    assert_eq!((error.status, code(&error).as_str()), (400, "DENIED"));
    assert_eq!(once(Action::text(502, "<html>")).unwrap().text(), "<html>");
}

#[test]
fn silence_lasts_until_the_client_leaves() {
    let registry = Registry::start();
    registry.fault(Fault::on("GET", "/v2/", Action::Silence));
    let mut stream = TcpStream::connect(registry.host()).unwrap();
    stream.write_all(b"GET /v2/ HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let error = stream.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
    assert_eq!(send(&registry, "GET", "/v2/", b"").status, 200);
}

#[test]
fn uploads_are_refused_late_and_in_the_middle() {
    let registry = Registry::start();
    let once = |method: &str, action| registry.fault(Fault::on(method, "/uploads/", action));
    let location = begin(&registry, "a");
    once("PATCH", Action::RefuseAfter { code: 401, bytes: 4 });
    assert_eq!(send(&registry, "PATCH", &location, b"0123456789").status, 401);
    let status = send(&registry, "GET", &location, b"");
    assert_eq!(status.header("range"), "0-3");
    let digest = sha256(b"0123456789");
    let put = format!("{}&digest={digest}", status.header("location"));
    once("PUT", Action::RefuseAfter { code: 401, bytes: 100 });
    assert_eq!(send(&registry, "PUT", &put, b"456789").status, 401);
    assert_eq!(send(&registry, "GET", &location, b"").header("range"), "0-9");
    once("PUT", Action::LateStatus(504));
    assert_eq!(send(&registry, "PUT", &put, b"").status, 504);
    assert!(registry.has_blob("a", &digest));
    let location = begin(&registry, "a");
    once("PATCH", Action::ForgetUploads);
    assert_eq!(send(&registry, "PATCH", &location, b"x").status, 404);
    assert_eq!(registry.open_uploads(), 0);
}
