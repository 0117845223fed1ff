//! Manifests, platforms, mirrors, blobs.

use std::io::Read;

use super::*;

fn index(manifests: &Value) -> Vec<u8> {
    json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": manifests})
        .to_string()
        .into_bytes()
}

fn entry(bytes: &[u8], platform: &str) -> Value {
    let mut entry = descriptor(media_type::OCI_MANIFEST, bytes);
    let parts: Vec<_> = platform.split('/').collect();
    entry["platform"] = json!({"os": parts[0], "architecture": parts[1]});
    if let Some(variant) = parts.get(2) {
        entry["platform"]["variant"] = json!(variant);
    }
    entry
}

/// A repository `app` whose tag `i` is an index.
fn index_server(image: Image, index: Vec<u8>) -> Server {
    Server::start(move |seen| match seen.path() {
        "/v2/app/manifests/i" => Reply::new(200, index.clone()),
        _ => image.serve("app", seen),
    })
}

#[test]
fn an_image_is_resolved_with_its_config() {
    let image = Image::new(b"layer");
    let (config, manifest) = (image.config.clone(), Digest::of(&image.manifest));
    let server = Server::start(move |seen| image.serve("app", seen));
    let reference = reference(&server, "app:1");
    let resolved = client(options()).resolve(&reference, &amd64()).expect("resolved");
    assert_eq!(resolved.config_bytes, config);
    assert_eq!((resolved.digest, resolved.top_digest), (manifest, manifest));
    assert_eq!(resolved.config.rootfs.diff_ids, [Digest::of(b"layer")]);
    assert_eq!(resolved.repository, reference.repository());
    let seen = server.seen();
    let accept = seen[0].header("accept").expect("an Accept header");
    assert!(accept.contains("manifest.list.v2+json") && accept.contains("image.manifest.v1+json"));
    assert!(seen[0].header("user-agent").is_some_and(|agent| agent.starts_with("kiln/")));
}

#[test]
fn the_platform_is_picked_from_an_index() {
    let image = Image::new(b"layer");
    let other = b"{}".as_slice();
    let attestation = entry(b"a", "unknown/unknown");
    for (platforms, wanted, finds) in [
        (vec![(other, "linux/arm64"), (&*image.manifest, "linux/amd64")], "linux/amd64", true),
        (vec![(other, "windows/amd64"), (&*image.manifest, "linux/amd64")], "linux/amd64", true),
        (vec![(other, "linux/arm/v5"), (&*image.manifest, "linux/arm/v6")], "linux/arm/v7", true),
        (vec![(&*image.manifest, "linux/arm64/v8")], "linux/arm64", true),
        (vec![(&*image.manifest, "linux/amd64")], "linux/amd64/v3", true),
        (vec![(other, "linux/arm64"), (other, "linux/arm/v7")], "linux/amd64", false),
        (vec![(other, "linux/amd64/v2")], "linux/amd64", false),
    ] {
        let mut manifests: Vec<_> = platforms.iter().map(|(b, p)| entry(b, p)).collect();
        manifests.insert(0, attestation.clone());
        let bytes = index(&json!(manifests));
        let server = index_server(Image::new(b"layer"), bytes.clone());
        let reference = reference(&server, "app:i");
        let wanted: Platform = wanted.parse().expect("a platform");
        match client(options()).resolve(&reference, &wanted) {
            Ok(resolved) if finds => {
                assert_eq!(resolved.top_digest, Digest::of(&bytes));
                assert_eq!(resolved.digest, Digest::of(&image.manifest));
            }
            Err(error) if !finds => {
                let text = error.to_string();
                let names: Vec<_> = platforms.iter().map(|(_, name)| *name).collect();
                let available = format!("no image for {wanted}; it has {}", names.join(", "));
                assert!(text.contains(&available), "{text}");
            }
            other => panic!("{wanted}: {other:?}"),
        }
    }
}

