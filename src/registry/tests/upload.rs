//! Uploads that break, and go on.

use std::sync::Mutex;

use super::uploads::{Fault, Uploads};
use super::*;

const BLOB: &[u8] = b"some bytes of a layer";

fn descriptor_of(bytes: &[u8]) -> Descriptor {
    Descriptor::new(media_type::OCI_LAYER, Digest::of(bytes), bytes.len() as u64)
}

fn send(registry: &Uploads, bytes: &[u8], options: Options) -> Result<Pushed, RegistryError> {
    let pusher = client(options).pusher(&reference(&registry.server, "app:1"));
    pusher.push_blob(&descriptor_of(bytes), Body::Bytes(bytes), None, Chance::Some, &|_| ())
}

fn refused(status: u16) -> Reply {
    Reply::new(status, "")
}

/// The script of a registry whose first request with bytes fails so.
fn first(fault: Fault) -> impl Fn(usize, &Seen) -> Option<Fault> + Send + Sync {
    move |number, _| (number == 0).then(|| fault.clone())
}

#[test]
fn an_upload_goes_on_where_it_broke_or_starts_again() {
    let kept = "HEAD POST PUT GET PATCH PUT";
    let looked = "HEAD POST PUT HEAD GET PATCH PUT";
    let nothing = "HEAD POST PUT HEAD GET DELETE HEAD POST PUT";
    for (fault, methods) in [
        (Fault::Keeps(8, Reply::hang_up()), looked),
        (Fault::Keeps(21, Reply::hang_up()), "HEAD POST PUT HEAD GET PUT"),
        (Fault::Unheard, "HEAD POST PUT HEAD"),
        (Fault::Keeps(8, refused(408)), looked),
        (Fault::Keeps(8, refused(429)), looked),
        (Fault::Keeps(8, refused(500)), looked),
        (Fault::Keeps(8, refused(503).header("Retry-After", "0")), looked),
        (Fault::Keeps(8, refused(507)), looked),
        (Fault::Keeps(8, refused(401)), kept),
        (Fault::Keeps(8, refused(416)), kept),
        (Fault::Keeps(0, Reply::hang_up()), nothing),
        (Fault::Keeps(0, refused(502)), nothing),
        (Fault::Keeps(0, refused(404)), "HEAD POST PUT DELETE HEAD POST PUT"),
        (Fault::Keeps(0, refused(401)), "HEAD POST PUT GET DELETE HEAD POST PUT"),
    ] {
        let registry = Uploads::start(first(fault));
        assert_eq!(send(&registry, BLOB, options()).expect(methods), Pushed::Uploaded);
        assert_eq!(registry.blob(&Digest::of(BLOB)).expect("there"), BLOB);
        assert_eq!(registry.methods(), methods);
    }
}

#[test]
fn what_cannot_pass_is_not_tried_again() {
    for status in [400, 403, 409, 501, 505] {
        let registry = Uploads::start(first(Fault::Keeps(0, refused(status))));
        send(&registry, BLOB, options()).expect_err("final");
        assert_eq!(registry.methods(), "HEAD POST PUT DELETE", "{status}");
    }
}

