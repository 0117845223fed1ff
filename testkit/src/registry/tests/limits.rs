//! What a registry may be told to be like, beyond what is claimed.

use super::*;

#[test]
fn a_proxy_takes_bodies_up_to_a_size() {
    let registry = Registry::builder().max_body(7).start();
    let location = begin(&registry, "a");
    let refused = send(&registry, "PATCH", &location, b"contents");
    assert_eq!((refused.status, refused.header("content-type")), (413, "text/html"));
    assert_eq!(send(&registry, "PATCH", &location, b"content").status, 202);
}

#[test]
fn requests_are_counted_in_a_window() {
    let registry = Registry::builder().rate_limit(2, Duration::from_secs(600)).start();
    let ping = || send(&registry, "GET", "/v2/", b"");
    assert_eq!((ping().status, ping().status), (200, 200));
    let refused = ping();
    assert_eq!((refused.status, code(&refused).as_str()), (429, "TOOMANYREQUESTS"));
    assert!(refused.header("retry-after").parse::<u64>().unwrap() > 590);
    let short = Registry::builder().rate_limit(1, Duration::from_millis(1)).start();
    send(&short, "GET", "/v2/", b"");
    std::thread::sleep(Duration::from_millis(2));
    assert_eq!(send(&short, "GET", "/v2/", b"").status, 200);
}

#[test]
fn methods_that_are_not_known_here() {
    let registry = Registry::builder().quirk(Quirk::NoPatch).quirk(Quirk::NoHead);
    let registry = registry.quirk(Quirk::NoUploadStatus).start();
    let location = begin(&registry, "a");
    for method in ["PATCH", "GET"] {
        assert_eq!(send(&registry, method, &location, b"").status, 405, "{method}");
    }
    assert_eq!(send(&registry, "HEAD", "/v2/a/manifests/1", b"").status, 405);
    assert_eq!(send(&registry, "DELETE", &location, b"").status, 204);
}

#[test]
fn uploads_elsewhere_refuse_authorization() {
    let registry = Registry::builder().quirk(Quirk::UploadsElsewhere).start();
    let location = begin(&registry, "a");
    assert!(!location.contains(registry.host()));
    let auth = [("Authorization", "Bearer x")];
    assert_eq!(ask("PATCH", &location, &auth, b"content").status, 400);
    let answer = send(&registry, "PATCH", &location, b"con");
    let digest = sha256(b"content");
    let put = format!("{}&digest={digest}", answer.header("location"));
    assert_eq!(send(&registry, "PUT", &put, b"tent").status, 201);
    assert!(registry.has_blob("a", &digest));
}

#[test]
fn a_token_is_looked_at_while_the_body_comes_and_at_its_end() {
    let life = Duration::from_secs(600);
    let registry = Registry::builder().token_auth("me", "secret", life);
    let registry = registry.quirk(Quirk::StrictTokens).start();
    let basic = format!("Basic {}", STANDARD.encode("me:secret"));
    let url = format!("{}/token?scope=repository:a:pull,push", registry.url());
    let token = || {
        let token = ask("GET", &url, &[("Authorization", &basic)], b"").json();
        format!("Bearer {}", token["token"].as_str().unwrap())
    };
    let uploads = format!("{}/v2/a/blobs/uploads/", registry.url());
    let first = token();
    let begun = ask("POST", &uploads, &[("Authorization", &first)], b"");
    let location = begun.header("location").to_owned();
    // The token ends while the body is on its way.
    registry.fault(Fault::on(
        "PATCH",
        "/uploads/",
        Action::SlowUpload { piece: 4 << 20, pause: Duration::from_millis(50) },
    ));
    let auth = [("Authorization", first.as_str())];
    let body = vec![1; 9 << 20];
    let refused = std::thread::scope(|scope| {
        let sending = scope.spawn(|| client::request("PATCH", &location, &auth, &body));
        while registry.requests().iter().all(|r| r.method != "PATCH") {
            std::thread::yield_now();
        }
        registry.expire_tokens();
        sending.join().unwrap().unwrap()
    });
    assert_eq!(refused.status, 401);
    let second = token();
    let auth = [("Authorization", second.as_str())];
    let status = ask("GET", &location, &auth, b"");
    let (_, last) = status.header("range").split_once('-').unwrap();
    assert!(last.parse::<usize>().unwrap() < body.len() - 1, "{last}");
    assert_eq!(ask("PATCH", status.header("location"), &auth, b"more").status, 202);
}

#[test]
fn a_token_is_good_for_some_requests() {
    let registry = Registry::builder().token_auth("me", "secret", Duration::from_secs(600));
    let registry = registry.token_uses(2).start();
    let basic = format!("Basic {}", STANDARD.encode("me:secret"));
    let url = format!("{}/token?scope=repository:a:pull", registry.url());
    let token = ask("GET", &url, &[("Authorization", &basic)], b"").json();
    let token = format!("Bearer {}", token["token"].as_str().unwrap());
    let url = format!("{}/v2/", registry.url());
    let ping = || ask("GET", &url, &[("Authorization", &token)], b"").status;
    assert_eq!((ping(), ping(), ping()), (200, 200, 401));
}

#[test]
fn an_upload_may_keep_nothing_of_what_was_cut() {
    for (quirk, range) in [(None, "0-3"), (Some(Quirk::NoPartialUploads), "0-0")] {
        let registry = quirk.into_iter().fold(Registry::builder(), Builder::quirk).start();
        let location = begin(&registry, "a");
        registry.fault(Fault::on("PATCH", "/uploads/", Action::CutUploadAfter(4)));
        assert!(client::request("PATCH", &location, &[], b"0123456789").is_err());
        assert_eq!(send(&registry, "GET", &location, b"").header("range"), range);
        let put = format!("{location}&digest={}", sha256(b"0123456789"));
        let rest = if quirk.is_some() { &b"0123456789"[..] } else { b"456789" };
        assert_eq!(send(&registry, "PUT", &put, rest).status, 201);
    }
}
