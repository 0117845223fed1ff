use std::path::Path;
use std::time::SystemTime;

use reqwest::header::AUTHORIZATION;
use ring::signature::RSA_PKCS1_2048_8192_SHA256;
use serde_json::{Value, json};

use super::*;
use crate::registry::cloud::testing::{CURVE, IDENTITY, PKCS1, form, gone, pool, verified};
use crate::registry::testserver::{Reply, Seen, Server};

/// In every secret of these tests, so that one that is shown is found.
const SECRET: &str = "geheim";

fn granted() -> Reply {
    Reply::new(
        200,
        r#"{"access_token": "ya29.geheim", "expires_in": 3599, "token_type": "Bearer"}"#,
    )
}

/// Everything that knows who this machine is, nothing of it set.
fn nobody(dir: &Path) -> GoogleSettings {
    GoogleSettings { well_known_file: Some(dir.join("adc.json")), ..GoogleSettings::default() }
}

fn file(dir: &Path, value: &Value) -> GoogleSettings {
    let path = dir.join("key.json");
    std::fs::write(&path, value.to_string()).expect("written");
    GoogleSettings { credentials_file: Some(path), ..nobody(dir) }
}

async fn login(settings: GoogleSettings) -> CloudAnswer<CloudLogin> {
    let google = Google::new(settings);
    let answer = google.login(&pool(), "gcr.io").await;
    let texts = format!("{google:?} {answer:?}");
    assert!(!texts.contains(SECRET), "{texts}");
    assert!(!texts.contains("PRIVATE KEY"), "{texts}");
    answer
}

/// The token of a login that must have worked, and where it is from.
async fn token(settings: GoogleSettings) -> (String, String) {
    let login = login(settings).await.expect("a login");
    assert!(login.until > SystemTime::now());
    let Credentials::Basic { user, password } = login.credentials else { panic!("basic") };
    assert_eq!(user, "oauth2accesstoken");
    (password, login.source)
}

fn service_account(server: &Server) -> Value {
    json!({
        "type": "service_account",
        "client_email": "robot@p.iam.gserviceaccount.com",
        "private_key_id": "k1",
        "private_key": IDENTITY,
        "token_uri": format!("http://{}/token", server.host()),
    })
}

#[test]
fn registries_of_google_are_known_by_their_names() {
    for (host, expected) in [
        ("gcr.io", true),
        ("eu.gcr.io", true),
        ("GCR.io", true),
        ("europe-west3-docker.pkg.dev", true),
        ("docker.pkg.dev", true),
        ("container.mirror.google.com", true),
        ("gcr.io.example.com", false),
        ("notgcr.io", false),
        ("pkg.dev", false),
        ("ghcr.io", false),
    ] {
        assert_eq!(is_registry(host), expected, "{host}");
    }
}

#[tokio::test]
async fn a_service_account_signs_for_its_token() {
    let dir = tempfile::tempdir().expect("temp");
    for key in [IDENTITY, PKCS1] {
        let server = Server::start(|_| granted());
        let mut account = service_account(&server);
        account["private_key"] = key.into();
        let (token, source) = token(file(dir.path(), &account)).await;
        assert_eq!(token, "ya29.geheim");
        let path = dir.path().join("key.json");
        let whose = "the service account robot@p.iam.gserviceaccount.com of";
        assert_eq!(source, format!("{whose} {}", path.display()));
        let seen = &server.seen()[0];
        let fields = form(seen);
        assert_eq!(fields["grant_type"], "urn:ietf:params:oauth:grant-type:jwt-bearer");
        let [header, claims] = verified(&fields["assertion"], &RSA_PKCS1_2048_8192_SHA256);
        assert_eq!(header, json!({"kid": "k1", "alg": "RS256", "typ": "JWT"}));
        let (issued, end) = (claims["iat"].as_u64().expect("iat"), claims["exp"].as_u64());
        assert_eq!(end, Some(issued + 3600));
        assert!(issued.abs_diff(crate::registry::cloud::token::now()) < 60);
        assert_eq!(claims["iss"], "robot@p.iam.gserviceaccount.com");
        assert_eq!(claims["aud"], account["token_uri"]);
        assert_eq!(claims["scope"], "https://www.googleapis.com/auth/cloud-platform");
    }
}

