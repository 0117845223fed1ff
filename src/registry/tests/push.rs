//! Uploads, mounts, manifests.

use std::sync::Mutex;

use super::*;

/// How the server names the place of an upload.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Location {
    Absolute,
    Relative,
    Query,
}

/// A registry that takes uploads of one blob.
fn upload_server(location: Location) -> Server {
    Server::start(move |seen| match seen.method.as_str() {
        "HEAD" => Reply::new(404, ""),
        "POST" => begun(seen, location),
        "PUT" => Reply::new(201, ""),
        _ => Reply::new(405, ""),
    })
}

fn begun(seen: &Seen, location: Location) -> Reply {
    let host = seen.header("host").expect("a host");
    let location = match location {
        Location::Absolute => format!("http://{host}/up/1"),
        Location::Relative => "../../../up/1".into(),
        Location::Query => "/up/1?_state=a%2Fb%3D".into(),
    };
    Reply::new(202, "").header("Location", location)
}

const BLOB: &[u8] = b"some bytes of a layer";

fn blob() -> Descriptor {
    Descriptor::new(media_type::OCI_LAYER, Digest::of(BLOB), BLOB.len() as u64)
}

fn push(pusher: &Pusher, from: Option<&Repository>) -> Result<Pushed, RegistryError> {
    pusher.push_blob(&blob(), Body::Bytes(BLOB), from, Chance::Some, &|_| ())
}

#[test]
fn a_blob_is_sent_in_one_piece_to_the_place_that_the_registry_names() {
    let dir = tempfile::tempdir().expect("temp");
    let path = dir.path().join("blob");
    std::fs::write(&path, BLOB).expect("write");
    let digest = format!("digest=sha256%3A{}", Digest::of(BLOB).hex());
    for (location, target) in [
        (Location::Absolute, format!("/up/1?{digest}")),
        (Location::Relative, format!("/v2/app/up/1?{digest}")),
        (Location::Query, format!("/up/1?_state=a%2Fb%3D&{digest}")),
    ] {
        let server = upload_server(location);
        let pusher = client(options()).pusher(&reference(&server, "app/x:1"));
        let told = Mutex::new(Vec::new());
        let pushed = pusher
            .push_blob(&blob(), Body::File(&path), None, Chance::Some, &|done| {
                told.lock().expect("lock").push(done);
            })
            .expect("pushed");
        assert_eq!(pushed, Pushed::Uploaded);
        assert_eq!(told.into_inner().expect("lock").last(), Some(&(BLOB.len() as u64)));
        let put = server.seen().pop().expect("a PUT");
        assert_eq!(
            (put.method.as_str(), put.target.as_str()),
            ("PUT", target.as_str()),
            "{location:?}"
        );
        assert_eq!(put.body, BLOB);
        assert_eq!(put.headers_named(&["content-length", "transfer-encoding"]), [Some("21"), None]);
    }
}

#[test]
fn a_blob_that_is_there_is_not_sent() {
    let server = Server::start(|seen| match seen.method.as_str() {
        "HEAD" => Reply::new(200, ""),
        _ => Reply::new(500, ""),
    });
    let pusher = client(options()).pusher(&reference(&server, "app:1"));
    assert_eq!(push(&pusher, None).expect("pushed"), Pushed::Exists);
    assert!(pusher.has_blob(&Digest::of(BLOB)).expect("an answer"));
}

#[test]
fn mounts_are_asked_for_on_the_same_registry_only() {
    for (status, expected) in [
        (201, Pushed::Mounted),
        (202, Pushed::Uploaded),
        (400, Pushed::Uploaded),
        (401, Pushed::Uploaded),
        (403, Pushed::Uploaded),
        (404, Pushed::Uploaded),
        (405, Pushed::Uploaded),
        (503, Pushed::Uploaded),
    ] {
        let server = Server::start(move |seen| match seen.method.as_str() {
            "HEAD" => Reply::new(404, ""),
            "POST" if !seen.target.contains("mount=") || status == 202 => {
                begun(seen, Location::Query)
            }
            "POST" => Reply::new(status, ""),
            _ => Reply::new(201, ""),
        });
        let pusher = client(options()).pusher(&reference(&server, "app:1"));
        let base = reference(&server, "base/image:1").repository();
        assert_eq!(push(&pusher, Some(&base)).expect("pushed"), expected, "{status}");
        let mount = format!("POST /v2/app/blobs/uploads/?mount={}&from=base/image", blob().digest);
        assert_eq!(server.lines()[1], mount);
        let posts = server.lines().iter().filter(|line| line.starts_with("POST")).count();
        assert_eq!(posts, if status < 300 { 1 } else { 2 }, "{status}");
    }
    let server = upload_server(Location::Query);
    let elsewhere = Repository { registry: "other.io".into(), name: "base".into() };
    let pusher = client(options()).pusher(&reference(&server, "app:1"));
    push(&pusher, Some(&elsewhere)).expect("pushed");
    assert!(!server.lines().iter().any(|line| line.contains("mount=")));
}

