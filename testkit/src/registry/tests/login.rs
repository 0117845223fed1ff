//! Who may do what.

use super::*;

#[test]
fn basic_auth() {
    let registry = Registry::builder().basic_auth("me", "secret").start();
    let refused = send(&registry, "GET", "/v2/", b"");
    assert_eq!((refused.status, code(&refused).as_str()), (401, "UNAUTHORIZED"));
    assert!(refused.header("www-authenticate").starts_with("Basic "));
    let header = format!("Basic {}", STANDARD.encode("me:secret"));
    let url = format!("{}/v2/", registry.url());
    assert_eq!(ask("GET", &url, &[("Authorization", &header)], b"").status, 200);
    let log = registry.requests();
    assert_eq!(log.iter().map(|r| r.had_auth).collect::<Vec<_>>(), [false, true]);
    assert!(!format!("{log:?}").contains(&header));
}

#[test]
fn tokens() {
    let registry = Registry::builder().token_auth("me", "secret", Duration::from_secs(600)).start();
    let digest = registry.put_blob("a", b"content");
    let blob = format!("{}/v2/a/blobs/{digest}", registry.url());
    let challenge = ask("GET", &blob, &[], b"");
    let realm = format!("Bearer realm=\"{}/token\"", registry.url());
    let expected = format!("{realm},service=\"testkit\",scope=\"repository:a:pull\"");
    assert_eq!(challenge.header("www-authenticate"), expected);

    let basic = format!("Basic {}", STANDARD.encode("me:secret"));
    let token = |scope: &str, auth: &str| {
        let url = format!("{}/token?service=testkit&scope={scope}", registry.url());
        let answer = ask("GET", &url, &[("Authorization", auth)], b"");
        (answer.status, format!("Bearer {}", answer.json()["token"].as_str().unwrap_or_default()))
    };
    assert_eq!(token("repository:a:pull", "Basic bWU6d3Jvbmc=").0, 401);
    let (_, pull) = token("repository:a:pull", &basic);
    let (_, push) = token("repository%3Aa%3Apull%2Cpush", &basic);
    let get = |auth: &str| ask("GET", &blob, &[("Authorization", auth)], b"").status;
    assert_eq!((get(&pull), get(&push), get("Bearer made-up")), (200, 200, 401));
    let begin = |repo: &str, auth: &str| {
        let url = format!("{}/v2/{repo}/blobs/uploads/", registry.url());
        ask("POST", &url, &[("Authorization", auth)], b"")
    };
    let refused = begin("a", &pull);
    let challenge = refused.header("www-authenticate");
    assert!(challenge.ends_with("scope=\"repository:a:pull,push\",error=\"insufficient_scope\""));
    assert_eq!((begin("a", &push).status, begin("b", &push).status), (202, 401));

    registry.expire_tokens();
    assert_eq!(get(&pull), 401);
    let form = "grant_type=password&username=me&password=secret&scope=repository%3Aa%3Apull\
                &access_type=offline";
    let answer = send(&registry, "POST", "/token", form.as_bytes()).json();
    let pull = format!("Bearer {}", answer["access_token"].as_str().unwrap());
    assert_eq!(get(&pull), 200);
    let refresh = answer["refresh_token"].as_str().unwrap();
    let form = format!("grant_type=refresh_token&refresh_token={refresh}&scope=repository:a:pull");
    assert_eq!(send(&registry, "POST", "/token", form.as_bytes()).status, 200);
}

#[test]
fn tokens_end_and_anonymous_ones_pull() {
    let registry = Registry::builder().token_auth("me", "secret", Duration::ZERO).start();
    let basic = format!("Basic {}", STANDARD.encode("me:secret"));
    let url = format!("{}/token?scope=repository:a:pull", registry.url());
    let token = ask("GET", &url, &[("Authorization", &basic)], b"").json();
    let token = format!("Bearer {}", token["token"].as_str().unwrap());
    let url = format!("{}/v2/a/tags/list", registry.url());
    let answer = ask("GET", &url, &[("Authorization", &token)], b"");
    assert!(answer.header("www-authenticate").ends_with("error=\"invalid_token\""));

    let hub = Registry::builder().token_auth("me", "secret", Duration::from_secs(600));
    let hub = hub.anonymous_pull().start();
    let digest = hub.put_blob("a", b"content");
    let token = send(&hub, "GET", "/token?scope=repository:a:pull,push", b"").json();
    let token = format!("Bearer {}", token["token"].as_str().unwrap());
    let auth = [("Authorization", token.as_str())];
    let blob = format!("{}/v2/a/blobs/{digest}", hub.url());
    let uploads = format!("{}/v2/a/blobs/uploads/", hub.url());
    assert_eq!(ask("GET", &blob, &auth, b"").status, 200);
    assert_eq!(ask("POST", &uploads, &auth, b"").status, 401);
}