#[tokio::test]
async fn a_token_is_fetched_once_and_again_after_its_end() {
    let dir = tempfile::tempdir().expect("temp");
    for (life, expected) in [(3600, 1), (60, 3)] {
        let server = Server::start(move |_| {
            Reply::new(200, format!(r#"{{"access_token": "t", "expires_in": {life}}}"#))
        });
        let google = Google::new(file(dir.path(), &service_account(&server)));
        google.login(&pool(), "gcr.io").await.expect("a login");
        google.login(&pool(), "europe-docker.pkg.dev").await.expect("a login");
        google.sign(&pool(), "b", "o").await.expect("signed");
        assert_eq!(server.seen().len(), expected, "{life} s");
    }
}

#[tokio::test]
async fn busy_token_servers_are_asked_again() {
    let dir = tempfile::tempdir().expect("temp");
    let calls = std::sync::atomic::AtomicUsize::new(0);
    let server = Server::start(move |_| {
        let first = calls.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0;
        if first { Reply::new(503, "busy") } else { granted() }
    });
    token(file(dir.path(), &service_account(&server))).await;
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn a_user_s_login_is_refreshed() {
    let dir = tempfile::tempdir().expect("temp");
    let server = Server::start(|_| granted());
    let url = format!("http://{}/token", server.host());
    let user = json!({
        "type": "authorized_user", "client_id": "c", "client_secret": "geheim1",
        "refresh_token": "1//geheim2", "token_uri": url,
    });
    let path = dir.path().join("adc.json");
    std::fs::write(&path, user.to_string()).expect("written");
    let (_, source) = token(nobody(dir.path())).await;
    assert_eq!(source, format!("the user's login of {}", path.display()));
    let fields = form(&server.seen()[0]);
    let names = ["grant_type", "client_id", "client_secret", "refresh_token"];
    assert_eq!(
        names.map(|name| fields[name].as_str()),
        ["refresh_token", "c", "geheim1", "1//geheim2"]
    );
    let workforce = json!({
        "type": "external_account_authorized_user", "client_id": "c", "client_secret": "geheim",
        "refresh_token": "geheim2", "token_url": url,
    });
    token(file(dir.path(), &workforce)).await;
    let seen = &server.seen()[1];
    assert_eq!(seen.header("authorization"), Some("Basic YzpnZWhlaW0="));
    assert_eq!(form(seen)["refresh_token"], "geheim2");
}

/// Google's and a CI system's servers in one.
fn federation(seen: &Seen) -> Reply {
    match seen.path() {
        "/sts" => granted(),
        "/text" => Reply::new(200, "geheim-subject\n"),
        "/json" => Reply::new(200, r#"{"value": "geheim-subject"}"#),
        "/v1/projects/-/serviceAccounts/robot@p.iam:generateAccessToken" => {
            let body = r#"{"accessToken": "geheim-robot", "expireTime": "2099-01-01T00:00:00Z"}"#;
            Reply::new(200, body)
        }
        _ => Reply::new(404, ""),
    }
}

fn external(server: &Server, source: Value) -> Value {
    json!({
        "type": "external_account",
        "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/q",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": format!("http://{}/sts", server.host()),
        "credential_source": source,
    })
}

#[tokio::test]
async fn someone_else_s_token_is_exchanged() {
    let dir = tempfile::tempdir().expect("temp");
    let subject = dir.path().join("token");
    std::fs::write(&subject, "geheim-subject\n").expect("written");
    let server = Server::start(federation);
    let at = |path: &str| format!("http://{}{path}", server.host());
    let json_format = json!({"type": "json", "subject_token_field_name": "value"});
    for source in [
        json!({"file": subject}),
        json!({"file": subject, "format": {"type": "text"}}),
        json!({"url": at("/text")}),
        json!({"url": at("/json"), "format": json_format, "headers": {"Authorization": "bearer geheim"}}),
    ] {
        let (password, source) = token(file(dir.path(), &external(&server, source))).await;
        assert_eq!(password, "ya29.geheim");
        assert!(source.starts_with("the federated identity of "), "{source}");
        let seen = server.seen();
        let fields = form(seen.last().expect("asked"));
        for (name, expected) in [
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("subject_token", "geheim-subject"),
            ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"),
            ("requested_token_type", "urn:ietf:params:oauth:token-type:access_token"),
            ("scope", SCOPE),
        ] {
            assert_eq!(fields[name], expected, "{name}");
        }
        assert!(fields["audience"].ends_with("/providers/q"));
    }
    let asked = server.seen().into_iter().find(|seen| seen.path() == "/json").expect("asked");
    assert_eq!(asked.header("authorization"), Some("bearer geheim"));
}

#[tokio::test]
async fn accounts_can_be_acted_as() {
    let dir = tempfile::tempdir().expect("temp");
    let subject = dir.path().join("token");
    std::fs::write(&subject, "geheim-subject").expect("written");
    let server = Server::start(federation);
    let path = "/v1/projects/-/serviceAccounts/robot@p.iam:generateAccessToken";
    let url = format!("http://{}{path}", server.host());
    let mut external = external(&server, json!({"file": subject}));
    external["service_account_impersonation_url"] = url.clone().into();
    external["service_account_impersonation"] = json!({"token_lifetime_seconds": 900});
    let mut robot = service_account(&server);
    robot["token_uri"] = format!("http://{}/sts", server.host()).into();
    let impersonated = json!({
        "type": "impersonated_service_account", "delegates": ["d"],
        "service_account_impersonation_url": url, "source_credentials": robot,
    });
    for (value, wanted) in [
        (external, json!({"scope": [SCOPE], "lifetime": "900s"})),
        (impersonated, json!({"scope": [SCOPE], "lifetime": "3600s", "delegates": ["d"]})),
    ] {
        let (password, source) = token(file(dir.path(), &value)).await;
        assert_eq!(password, "geheim-robot");
        assert!(source.starts_with("the service account robot@p.iam, as the "), "{source}");
        let seen = server.seen().pop().expect("asked");
        assert_eq!(seen.header("authorization"), Some("Bearer ya29.geheim"));
        assert_eq!(serde_json::from_slice::<Value>(&seen.body).expect("JSON"), wanted);
    }
}

#[tokio::test]
async fn the_metadata_server_must_be_google_s() {
    let dir = tempfile::tempdir().expect("temp");
    let at = |server: &Server| GoogleSettings {
        metadata: Some(GoogleMetadata::At(server.host())),
        ..nobody(dir.path())
    };
    let server = Server::start(|_| granted().header("Metadata-Flavor", "Google"));
    let (password, source) = token(at(&server)).await;
    assert_eq!(password, "ya29.geheim");
    assert_eq!(source, "this machine's service account (the metadata server)");
    let seen = &server.seen()[0];
    assert_eq!(seen.target, metadata_path());
    assert_eq!(seen.header("metadata-flavor"), Some("Google"));
    for (reply, expected) in [
        (granted(), "is not Google's"),
        (
            Reply::new(404, "").header("Metadata-Flavor", "Google"),
            "knows no service account of this machine",
        ),
        (
            Reply::new(403, r#"{"error": "no"}"#).header("Metadata-Flavor", "Google"),
            "answered 403: no",
        ),
        (
            Reply::new(200, SECRET).header("Metadata-Flavor", "Google"),
            "without the JSON of a token",
        ),
    ] {
        let server = Server::start(move |_| reply.clone());
        let error = login(at(&server)).await.expect_err(expected);
        assert!(error.contains(expected), "{error}");
    }
}

fn metadata_path() -> &'static str {
    "/computeMetadata/v1/instance/service-accounts/default/token"
}

#[tokio::test]
async fn without_an_identity_all_places_are_named() {
    let dir = tempfile::tempdir().expect("temp");
    let adc = dir.path().join("adc.json");
    let error = login(nobody(dir.path())).await.expect_err("nobody");
    let expected = format!(
        "no service account of Google's: GOOGLE_APPLICATION_CREDENTIALS is not set, {} does not \
         exist, the metadata server is not asked (NO_GCE_CHECK)",
        adc.display()
    );
    assert_eq!(error, expected);
    let host = gone();
    let metadata = Some(GoogleMetadata::At(host.clone()));
    let settings = GoogleSettings { metadata, ..nobody(dir.path()) };
    let error = login(settings).await.expect_err("nobody");
    assert!(
        error.ends_with(&format!("the metadata server at {host} refuses connections")),
        "{error}"
    );
}

#[tokio::test]
async fn objects_are_asked_for_with_a_token_or_without_an_identity() {
    let dir = tempfile::tempdir().expect("temp");
    let google = Google::new(nobody(dir.path()));
    let signed = google.sign(&pool(), "b", "o").await.expect("unsigned");
    let url = "https://storage.googleapis.com/download/storage/v1/b/b/o/o?alt=media";
    assert_eq!((signed.url.as_str(), signed.headers.len()), (url, 0));
    let named = |token: &str| GoogleSettings {
        access_token: Some(("GOOGLE_OAUTH_ACCESS_TOKEN".into(), token.into())),
        ..nobody(dir.path())
    };
    let signed = Google::new(named("geheim\n")).sign(&pool(), "b", "o").await.expect("signed");
    let (name, value) = &signed.headers[0];
    assert_eq!((name, value.to_str().expect("text")), (&AUTHORIZATION, "Bearer geheim"));
    assert!(value.is_sensitive() && !format!("{signed:?}").contains(SECRET));
    let emulator = Some("127.0.0.1:1".to_owned());
    let settings = GoogleSettings { storage_emulator: emulator, ..named(SECRET) };
    let signed = Google::new(settings).sign(&pool(), "b", "o").await.expect("unsigned");
    assert_eq!(signed.headers.len(), 0);
    // An identity that does not work is no reason to try without one.
    let broken = file(dir.path(), &json!({"type": "service_account"}));
    let error = Google::new(broken).sign(&pool(), "b", "o").await.expect_err("broken");
    assert!(error.contains("has no `client_email`"), "{error}");
}

#[tokio::test]
async fn tokens_can_come_from_variables_and_files() {
    let dir = tempfile::tempdir().expect("temp");
    let path = dir.path().join("token");
    std::fs::write(&path, "ya29.geheim\n").expect("written");
    let variable = "CLOUDSDK_AUTH_ACCESS_TOKEN_FILE".to_owned();
    let access_token_file = Some((variable, path.clone()));
    let settings = GoogleSettings { access_token_file, ..nobody(dir.path()) };
    let (password, source) = token(settings.clone()).await;
    assert_eq!(
        (password.as_str(), source),
        ("ya29.geheim", format!("the access token in {}", path.display()))
    );
    std::fs::write(&path, " \n").expect("written");
    let error = login(settings.clone()).await.expect_err("no token");
    let names = "is empty (CLOUDSDK_AUTH_ACCESS_TOKEN_FILE names it)";
    assert_eq!(error, format!("{} {names}", path.display()));
    std::fs::remove_file(&path).expect("removed");
    let error = login(settings).await.expect_err("no file");
    assert!(
        error.contains("cannot be read") && error.contains("CLOUDSDK_AUTH_ACCESS_TOKEN_FILE"),
        "{error}"
    );
}

#[tokio::test]
async fn files_that_cannot_be_used_say_why_and_show_nothing() {
    let dir = tempfile::tempdir().expect("temp");
    let server = Server::start(|seen| {
        // Repeats what it was sent.
        let words = json!({"error": "invalid_grant", "error_description":
            format!("no: {}", String::from_utf8_lossy(&seen.body))});
        Reply::new(400, words.to_string())
    });
    let with = |name: &str, value: Value| {
        let mut account = service_account(&server);
        account[name] = value;
        account
    };
    let external = |source: Value| external(&server, source);
    let subject = dir.path().join("subject");
    std::fs::write(&subject, "geheim.subject").expect("written");
    for (value, expected) in [
        (service_account(&server), "answered 400: no: "),
        (with("private_key", "geheim".into()), "its `private_key` is no private key in PEM"),
        (with("private_key", CURVE.into()), "its `private_key` is no RSA key"),
        (with("private_key", 5.into()), "has a field of an unknown form"),
        (
            with("token_uri", "http://token.example/geheim".into()),
            "leads to `token.example`, which is not https",
        ),
        (with("token_uri", "geheim".into()), "its `token_uri` is no URL"),
        (
            with("type", "gdch_service_account".into()),
            "of the type `gdch_service_account`, which kiln does not know",
        ),
        (json!({"geheim": "x"}), "has no `type`"),
        (json!("geheim"), "has no `type`"),
        (external(json!({"file": subject})), "answered 400: no: "),
        (external(json!({"file": "/no/such/token"})), "/no/such/token cannot be read"),
        (
            external(json!({"file": subject, "format": {"type": "json"}})),
            "the subject token is not in JSON there",
        ),
        (external(json!({"url": "http://ci.example/token"})), "which is not https"),
        (external(json!({"url": format!("http://{}/x", server.host())})), "answered 400"),
        (external(json!({"executable": {"command": "geheim"}})), "kiln runs none"),
        (external(json!({"environment_id": "aws1"})), "is not supported"),
        (external(json!({"certificate": {}})), "which kiln does not support"),
        (external(json!({})), "has neither `file` nor `url`"),
    ] {
        let error = login(file(dir.path(), &value)).await.expect_err(expected);
        assert!(error.contains(expected), "{expected}: {error}");
        assert!(error.contains("key.json: ") && error.ends_with("names it)"), "{error}");
    }
    std::fs::write(dir.path().join("adc.json"), "{\"a\":\n geheim").expect("written");
    let error = login(nobody(dir.path())).await.expect_err("no JSON");
    assert!(error.ends_with("adc.json: is not JSON (line 2, column 2)"), "{error}");
}

#[test]
fn plans_name_the_place_that_would_decide() {
    let dir = tempfile::tempdir().expect("temp");
    let plan = |settings: GoogleSettings| Google::new(settings).plan();
    let metadata = |metadata| GoogleSettings { metadata, ..nobody(dir.path()) };
    assert!(plan(nobody(dir.path())).expect_err("nobody").contains("NO_GCE_CHECK"));
    let at = metadata(Some(GoogleMetadata::At("h:1".into())));
    assert_eq!(plan(at.clone()).as_deref(), Ok("would ask the metadata server at h:1"));
    let credentials_file = Some(dir.path().join("key.json"));
    let named = GoogleSettings { credentials_file, ..at.clone() };
    assert!(plan(named.clone()).expect_err("no file").contains("/key.json is not there"));
    std::fs::write(dir.path().join("key.json"), "{}").expect("written");
    assert!(plan(named).expect("a plan").ends_with("/key.json"));
    std::fs::write(dir.path().join("adc.json"), "{}").expect("written");
    assert!(plan(at).expect("a plan").ends_with("/adc.json"));
    let access_token = Some(("V".to_owned(), SECRET.into()));
    let token = plan(GoogleSettings { access_token, ..nobody(dir.path()) });
    assert_eq!(token.as_deref(), Ok("would use the access token in V"));
}