#[test]
fn a_mount_asks_for_the_source_too_but_push_comes_first() {
    let server = Server::start(|seen| match (seen.path(), seen.header("authorization")) {
        ("/token", _) => Reply::new(200, r#"{"token":"t"}"#),
        (_, None) => {
            let host = seen.header("host").expect("a host");
            let header = format!(r#"Bearer realm="http://{host}/token""#);
            Reply::new(401, "").header("WWW-Authenticate", header)
        }
        _ if seen.method == "HEAD" => Reply::new(404, ""),
        _ => Reply::new(201, ""),
    });
    let pusher = client(options()).pusher(&reference(&server, "app:1"));
    let base = reference(&server, "base:1").repository();
    assert_eq!(push(&pusher, Some(&base)).expect("pushed"), Pushed::Mounted);
    let token = "GET /token?scope=repository%3Aapp%3Apull%2Cpush&scope=repository%3Abase%3Apull";
    assert!(server.lines().iter().any(|line| line == token), "{:?}", server.lines());
}

#[test]
fn a_token_that_dies_during_an_upload_is_renewed() {
    let tokens = Counter::default();
    let server = Server::start(move |seen| {
        if seen.path() == "/token" {
            return Reply::new(
                200,
                format!(r#"{{"token":"t{}","expires_in":300}}"#, tokens.next()),
            );
        }
        let host = seen.header("host").expect("a host");
        let refused = Reply::new(401, "")
            .header("WWW-Authenticate", format!(r#"Bearer realm="http://{host}/token""#));
        match (seen.header("authorization"), seen.method.as_str()) {
            (Some("Bearer t0" | "Bearer t1"), "HEAD") => Reply::new(404, ""),
            (Some("Bearer t0" | "Bearer t1"), "POST") => begun(seen, Location::Query),
            (_, "DELETE") => Reply::new(204, ""),
            (_, "GET") => Reply::new(404, ""),
            (Some("Bearer t1"), "PUT") => Reply::new(201, ""),
            _ => refused,
        }
    });
    let pusher = client(options()).pusher(&reference(&server, "app:1"));
    assert_eq!(push(&pusher, None).expect("pushed"), Pushed::Uploaded);
    let posts = server.lines().iter().filter(|line| line.starts_with("POST")).count();
    assert_eq!(posts, 2, "the first upload has nothing: {:?}", server.lines());
}

#[test]
fn a_refusal_that_a_new_token_does_not_change_is_final() {
    let server = Server::start(|seen| match seen.method.as_str() {
        "HEAD" => Reply::new(404, ""),
        "POST" => begun(seen, Location::Query),
        _ => Reply::new(401, "").header("WWW-Authenticate", "Basic"),
    });
    let pusher = client(options()).pusher(&reference(&server, "app:1"));
    assert!(push(&pusher, None).expect_err("refused").is_unauthorized());
    let puts = server.lines().iter().filter(|line| line.starts_with("PUT")).count();
    assert_eq!(puts, 2);
}

#[test]
fn a_registry_that_hangs_up_does_not_block_the_sender() {
    let bytes = vec![7; 8 << 20];
    let descriptor = Descriptor::new(media_type::OCI_LAYER, Digest::of(&bytes), bytes.len() as u64);
    // A raw listener: the server above reads whole bodies.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback");
    let host = listener.local_addr().expect("bound").to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || answer_without_reading(stream));
        }
    });
    let reference: Reference = format!("{host}/app:1").parse().expect("a reference");
    let pusher = client(Options { retries: 1, ..options() }).pusher(&reference);
    let error = pusher.push_blob(&descriptor, Body::Bytes(&bytes), None, Chance::Some, &|_| ());
    let error = error.expect_err("the registry never takes it");
    let expected = matches!(
        error,
        RegistryError::Status { status: 413, .. } | RegistryError::Connection { .. }
    );
    assert!(expected, "{error:?}");
}

fn answer_without_reading(mut stream: std::net::TcpStream) {
    use std::io::{Read, Write};
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return,
        }
    }
    let head = String::from_utf8_lossy(&head);
    let reply = match head.split(' ').next() {
        Some("GET") => "200 OK\r\nConnection: close",
        Some("HEAD") => "404 Not Found\r\nConnection: close",
        Some("POST") => "202 Accepted\r\nLocation: /up\r\nConnection: close",
        _ => "413 Payload Too Large\r\nConnection: close",
    };
    let _ = write!(stream, "HTTP/1.1 {reply}\r\nContent-Length: 0\r\n\r\n");
}