#[test]
fn bytes_that_the_registry_finds_wrong_are_one_clear_error() {
    let body = r#"{"errors":[{"code":"DIGEST_INVALID","message":"no"}]}"#;
    let registry = Uploads::start(first(Fault::Keeps(0, Reply::new(400, body))));
    let error = send(&registry, BLOB, options()).expect_err("final");
    assert!(matches!(error, RegistryError::Damaged { .. }), "{error:?}");
    let text = error.to_string();
    for part in [&Digest::of(BLOB).to_string(), &registry.server.host(), "DIGEST_INVALID"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(registry.methods(), "HEAD POST PUT DELETE");
}

/// A registry that loses count: what it kept of the broken request is not what was sent.
#[test]
fn a_registry_that_put_parts_together_wrongly_gets_one_piece() {
    let registry = Uploads::start(|number, seen| match number {
        0 => Some(Fault::Keeps(8, refused(503))),
        1 => {
            assert_eq!(seen.method, "PATCH");
            let range = Reply::new(202, "").header("Range", "0-20");
            Some(Fault::Keeps(12, range)) // one byte is lost
        }
        _ => None,
    });
    assert_eq!(send(&registry, BLOB, options()).expect("pushed"), Pushed::Uploaded);
    assert_eq!(registry.methods(), "HEAD POST PUT HEAD GET PATCH PUT DELETE HEAD POST PUT");
}

#[test]
fn a_registry_without_patch_gets_all_again() {
    for status in [405, 501] {
        let registry = Uploads::start(move |number, seen| match (number, seen.method.as_str()) {
            (0, _) => Some(Fault::Keeps(8, refused(503))),
            (_, "PATCH") => Some(Fault::Keeps(0, refused(status))),
            _ => None,
        });
        assert_eq!(send(&registry, BLOB, options()).expect("pushed"), Pushed::Uploaded);
        let methods = "HEAD POST PUT HEAD GET PATCH DELETE HEAD POST PUT";
        assert_eq!(registry.methods(), methods);
    }
}

/// What a registry says of a part that it cannot put to the others differs; a new upload is another
/// thing. Once.
#[test]
fn a_rest_that_is_refused_leads_to_one_new_upload() {
    let resumed = "HEAD POST PUT HEAD GET PATCH DELETE HEAD POST PUT";
    for (statuses, methods) in [
        (&[400][..], resumed),
        (&[409], resumed),
        (&[411], resumed),
        (&[422], resumed),
        (&[400, 400], "HEAD POST PUT HEAD GET PATCH DELETE HEAD POST PUT DELETE"),
        (&[403], "HEAD POST PUT HEAD GET PATCH DELETE"),
    ] {
        let registry = Uploads::start(move |number, _| match number {
            0 => Some(Fault::Keeps(8, refused(503))),
            later => Some(Fault::Keeps(0, refused(*statuses.get(later - 1)?))),
        });
        let pushed = send(&registry, BLOB, options());
        assert_eq!(pushed.is_ok(), methods.ends_with("PUT"), "{statuses:?}: {pushed:?}");
        assert_eq!(registry.methods(), methods, "{statuses:?}");
    }
}

/// Chunks that are less than what counts as progress are progress together.
#[test]
fn failures_between_small_chunks_are_forgotten() {
    let registry =
        Uploads::start(|number, _| (number % 2 == 1).then(|| Fault::Keeps(0, refused(503))));
    let chunks = Options { upload_chunk: Some(300_000), ..options() };
    assert_eq!(send(&registry, &big(), chunks).expect("pushed"), Pushed::Uploaded);
    assert!(registry.blob(&Digest::of(&big())).expect("there") == big());
}

#[test]
fn chunks_are_sent_in_order_to_where_each_answer_says() {
    let chunks = |chunk| Options { upload_chunk: Some(chunk), ..options() };
    for (options, header, lengths) in [
        (chunks(10), None, &[10, 10, 1, 0][..]),
        (chunks(21), None, &[21]),
        (chunks(4), Some("15"), &[15, 6, 0]),
        (options(), Some("15"), &[21]),
    ] {
        let header = header.map(|value| ("OCI-Chunk-Min-Length", value));
        let registry = Uploads::with_header(|_, _| None, header);
        assert_eq!(send(&registry, BLOB, options).expect("pushed"), Pushed::Uploaded);
        let sent: Vec<_> = registry.server.seen().split_off(2);
        let found: Vec<_> = sent.iter().map(|seen| seen.body.len()).collect();
        assert_eq!(found, lengths);
        let mut offset = 0;
        for seen in sent {
            assert!(seen.target.starts_with(&format!("/up/0?state=a%2Fb{offset}")), "{seen:?}");
            offset += seen.body.len();
        }
        assert_eq!(registry.blob(&Digest::of(BLOB)).expect("there"), BLOB);
    }
}

#[test]
fn a_chunk_that_broke_is_asked_for_and_goes_on() {
    let chunks = || Options { upload_chunk: Some(10), ..options() };
    for (fault, methods) in [
        (Fault::Keeps(5, Reply::hang_up()), "HEAD POST PATCH PATCH GET PATCH PUT"),
        (Fault::Keeps(10, Reply::hang_up()), "HEAD POST PATCH PATCH GET PATCH PUT"),
        (Fault::Keeps(5, refused(503)), "HEAD POST PATCH PATCH GET PATCH PUT"),
        (Fault::Keeps(5, refused(416)), "HEAD POST PATCH PATCH GET PATCH PUT"),
        (Fault::Keeps(0, refused(401)), "HEAD POST PATCH PATCH GET PATCH PATCH PUT"),
        (Fault::Keeps(5, refused(202).header("Range", "0-14")), "HEAD POST PATCH PATCH PATCH PUT"),
    ] {
        let registry = Uploads::start(move |number, _| (number == 1).then(|| fault.clone()));
        assert_eq!(send(&registry, BLOB, chunks()).expect(methods), Pushed::Uploaded);
        assert_eq!(registry.blob(&Digest::of(BLOB)).expect("there"), BLOB);
        assert_eq!(registry.methods(), methods);
    }
}

/// Bytes that differ everywhere, of 12 MB.
fn big() -> Vec<u8> {
    (0..3_000_000u32).flat_map(u32::to_le_bytes).collect()
}

#[test]
fn what_is_too_large_for_a_proxy_is_sent_in_smaller_chunks() {
    const LIMIT: usize = 6 << 20;
    let registry =
        Uploads::start(|_, seen| (seen.body.len() > LIMIT).then(|| Fault::Keeps(0, refused(413))));
    assert_eq!(send(&registry, &big(), options()).expect("pushed"), Pushed::Uploaded);
    let sent = registry.server.seen().into_iter().filter(|seen| seen.method.starts_with('P'));
    let lengths: Vec<_> = sent.map(|seen| seen.body.len()).filter(|length| *length > 0).collect();
    let mib = 1 << 20;
    assert_eq!(lengths, [12_000_000, 8 * mib, 4 * mib, 4 * mib, 12_000_000 - 8 * mib]);

    let strict =
        Uploads::start(|_, seen| (seen.body.len() > 1000).then(|| Fault::Keeps(0, refused(413))));
    let text = send(&strict, &big(), options()).expect_err("never").to_string();
    assert!(text.contains("413") && text.contains("proxy"), "{text}");
}

/// Tokens that end sooner than a request: each is good for so many bytes.
#[test]
fn credentials_that_end_too_soon_lead_to_chunks() {
    const LIMIT: usize = 6 << 20;
    let registry =
        Uploads::start(|_, seen| (seen.body.len() > LIMIT).then(|| Fault::Keeps(0, refused(401))));
    assert_eq!(send(&registry, &big(), options()).expect("pushed"), Pushed::Uploaded);
    assert_eq!(registry.blob(&Digest::of(&big())).map(|blob| blob.len()), Some(12_000_000));
    let longest = registry.server.seen().into_iter().rev().take(4).map(|seen| seen.body.len());
    assert!(longest.max() <= Some(LIMIT), "{}", registry.methods());
}

#[test]
fn a_way_that_breaks_again_and_again_is_left_for_chunks() {
    const LIMIT: usize = 70 << 20;
    let bytes = vec![7; 80 << 20];
    let registry = Uploads::start(|_, seen| {
        (seen.body.len() > LIMIT).then(|| Fault::Keeps(0, Reply::hang_up()))
    });
    assert_eq!(send(&registry, &bytes, options()).expect("pushed"), Pushed::Uploaded);
    let puts = registry.methods().split(' ').filter(|method| *method == "PUT").count();
    assert_eq!(puts, 3, "{}", registry.methods());
}

/// It says that it has something, and forgets it when more comes.
#[test]
fn patience_with_a_registry_that_forgets_ends() {
    let bytes = big();
    for status in [503, 401] {
        let registry = Uploads::start(move |_, seen| match seen.method.as_str() {
            "PUT" => Some(Fault::Keeps(5_000_000.min(seen.body.len()), refused(status))),
            _ => Some(Fault::Keeps(0, refused(404))),
        });
        send(&registry, &bytes, options()).expect_err("never");
        assert!(registry.server.lines().len() < 60, "{}", registry.server.lines().len());
    }
}

#[test]
fn patience_with_a_registry_that_always_breaks_ends() {
    let registry = Uploads::start(|_, _| Some(Fault::Keeps(0, refused(503))));
    let error = send(&registry, BLOB, options()).expect_err("never");
    assert!(matches!(error, RegistryError::Status { status: 503, .. }), "{error:?}");
    let puts = registry.methods().split(' ').filter(|method| *method == "PUT").count();
    assert_eq!(puts, 6);
    let registry =
        Uploads::start(|_, _| Some(Fault::Keeps(0, refused(503).header("Retry-After", "30"))));
    let hasty = Options { retry_budget: Duration::from_secs(20), ..options() };
    let text = send(&registry, BLOB, hasty).expect_err("too long").to_string();
    assert!(text.contains("20 s are left of the 20 s"), "{text}");
    let registry = Uploads::start(|_, _| Some(Fault::Keeps(0, refused(503))));
    let hasty = Options { retry_budget: Duration::ZERO, ..options() };
    send(&registry, BLOB, hasty).expect_err("no waiting");
    assert_eq!(registry.methods(), "HEAD POST PUT DELETE");
}

#[test]
fn a_file_and_a_registry_are_read_on_in_the_middle() {
    let bytes = big();
    let dir = tempfile::tempdir().expect("temp");
    let path = dir.path().join("blob");
    std::fs::write(&path, &bytes).expect("write");
    let image = Image::new(&bytes);
    let layer = image.layer();
    let source = Server::start(move |seen| match seen.header("range") {
        Some(range) => {
            assert_eq!(range, "bytes=5000000-");
            let part = &image.layer[5_000_000..];
            Reply::new(206, part).header("Content-Range", "bytes 5000000-11999999/12000000")
        }
        None => image.serve("base", seen),
    });
    let from = reference(&source, "base:1").repository();
    for body in [Body::File(&path), Body::Later(&|| Ok(path.clone())), Body::Remote(&from)] {
        let registry = Uploads::start(first(Fault::Keeps(5_000_000, refused(503))));
        let pusher = client(options()).pusher(&reference(&registry.server, "app:1"));
        let told = Mutex::new(Vec::new());
        let tell = |done| told.lock().expect("lock").push(done);
        let pushed = pusher.push_blob(&layer, body, None, Chance::Some, &tell);
        assert_eq!(pushed.expect("pushed"), Pushed::Uploaded);
        assert!(registry.blob(&layer.digest).expect("there") == bytes);
        let told = told.into_inner().expect("lock");
        assert!(told.contains(&5_000_000) && told.last() == Some(&12_000_000));
    }
    assert_eq!(source.lines().len(), 2, "{:?}", source.lines());
}

#[test]
fn redirects_are_followed_without_credentials() {
    let store = Uploads::start(|_, _| None);
    for methods in [&["POST"][..], &["PUT"], &["POST", "PUT"], &["PATCH", "PUT"]] {
        let host = store.server.host();
        let server = Server::start(move |seen| match seen.header("authorization") {
            None => refused(401).header("WWW-Authenticate", "Basic"),
            Some(_) if methods.contains(&&*seen.method) => {
                refused(307).header("Location", format!("http://{host}{}", seen.target))
            }
            Some(_) if seen.method == "HEAD" => refused(404),
            Some(_) if seen.method == "POST" => refused(202).header("Location", "/up/0?state=x%2F"),
            Some(_) => panic!("{seen:?}"),
        });
        // The store has an upload that the registry's own answer to POST names.
        if !methods.contains(&"POST") {
            let open = client(options()).pusher(&reference(&store.server, "app:1"));
            open.check().expect("an upload");
        }
        let (_dir, logged_in) = config_json(&json!({server.host(): {"auth": "dTpw"}}));
        let chunk = methods.contains(&"PATCH").then_some(10);
        let pusher = client(Options { upload_chunk: chunk, ..logged_in })
            .pusher(&reference(&server, "app:1"));
        let pushed =
            pusher.push_blob(&descriptor_of(BLOB), Body::Bytes(BLOB), None, Chance::Some, &|_| ());
        assert_eq!(pushed.expect("pushed"), Pushed::Uploaded, "{methods:?}");
        assert_eq!(store.blob(&Digest::of(BLOB)).expect("there"), BLOB);
    }
    let mut seen = store.server.seen().into_iter();
    assert!(seen.all(|seen| seen.header("authorization").is_none()));
}
