//! 401s, tokens and where credentials go.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::*;

/// A registry that wants tokens, and its token server, in one.
fn token_registry(image: Image, service: &'static str) -> Server {
    Server::start(move |seen| {
        if seen.path() == "/token" {
            return Reply::new(200, r#"{"token":"t1","expires_in":300}"#);
        }
        match seen.header("authorization") {
            Some("Bearer t1") => image.serve("app", seen),
            _ => challenge(seen, service),
        }
    })
}

fn challenge(seen: &Seen, service: &str) -> Reply {
    let host = seen.header("host").expect("a host");
    let header = format!(r#"Bearer realm="http://{host}/token",service="{service}""#);
    Reply::new(401, r#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}"#)
        .header("WWW-Authenticate", header)
}

#[test]
fn a_401_leads_to_a_token_which_is_kept() {
    let server = token_registry(Image::new(b"layer"), "r & s");
    let (_dir, options) = config_json(&json!({server.host(): {"auth": "dTpw"}}));
    let client = client(options);
    let reference = reference(&server, "app:1");
    client.resolve(&reference, &amd64()).expect("resolved");
    let token = "GET /token?service=r+%26+s&scope=repository%3Aapp%3Apull&account=u";
    assert_eq!(server.lines()[..2], ["GET /v2/app/manifests/1", token]);
    assert_eq!(server.seen()[1].header("authorization"), Some("Basic dTpw"));
    client.resolve(&reference, &amd64()).expect("resolved again");
    let asked = server.lines().iter().filter(|line| line.starts_with("GET /token")).count();
    assert_eq!(asked, 1);
    let refused = server.seen().iter().filter(|s| s.header("authorization").is_none()).count();
    assert_eq!(refused, 1, "only the first request goes without credentials");
}

#[test]
fn many_threads_share_one_token() {
    let server = token_registry(Image::new(b"layer"), "s");
    let client = client(options());
    let reference = reference(&server, "app:1");
    client.resolve(&reference, &amd64()).expect("the challenge is known now");
    let pusher = client.pusher(&reference);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| pusher.has_blob(&Digest::of(b"layer")).expect("an answer"));
        }
    });
    let tokens = server.lines();
    let tokens: Vec<_> = tokens.iter().filter(|line| line.starts_with("GET /token")).collect();
    assert_eq!(tokens.len(), 2, "one to pull, one to push: {tokens:?}");
}