#[test]
fn documents_that_are_no_image_are_refused() {
    let deep = index(&json!([entry(b"", "linux/amd64")]));
    for (body, part) in [
        (&br#"{"schemaVersion":1}"#[..], "schema 1"),
        (b"{", "not valid"),
        (br#"{"schemaVersion":2,"mediaType":"application/x"}"#, "application/x"),
        (&deep, "does not exist"),
        (&vec![b' '; 9 << 20], "larger than"),
    ] {
        let body = body.to_vec();
        let server = index_server(Image::new(b"layer"), body);
        let error = client(options()).resolve(&reference(&server, "app:i"), &amd64());
        let text = error.expect_err(part).to_string();
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn a_config_must_belong_to_its_manifest() {
    type Change = fn(&mut Image);
    let changes: [(Change, &str); 4] = [
        (|image| image.config[0] = b' ', "is damaged: expected sha256:"),
        (|image| image.config.push(b' '), "bytes, found"),
        (|image| *image = rebuilt(image, &json!({"rootfs": {"diff_ids": []}})), "names 0 layers"),
        (|image| *image = rebuilt(image, &json!([])), "config is not valid"),
    ];
    for (change, part) in changes {
        let mut image = Image::new(b"layer");
        let path = format!("/v2/app/blobs/{}", Digest::of(&image.config));
        change(&mut image);
        let server = Server::start(move |seen| match seen.path() {
            own if own == path => Reply::new(200, image.config.clone()),
            _ => image.serve("app", seen),
        });
        let error = client(options()).resolve(&reference(&server, "app:1"), &amd64());
        let text = error.expect_err(part).to_string();
        assert!(text.contains(part), "{part}: {text}");
    }
}

fn rebuilt(image: &Image, config: &Value) -> Image {
    let config = config.to_string().into_bytes();
    let mut manifest: Value = serde_json::from_slice(&image.manifest).expect("json");
    manifest["config"] = descriptor(media_type::OCI_CONFIG, &config);
    Image { manifest: manifest.to_string().into_bytes(), config, layer: image.layer.clone() }
}

#[test]
fn a_manifest_is_checked_against_its_digest() {
    let image = Image::new(b"layer");
    let manifest = image.manifest.clone();
    let server = Server::start(move |seen| match seen.path() {
        "/v2/app/manifests/1" => Reply::new(200, manifest.clone())
            .header("Docker-Content-Digest", Digest::of(b"other").to_string()),
        "/v2/app/manifests/2" => {
            Reply::new(200, manifest.clone()).header("Docker-Content-Digest", "sha512:00")
        }
        path if path.contains("/manifests/sha256:") => Reply::new(200, manifest.clone()),
        _ => image.serve("app", seen),
    });
    let client = client(options());
    for (name, works) in [
        ("app:1".to_owned(), false),
        ("app:2".into(), true), // an algorithm that is not ours says nothing
        (format!("app@{}", Digest::of(b"other")), false),
    ] {
        let outcome = client.resolve(&reference(&server, &name), &amd64());
        match outcome {
            Ok(_) if works => {}
            Err(RegistryError::Digest { .. }) if !works => {}
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn a_missing_image_is_named_with_what_to_do() {
    let server = Server::start(|seen| Image::new(b"layer").serve("app", seen));
    let error = client(options()).resolve(&reference(&server, "app:2"), &amd64()).expect_err("404");
    assert!(error.is_not_found());
    let text = error.to_string();
    for part in
        [&format!("`{}/app:2`", server.host()), "does not exist, or needs credentials", "gone"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(server.lines().len(), 1, "a 404 is not tried again");
}

#[test]
fn passing_failures_are_tried_again() {
    for (status, header) in [(503, None), (429, Some("0")), (500, Some("0")), (408, None)] {
        let image = Image::new(b"layer");
        let requests = Counter::default();
        let server = Server::start(move |seen| match requests.next() {
            0 | 1 => {
                let reply = Reply::new(status, "");
                header.map_or(reply.clone(), |value| reply.header("Retry-After", value))
            }
            _ => image.serve("app", seen),
        });
        client(options()).resolve(&reference(&server, "app:1"), &amd64()).expect("resolved");
        assert_eq!(server.lines().len(), 4);
    }
}

#[test]
fn patience_ends() {
    let server = Server::start(|_| Reply::new(429, "slow").header("Retry-After", "3600"));
    let error = client(options()).resolve(&reference(&server, "app:1"), &amd64()).expect_err("429");
    assert!(matches!(error, RegistryError::Impatient { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("asks to wait 3600 s") && text.contains("slow"), "{text}");
    assert!(text.contains("180 s") && text.contains("--retry-budget"), "{text}");
    assert_eq!(server.lines().len(), 1, "longer than the budget");

    let server = Server::start(|_| Reply::new(502, ""));
    let error = client(options()).resolve(&reference(&server, "app:1"), &amd64()).expect_err("502");
    assert!(matches!(error, RegistryError::Status { status: 502, .. }), "{error:?}");
    assert_eq!(server.lines().len(), 6);
}

#[test]
fn a_limit_of_requests_is_told() {
    let server = Server::start(|_| {
        Reply::new(429, "toomanyrequests")
            .header("RateLimit-Limit", "100;w=21600")
            .header("RateLimit-Remaining", "0;w=21600")
            .header("Docker-RateLimit-Source", "192.0.2.7")
    });
    let hasty = Options { retries: 0, ..options() };
    let error = client(hasty).resolve(&reference(&server, "app:1"), &amd64()).expect_err("429");
    let text = error.to_string();
    let limit = "its limit is 100 in 6 h, 0 are left, counted for `192.0.2.7`";
    assert!(text.contains(limit) && text.contains("toomanyrequests"), "{text}");
    assert_eq!(server.lines(), ["GET /v2/app/manifests/1"], "nothing else is asked for it");
}

#[test]
fn mirrors_are_asked_first_and_the_registry_when_they_fail() {
    let broken = Server::start(|_| Reply::new(500, ""));
    let mirror = {
        let image = Image::new(b"layer");
        Server::start(move |seen| image.serve("proxy/app", seen))
    };
    let origin = {
        let image = Image::new(b"layer");
        Server::start(move |seen| image.serve("app", seen))
    };
    let map = |mirrors: Vec<String>| Options {
        registry_map: vec![(origin.host(), mirrors)],
        ..options()
    };
    let reference = reference(&origin, "app:1");

    let client_1 = client(map(vec![broken.host(), format!("http://{}/proxy", mirror.host())]));
    let resolved = client_1.resolve(&reference, &amd64()).expect("resolved");
    assert_eq!(resolved.repository.to_string(), format!("{}/proxy/app", mirror.host()));
    assert_eq!((broken.lines().len(), origin.lines().len()), (2, 0));

    let client_2 = client(map(vec![broken.host()]));
    let resolved = client_2.resolve(&reference, &amd64()).expect("resolved");
    assert_eq!(resolved.repository, reference.repository());

    let strict = Options { no_default_fallback: true, ..map(vec![broken.host()]) };
    let asked = origin.lines().len();
    let error = client(strict).resolve(&reference, &amd64()).expect_err("no fallback");
    assert!(error.to_string().contains(&broken.host()), "{error}");
    assert_eq!(origin.lines().len(), asked);
}

#[test]
fn a_mirror_gets_its_own_credentials_and_the_registry_its_own() {
    let guarded = |name: &'static str, image: Image| {
        Server::start(move |seen| match seen.header("authorization") {
            None => Reply::new(401, "").header("WWW-Authenticate", "Basic"),
            Some(_) => image.serve(name, seen),
        })
    };
    let mirror = guarded("proxy/app", Image::new(b"layer"));
    let origin = guarded("app", Image::new(b"layer"));
    // base64 of m:m and o:o.
    let auths = json!({mirror.host(): {"auth": "bTpt"}, origin.host(): {"auth": "bzpv"}});
    let (_dir, options) = config_json(&auths);
    let map = vec![(origin.host(), vec![format!("{}/proxy", mirror.host())])];
    let client = client(Options { registry_map: map, ..options });
    client.resolve(&reference(&origin, "app:1"), &amd64()).expect("from the mirror");
    let missing = client.resolve(&reference(&origin, "app:2"), &amd64());
    assert!(missing.expect_err("nowhere").is_not_found());
    for (server, own) in [(&mirror, "Basic bTpt"), (&origin, "Basic bzpv")] {
        let seen = server.seen();
        let shown: Vec<_> = seen.iter().filter_map(|seen| seen.header("authorization")).collect();
        assert!(!shown.is_empty() && shown.iter().all(|header| *header == own), "{shown:?}");
    }
}

#[test]
fn the_errors_of_all_places_are_told() {
    let mirror = Server::start(|_| Reply::new(403, "no mirror for you"));
    let origin = Server::start(|_| Reply::new(404, ""));
    let options = Options { registry_map: vec![(origin.host(), vec![mirror.host()])], ..options() };
    let error = client(options).resolve(&reference(&origin, "app:1"), &amd64()).expect_err("none");
    assert!(error.is_not_found());
    let text = error.to_string();
    assert!(text.contains("mirrors failed") && text.contains("no mirror for you"), "{text}");
}

#[test]
fn a_blob_that_the_mirror_lost_comes_from_the_registry() {
    let mirror = {
        let image = Image::new(b"layer");
        let lost = format!("/v2/app/blobs/{}", Digest::of(b"layer"));
        Server::start(move |seen| match seen.path() {
            path if path == lost => Reply::new(404, ""),
            _ => image.serve("app", seen),
        })
    };
    let image = Image::new(b"layer");
    let layer = image.layer();
    let origin = Server::start(move |seen| image.serve("app", seen));
    let client =
        client(Options { registry_map: vec![(origin.host(), vec![mirror.host()])], ..options() });
    let resolved = client.resolve(&reference(&origin, "app:1"), &amd64()).expect("resolved");
    assert_eq!(resolved.repository.registry, mirror.host());
    let reader = client.open_blob(&resolved.repository, &layer).expect("opened");
    assert_eq!(read_all(reader).expect("read"), b"layer");
}

/// Bytes that differ everywhere.
fn big() -> Vec<u8> {
    (0..3_000_000u32).flat_map(u32::to_le_bytes).collect()
}

#[test]
fn a_blob_is_resumed_where_the_connection_broke() {
    for knows_ranges in [true, false] {
        let image = Image::new(&big());
        let layer = image.layer();
        let requests = Counter::default();
        let server = Server::start(move |seen| match (requests.next(), seen.header("range")) {
            (0, None) => Reply::new(200, big()).cut(1_000_000),
            (1, Some(_)) => Reply::new(503, ""),
            (2, Some(_)) if !knows_ranges => Reply::new(200, big()).cut(5_000_000),
            (_, Some(range)) if knows_ranges => {
                let from = range.strip_prefix("bytes=").and_then(|rest| rest.strip_suffix('-'));
                let from: usize = from.expect("a range").parse().expect("a number");
                let total = big().len();
                let reply = Reply::new(206, &big()[from..]);
                reply.header("Content-Range", format!("bytes {from}-{}/{total}", total - 1))
            }
            (_, Some(_)) => Reply::new(200, big()),
            other => panic!("{other:?}"),
        });
        let repository = reference(&server, "app:1").repository();
        let reader = client(options()).open_blob(&repository, &layer).expect("opened");
        assert_eq!(Digest::of(&read_all(reader).expect("read")), layer.digest);
        let seen = server.seen();
        assert_eq!(seen[1].header("range"), seen[2].header("range"));
    }
}

#[test]
fn a_blob_that_stays_short_is_an_error_and_no_end() {
    let layer = Image::new(&big()).layer();
    let server = Server::start(|_| Reply::new(200, big()).cut(1000));
    let repository = reference(&server, "app:1").repository();
    let mut reader = client(options()).open_blob(&repository, &layer).expect("opened");
    let mut bytes = Vec::new();
    let error = reader.read_to_end(&mut bytes).expect_err("short").downcast();
    let error: RegistryError = error.expect("a registry error");
    assert!(matches!(error, RegistryError::Truncated { size: 12_000_000, .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains(&layer.digest.to_string()) && text.contains(&server.host()), "{text}");
    assert!(reader.read(&mut [0]).is_err(), "still no end");
    assert_eq!(server.lines().len(), 6);
}

#[test]
fn a_blob_with_other_bytes_is_an_error_and_no_end() {
    let layer = Image::new(b"layer").layer();
    for (body, part) in
        [("lAyer", "found sha256:"), ("layer and more", "expected 5 bytes, found 14")]
    {
        let server = Server::start(move |_| Reply::new(200, body));
        let repository = reference(&server, "app:1").repository();
        let outcome = client(options()).open_blob(&repository, &layer).and_then(read_all);
        let text = outcome.expect_err(body).to_string();
        assert!(text.contains(part) && text.contains(&layer.digest.to_string()), "{text}");
    }
}

#[test]
fn an_empty_blob_and_reads_after_the_end_are_fine() {
    let image = Image::new(b"");
    let layer = image.layer();
    let server = Server::start(move |seen| image.serve("app", seen));
    let repository = reference(&server, "app:1").repository();
    let mut reader = client(options()).open_blob(&repository, &layer).expect("opened");
    assert_eq!(reader.size(), 0);
    for _ in 0..3 {
        assert_eq!(reader.read(&mut [0; 8]).expect("the end"), 0);
    }
}

#[test]
fn a_foreign_layer_comes_from_its_url_without_credentials() {
    let store = Server::start(|_| Reply::new(200, "layer"));
    let server = Server::start(|seen| match seen.header("authorization") {
        Some(_) => Reply::new(404, ""),
        None => Reply::new(401, "").header("WWW-Authenticate", "Basic"),
    });
    let mut layer = Image::new(b"layer").layer();
    layer.urls = vec!["nonsense".into(), format!("http://{}/layer", store.host())];
    let (_dir, options) = config_json(&json!({server.host(): {"auth": "dTpw"}}));
    let repository = reference(&server, "app:1").repository();
    let reader = client(options).open_blob(&repository, &layer).expect("opened");
    assert_eq!(read_all(reader).expect("read"), b"layer");
    assert_eq!(store.seen()[0].header("authorization"), None);
}

#[test]
fn a_cancelled_build_waits_for_nobody() {
    let server = Server::start(|seen| match seen.path() {
        "/v2/app/manifests/1" => Reply::hang(),
        "/v2/app/manifests/2" => Reply::new(503, "").header("Retry-After", "100"),
        _ => Reply::new(200, big()).cut(10),
    });
    let layer = Image::new(&big()).layer();
    let patient = Options { retry_delay: Duration::from_secs(60), ..Options::default() };
    for (which, waits_for) in [("app:1", 1), ("app:2", 2), ("blob", 3)] {
        let cancel = Cancel::default();
        let client = Client::new(patient.clone(), cancel.clone()).expect("a client");
        let waiting = std::thread::scope(|scope| {
            let (server, layer) = (&server, &layer);
            let waiting = scope.spawn(move || match which {
                "blob" => {
                    let repository = reference(server, "app:1").repository();
                    client.open_blob(&repository, layer).and_then(read_all).map(|_| ())
                }
                name => client.resolve(&reference(server, name), &amd64()).map(|_| ()),
            });
            while server.lines().len() < waits_for {
                std::thread::sleep(Duration::from_millis(1));
            }
            cancel.cancel();
            waiting.join().expect("no panic")
        });
        assert!(waiting.expect_err(which).is_cancelled());
        let late = Client::new(patient.clone(), cancel).expect("a client");
        let error = late.resolve(&reference(&server, "app:1"), &amd64()).expect_err("too late");
        assert!(error.is_cancelled());
    }
}