#[test]
fn a_blob_goes_from_registry_to_registry() {
    let bytes: Vec<u8> = (0..3_000_000u32).flat_map(u32::to_le_bytes).collect();
    let image = Image::new(&bytes);
    let layer = image.layer();
    let requests = Counter::default();
    let source = Server::start(move |seen| match requests.next() {
        0 => image.serve("base", seen).cut(1_000_000), // resumed inside
        _ => image.serve("base", seen),
    });
    let target = upload_server(Location::Query);
    let pusher = client(options()).pusher(&reference(&target, "app:1"));
    let from = reference(&source, "base:1").repository();
    let told = Mutex::new(0);
    let pushed =
        pusher.push_blob(&layer, Body::Remote(&from), Some(&from), Chance::Some, &|done| {
            *told.lock().expect("lock") = done;
        });
    assert_eq!(pushed.expect("pushed"), Pushed::Uploaded);
    assert_eq!(Digest::of(&target.seen().pop().expect("a PUT").body), layer.digest);
    assert_eq!(told.into_inner().expect("lock"), layer.size);
}

#[test]
fn the_error_of_a_bad_source_is_the_sources() {
    let target = upload_server(Location::Query);
    let pusher = client(options()).pusher(&reference(&target, "app:1"));
    let source = Server::start(|_| Reply::new(200, "SOME bytes of a layer"));
    let from = reference(&source, "base:1").repository();
    let error = pusher.push_blob(&blob(), Body::Remote(&from), None, Chance::Some, &|_| ());
    let error = error.expect_err("damaged");
    assert!(
        matches!(&error, RegistryError::Digest { host, .. } if *host == source.host()),
        "{error:?}"
    );
    let puts = target.lines().iter().filter(|line| line.starts_with("PUT")).count();
    assert_eq!(puts, 0, "the target never got a whole body");

    let missing = std::path::Path::new("/nowhere/blob");
    let error = pusher.push_blob(&blob(), Body::File(missing), None, Chance::Some, &|_| ());
    assert!(matches!(error.expect_err("missing"), RegistryError::File { .. }));
    let error = pusher.push_blob(&blob(), Body::Bytes(b"short"), None, Chance::Some, &|_| ());
    let error = error.expect_err("short");
    assert!(matches!(error, RegistryError::Length { expected: 21, found: 5, .. }), "{error:?}");
}

#[test]
fn credentials_do_not_go_to_an_upload_on_another_host() {
    let storage = Server::start(|_| Reply::new(201, ""));
    let elsewhere = format!("http://{}/up?key=1", storage.host());
    let server = Server::start(move |seen| match (seen.header("authorization"), &*seen.method) {
        (None, _) => Reply::new(401, "").header("WWW-Authenticate", "Basic"),
        (_, "HEAD") => Reply::new(404, ""),
        _ => Reply::new(202, "").header("Location", elsewhere.clone()),
    });
    let (_dir, options) = config_json(&json!({server.host(): {"auth": "dTpw"}}));
    let pusher = client(options).pusher(&reference(&server, "app:1"));
    assert_eq!(push(&pusher, None).expect("pushed"), Pushed::Uploaded);
    let put = storage.seen().pop().expect("a PUT");
    assert_eq!((put.header("authorization"), put.body.as_slice()), (None, BLOB));
}