#[test]
fn a_token_that_expired_early_is_renewed_once() {
    let image = Image::new(b"layer");
    let tokens = Counter::default();
    let server = Server::start(move |seen| {
        if seen.path() == "/token" {
            return Reply::new(200, format!(r#"{{"access_token":"t{}"}}"#, tokens.next()));
        }
        let is_config = seen.target.contains("/blobs/");
        match seen.header("authorization") {
            Some("Bearer t0") if !is_config => image.serve("app", seen),
            Some("Bearer t1") => image.serve("app", seen),
            _ => challenge(seen, "s"),
        }
    });
    client(options()).resolve(&reference(&server, "app:1"), &amd64()).expect("resolved");
    let tokens = server.lines().iter().filter(|line| line.starts_with("GET /token")).count();
    assert_eq!(tokens, 2);
}

#[test]
fn an_identity_token_is_posted() {
    let image = Image::new(b"layer");
    let server = Server::start(move |seen| match (seen.path(), seen.header("authorization")) {
        ("/token", None) => Reply::new(200, r#"{"access_token":"t"}"#),
        (_, Some("Bearer t")) => image.serve("app", seen),
        _ => challenge(seen, "s"),
    });
    let (_dir, options) = config_json(&json!({server.host(): {"identitytoken": "a b&c"}}));
    client(options).resolve(&reference(&server, "app:1"), &amd64()).expect("resolved");
    let post = server.seen().into_iter().find(|seen| seen.method == "POST").expect("a POST");
    assert_eq!(post.target, "/token");
    assert_eq!(
        String::from_utf8(post.body).expect("text"),
        "grant_type=refresh_token&service=s&client_id=kiln&scope=repository%3Aapp%3Apull\
         &refresh_token=a+b%26c"
    );
}

#[test]
fn basic_credentials_and_registry_tokens_are_shown_as_they_are() {
    for (entry, expected) in [
        (json!({"username": "u", "password": "p"}), "Basic dTpw"),
        (json!({"registrytoken": "t"}), "Bearer t"),
    ] {
        let image = Image::new(b"layer");
        let server = Server::start(move |seen| match seen.header("authorization") {
            Some(header) if header == expected => image.serve("app", seen),
            _ => Reply::new(401, "").header("WWW-Authenticate", r#"Basic realm="r""#),
        });
        let (_dir, options) = config_json(&json!({server.host(): entry}));
        client(options).resolve(&reference(&server, "app:1"), &amd64()).expect("resolved");
    }
}

#[test]
fn a_scope_that_the_registry_adds_is_asked_for() {
    let image = Image::new(b"layer");
    let server = Server::start(move |seen| {
        if seen.path() == "/token" {
            let full = seen.target.contains("scope=repository%3Aproxy%2Fapp%3Apull");
            return Reply::new(200, if full { r#"{"token":"t"}"# } else { r#"{"token":"x"}"# });
        }
        match seen.header("authorization") {
            Some("Bearer t") => image.serve("app", seen),
            _ => {
                let host = seen.header("host").expect("a host");
                let header = format!(
                    r#"Bearer realm="http://{host}/token",scope="repository:proxy/app:pull""#
                );
                Reply::new(401, "").header("WWW-Authenticate", header)
            }
        }
    });
    client(options()).resolve(&reference(&server, "app:1"), &amd64()).expect("resolved");
}

#[test]
fn a_refusal_says_who_asked_for_what_with_which_credentials() {
    let server = Server::start(|seen| {
        let body = r#"{"errors":[{"code":"DENIED","message":"geheim is\u001b wrong for app"}]}"#;
        let quoted = seen.header("authorization").is_some();
        let body = if quoted { body.replace("geheim is", "it is") } else { body.to_owned() };
        Reply::new(401, body).header("WWW-Authenticate", r#"Basic realm="r""#)
    });
    let reference = reference(&server, "app:1");
    let host = server.host();

    let (dir, with) = config_json(&json!({host.as_str(): {"username": "u", "password": "geheim"}}));
    let error = client(with).resolve(&reference, &amd64()).expect_err("refused");
    assert!(error.is_unauthorized());
    let text = error.to_string();
    let source = format!("the entry `{host}` of {}", dir.path().join("config.json").display());
    for part in [&host, "read the manifest of", &source, "DENIED: it is wrong for app"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("geheim") && !text.contains('\u{1b}'), "{text}");

    let (_dir, without) = config_json(&json!({"other.io": {"auth": "dTpw"}}));
    let text = client(without).resolve(&reference, &amd64()).expect_err("refused").to_string();
    for part in ["without credentials", "no entry for", "only for `other.io`"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn a_registry_that_quotes_the_password_is_not_quoted() {
    let server = Server::start(|seen| {
        let header = seen.header("authorization").unwrap_or_default().trim_start_matches("Basic ");
        let decoded = String::from_utf8(STANDARD.decode(header).unwrap_or_default());
        Reply::new(401, format!("bad: {}", decoded.expect("text")))
            .header("WWW-Authenticate", r#"Basic realm="r""#)
    });
    let entry = json!({"username": "u", "password": "geheim"});
    let (_dir, options) = config_json(&json!({server.host(): entry}));
    let error = client(options).resolve(&reference(&server, "app:1"), &amd64());
    let text = error.expect_err("refused").to_string();
    assert!(text.contains("quotes the password") && !text.contains("geheim"), "{text}");
}

#[test]
fn a_token_server_that_refuses_is_named() {
    let server = Server::start(|seen| match seen.path() {
        "/token" => Reply::new(401, r#"{"details":"incorrect username or password"}"#),
        _ => challenge(seen, "s"),
    });
    let (_dir, options) = config_json(&json!({server.host(): {"auth": "dTpw"}}));
    let error = client(options).resolve(&reference(&server, "app:1"), &amd64());
    let text = error.expect_err("refused").to_string();
    for part in ["get a token for repository:app:pull", "incorrect username or password"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn a_token_server_that_stumbles_is_asked_again() {
    let image = Image::new(b"layer");
    let tokens = Counter::default();
    let server = Server::start(move |seen| match (seen.path(), seen.header("authorization")) {
        ("/token", _) => match tokens.next() {
            0 => Reply::new(404, ""),
            1 => Reply::new(503, ""),
            _ => Reply::new(200, r#"{"token":"t"}"#),
        },
        (_, Some("Bearer t")) => image.serve("app", seen),
        _ => challenge(seen, "s"),
    });
    client(options()).resolve(&reference(&server, "app:1"), &amd64()).expect("resolved");
}

#[test]
fn credentials_do_not_follow_a_redirect_to_another_host() {
    let image = Arc::new(Image::new(b"layer"));
    let storage = {
        let image = image.clone();
        Server::start(move |_| Reply::new(200, image.layer.clone()))
    };
    let elsewhere = format!("http://{}/bucket?signature=x", storage.host());
    let layer = image.layer();
    let server = Server::start(move |seen| match seen.header("authorization") {
        Some("Basic dTpw") if seen.target.ends_with("/moved") => {
            Reply::new(302, "").header("Location", elsewhere.clone())
        }
        // Relative, and to the registry itself: the credentials stay.
        Some("Basic dTpw") => Reply::new(307, "").header("Location", "/moved"),
        _ => Reply::new(401, "").header("WWW-Authenticate", "Basic"),
    });
    let (_dir, options) = config_json(&json!({server.host(): {"auth": "dTpw"}}));
    let repository = reference(&server, "app:1").repository();
    let reader = client(options).open_blob(&repository, &layer).expect("opened");
    assert_eq!(read_all(reader).expect("read"), b"layer");
    let seen = storage.seen();
    assert_eq!((seen.len(), seen[0].target.as_str()), (1, "/bucket?signature=x"));
    assert_eq!(seen[0].header("authorization"), None);
}

#[test]
fn realms_that_would_leak_credentials_are_refused() {
    // The registry is spoken to by plain HTTP, so the realm may be; its address may not.
    for realm in ["http://169.254.169.254/token", "ftp://auth.io/", "nonsense"] {
        let header = format!(r#"Bearer realm="{realm}""#);
        let server =
            Server::start(move |_| Reply::new(401, "").header("WWW-Authenticate", header.clone()));
        let (_dir, options) = config_json(&json!({server.host(): {"auth": "dTpw"}}));
        let error = client(options).resolve(&reference(&server, "app:1"), &amd64());
        let text = error.expect_err(realm).to_string();
        assert!(text.contains("token server"), "{realm}: {text}");
    }
}