#[test]
fn the_permission_is_asked_for_and_the_upload_cancelled() {
    let server = Server::start(|seen| match seen.method.as_str() {
        "POST" => begun(seen, Location::Query),
        _ => Reply::new(204, ""),
    });
    client(options()).pusher(&reference(&server, "app:1")).check().expect("allowed");
    assert_eq!(server.lines(), ["POST /v2/app/blobs/uploads/", "DELETE /up/1?_state=a%2Fb%3D"]);
    for (status, body, part) in [
        (403, r#"{"errors":[{"code":"DENIED","message":"read only"}]}"#, "read only"),
        (401, "", "does not let kiln push to `app`"),
        (404, r#"{"errors":[{"code":"NAME_UNKNOWN"}]}"#, "made before the first push"),
    ] {
        let server = Server::start(move |_| Reply::new(status, body));
        let error = client(options()).pusher(&reference(&server, "app:1")).check();
        let text = error.expect_err(part).to_string();
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn a_manifest_is_put_by_tag_or_digest() {
    let server = Server::start(|seen| {
        Reply::new(201, "").header("Docker-Content-Digest", Digest::of(&seen.body).to_string())
    });
    let pusher = client(options()).pusher(&reference(&server, "app:1"));
    let digest = Digest::of(b"{}");
    for (given, path) in [
        (None, "1".to_owned()),
        (Some("other"), "other".into()),
        (Some(digest.to_string().as_str()), digest.to_string()),
    ] {
        let put = pusher.put_manifest(given, b"{}", media_type::OCI_MANIFEST).expect("put");
        assert_eq!(put, digest);
        let seen = server.seen().pop().expect("a PUT");
        assert_eq!(seen.target, format!("/v2/app/manifests/{path}"));
        assert_eq!(seen.header("content-type"), Some(media_type::OCI_MANIFEST));
    }
    for given in ["../x", "a/b", "", "a?b"] {
        assert!(pusher.put_manifest(Some(given), b"{}", "x").is_err(), "{given}");
    }
    let liar = Server::start(|_| {
        Reply::new(201, "").header("Docker-Content-Digest", Digest::of(b"x").to_string())
    });
    let pusher = client(options()).pusher(&reference(&liar, "app:1"));
    let error = pusher.put_manifest(None, b"{}", media_type::OCI_MANIFEST).expect_err("a lie");
    assert!(matches!(error, RegistryError::Digest { .. }), "{error:?}");
}

#[test]
fn a_media_type_that_the_registry_does_not_know_is_named_with_what_to_do() {
    let server = Server::start(|_| {
        let body = r#"{"errors":[{"code":"MANIFEST_INVALID","message":"manifest invalid",
            "detail":"unknown media type: application/vnd.oci.image.layer.v1.tar+zstd"}]}"#;
        Reply::new(400, body)
    });
    let pusher = client(options()).pusher(&reference(&server, "app:1"));
    let error = pusher.put_manifest(None, b"{}", media_type::OCI_MANIFEST).expect_err("refused");
    assert!(matches!(error, RegistryError::MediaType { .. }), "{error:?}");
    let text = error.to_string();
    for part in ["`application/vnd.oci.image.layer.v1.tar+zstd`", "--compression gzip", "app:1"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(server.lines().len(), 1);
}

#[test]
fn a_refusal_names_the_credentials_and_the_scope_but_no_secret() {
    let server = Server::start(|seen| match seen.header("authorization") {
        None => Reply::new(401, "").header("WWW-Authenticate", "Basic"),
        Some(_) => Reply::new(403, r#"{"errors":[{"code":"DENIED","message":"not for you"}]}"#),
    });
    let auth = json!({server.host(): {"username": "gitlab-ci-token", "password": "geheim"}});
    let (_dir, options) = config_json(&auth);
    let error = client(options).pusher(&reference(&server, "team/app:1")).check();
    let text = error.expect_err("refused").to_string();
    for part in [
        "`repository:team/app:pull,push`",
        &server.host(),
        "config.json",
        "not for you",
        "its own project",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("geheim"), "{text}");
}

#[test]
fn a_protected_tag_is_fine_when_it_names_the_same() {
    for (named, works) in [(&b"{}"[..], true), (b"other", false)] {
        let server = Server::start(move |seen| match seen.method.as_str() {
            "PUT" => Reply::new(
                400,
                r#"{"errors":[{"code":"TAG_INVALID","message":"tag is immutable"}]}"#,
            ),
            _ => Reply::new(200, "").header("Docker-Content-Digest", Digest::of(named).to_string()),
        });
        let pusher = client(options()).pusher(&reference(&server, "app:1"));
        match pusher.put_manifest(None, b"{}", media_type::OCI_MANIFEST) {
            Ok(digest) if works => assert_eq!(digest, Digest::of(b"{}")),
            Err(error @ RegistryError::ImmutableTag { .. }) if !works => {
                assert!(error.to_string().contains("tag is immutable"), "{error}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_tag_is_looked_up() {
    let server = Server::start(|seen| match (seen.path(), seen.method.as_str()) {
        ("/v2/app/manifests/1", _) => {
            Reply::new(200, "").header("Docker-Content-Digest", Digest::of(b"x").to_string())
        }
        ("/v2/app/manifests/2", _) => Reply::new(200, "body"),
        ("/v2/app/manifests/3", _) => Reply::new(404, ""),
        _ => Reply::new(403, ""),
    });
    let client = client(options());
    let head =
        |tag: &str| client.pusher(&reference(&server, &format!("app:{tag}"))).head_manifest();
    assert_eq!(head("1").expect("an answer"), Some(Digest::of(b"x")));
    assert_eq!(head("2").expect("an answer"), Some(Digest::of(b"body")));
    assert_eq!(head("3").expect("an answer"), None);
    assert!(head("4").expect_err("refused").is_unauthorized());
}

/// How a blob that this build has made gets there, and in which requests.
#[test]
fn what_was_just_made_is_looked_for_where_that_costs_nothing() {
    let small = b"small".to_vec();
    let large = vec![7; 65 << 10];
    let mount = |server: &Server| reference(server, "other:1").repository();
    for (blob, there, mounts, takes, expected, methods) in [
        (&small, false, None, true, Pushed::Uploaded, "POST PUT"),
        (&small, true, None, true, Pushed::Uploaded, "POST PUT"),
        // Whoever does not want it again is asked why.
        (&small, true, None, false, Pushed::Exists, "DELETE HEAD POST PUT"),
        (&small, false, Some(true), true, Pushed::Mounted, "POST"),
        (&small, false, Some(false), true, Pushed::Uploaded, "POST PUT"),
        (&large, false, None, true, Pushed::Uploaded, "HEAD POST PUT"),
        (&large, true, None, true, Pushed::Exists, "DELETE HEAD POST"),
        (&large, true, Some(true), true, Pushed::Mounted, "POST"),
        (&large, true, Some(false), true, Pushed::Exists, "DELETE HEAD POST"),
    ] {
        let server = Server::start(move |seen| match &*seen.method {
            "HEAD" => Reply::new(if there { 200 } else { 404 }, ""),
            "POST" if mounts == Some(true) => Reply::new(201, ""),
            "POST" => Reply::new(202, "").header("Location", "/v2/app/blobs/uploads/1"),
            "PUT" if takes => Reply::new(201, ""),
            "PUT" => Reply::new(400, r#"{"errors":[{"code":"EXISTS","message":"it is here"}]}"#),
            _ => Reply::new(204, ""),
        });
        let client = client(options());
        let pusher = client.pusher(&reference(&server, "app:1"));
        let descriptor =
            Descriptor::new(media_type::OCI_LAYER, Digest::of(blob), blob.len() as u64);
        let from = mounts.map(|_| mount(&server));
        let body = Body::Bytes(blob);
        let pushed = pusher.push_blob(&descriptor, body, from.as_ref(), Chance::Little, &|_| ());
        client.settle();
        let mut seen: Vec<_> = server.seen().into_iter().map(|seen| seen.method).collect();
        seen.sort();
        let seen = seen.join(" ");
        assert_eq!((pushed.expect(methods), &*seen), (expected, methods), "{there} {mounts:?}");
    }
}
