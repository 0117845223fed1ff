use std::path::{Path, PathBuf};
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::header::AUTHORIZATION;
use ring::signature::RSA_PSS_2048_8192_SHA256;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::json;

use super::*;
use crate::registry::cloud::testing::{CURVE, IDENTITY, form, gone, pool, query, verified};
use crate::registry::testserver::{Reply, Server};

const SECRET: &str = "geheim";
const STORAGE: &str = "https://storage.azure.com/";

fn granted() -> Reply {
    Reply::new(200, r#"{"access_token": "ey.geheim", "expires_in": "3599"}"#)
}

/// An application that gets its tokens from this server.
fn application(server: &Server) -> AzureSettings {
    AzureSettings {
        tenant: Some("tenant".into()),
        client: Some("client".into()),
        authority: Some(format!("http://{}/", server.host())),
        ..AzureSettings::default()
    }
}

fn written(dir: &Path, name: &str, text: &str) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, text).expect("written");
    path
}

async fn token(settings: AzureSettings, resource: &str) -> Result<(String, String), String> {
    let azure = Azure::new(settings);
    let answer = azure.token(&pool(), resource).await;
    let texts = format!("{azure:?} {answer:?}");
    assert!(!texts.contains(SECRET) && !texts.contains("PRIVATE KEY"), "{texts}");
    let token = answer?;
    Ok((token.value.expose().to_owned(), token.source))
}

#[test]
fn registries_of_microsoft_are_known_by_their_names() {
    for (host, expected) in [
        ("my.azurecr.io", true),
        ("my.AzureCR.io", true),
        ("my.azurecr.cn", true),
        ("my.azurecr.de", true),
        ("my.azurecr.us", true),
        ("azurecr.io", false),
        (".azurecr.io", false),
        ("my.azurecr.io.example.com", false),
        ("mcr.microsoft.com", false),
    ] {
        assert_eq!(is_registry(host), expected, "{host}");
    }
}

#[tokio::test]
async fn an_application_shows_its_secret() {
    let server = Server::start(|_| granted());
    let settings = AzureSettings { secret: Some("geheim+&".into()), ..application(&server) };
    let (value, source) = token(settings, STORAGE).await.expect("a token");
    assert_eq!(value, "ey.geheim");
    assert_eq!(source, "the application client (AZURE_CLIENT_SECRET)");
    let seen = &server.seen()[0];
    assert_eq!((seen.method.as_str(), seen.path()), ("POST", "/tenant/oauth2/v2.0/token"));
    let expected = [
        ("client_id", "client"),
        ("client_secret", "geheim+&"),
        ("grant_type", "client_credentials"),
        ("scope", "https://storage.azure.com/.default"),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(form(seen), expected.into());
}

#[tokio::test]
async fn a_certificate_signs_for_its_application() {
    let dir = tempfile::tempdir().expect("temp");
    let server = Server::start(|_| granted());
    let certificate = Some(written(dir.path(), "identity.pem", IDENTITY));
    token(AzureSettings { certificate, ..application(&server) }, STORAGE).await.expect("a token");
    let fields = form(&server.seen()[0]);
    assert_eq!(
        fields["client_assertion_type"],
        "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    );
    let [header, claims] = verified(&fields["client_assertion"], &RSA_PSS_2048_8192_SHA256);
    let der = CertificateDer::from_pem_slice(IDENTITY.as_bytes()).expect("a certificate");
    let print = ring::digest::digest(&ring::digest::SHA256, &der);
    let print = URL_SAFE_NO_PAD.encode(print);
    assert_eq!(header, json!({"x5t#S256": print, "alg": "PS256", "typ": "JWT"}));
    let audience = format!("http://{}/tenant/oauth2/v2.0/token", server.host());
    assert_eq!(
        (&claims["aud"], &claims["iss"], &claims["sub"]),
        (&json!(audience), &json!("client"), &json!("client"))
    );
    assert!(claims["exp"].as_u64() > claims["nbf"].as_u64());
    assert!(claims["jti"].as_str().is_some_and(|id| id.len() > 16));
}

#[tokio::test]
async fn a_federated_token_is_read_each_time() {
    let dir = tempfile::tempdir().expect("temp");
    let server = Server::start(|_| Reply::new(200, r#"{"access_token": "t", "expires_in": 60}"#));
    let federated_token = Some(written(dir.path(), "token", "geheim1\n"));
    let azure = Azure::new(AzureSettings { federated_token, ..application(&server) });
    azure.token(&pool(), STORAGE).await.expect("a token");
    written(dir.path(), "token", "geheim2\n");
    azure.token(&pool(), STORAGE).await.expect("a token");
    let assertions: Vec<_> =
        server.seen().iter().map(|seen| form(seen)["client_assertion"].clone()).collect();
    assert_eq!(assertions, ["geheim1", "geheim2"]);
}

#[tokio::test]
async fn managed_identities_are_asked_for_at_their_services() {
    let server = Server::start(|_| granted());
    let url = format!("http://{}", server.host());
    let header = || Secret::from("geheim-header");
    let endpoint = format!("{url}/msi/token");
    let machine = "/metadata/identity/oauth2/token";
    for (managed, client, path, version, shown) in [
        (AzureManaged::At(url.clone()), None, machine, "2018-02-01", ("metadata", "true")),
        (AzureManaged::At(url.clone()), Some("me"), machine, "2018-02-01", ("metadata", "true")),
        (
            AzureManaged::Service { endpoint, header: header() },
            Some("me"),
            "/msi/token",
            "2019-08-01",
            ("x-identity-header", "geheim-header"),
        ),
    ] {
        let settings = AzureSettings {
            client: client.map(str::to_owned),
            managed: Some(managed),
            ..AzureSettings::default()
        };
        let (_, source) = token(settings, STORAGE).await.expect("a token");
        assert_eq!(source, "this machine's managed identity");
        let seen = server.seen().pop().expect("asked");
        assert_eq!(seen.path(), path);
        let asked = query(seen.target.split_once('?').expect("a query").1);
        assert_eq!((asked["api-version"].as_str(), asked["resource"].as_str()), (version, STORAGE));
        assert_eq!(asked.get("client_id").map(String::as_str), client);
        assert_eq!(seen.header(shown.0), Some(shown.1));
    }
}

#[tokio::test]
async fn what_cannot_be_used_says_why_and_shows_nothing() {
    let dir = tempfile::tempdir().expect("temp");
    let server = Server::start(|seen| {
        let words = json!({"error": "invalid_client", "error_description":
            format!("AADSTS7000215: {}", String::from_utf8_lossy(&seen.body))});
        Reply::new(401, words.to_string())
    });
    let gone = gone();
    let base = || application(&server);
    let file = |text: &str| Some(written(dir.path(), &text.len().to_string(), text));
    // As a form spells it, it looks different.
    let secret = Some(Secret::from("geheim+&"));
    let at = |url: String| Some(AzureManaged::At(url));
    for (settings, expected) in [
        (AzureSettings { secret: secret.clone(), ..base() }, "answered 401: AADSTS7000215: "),
        (
            AzureSettings { secret: secret.clone(), tenant: None, ..base() },
            "AZURE_TENANT_ID is not set, which AZURE_CLIENT_SECRET needs",
        ),
        (
            AzureSettings { secret: secret.clone(), client: None, ..base() },
            "AZURE_CLIENT_ID is not set",
        ),
        (
            AzureSettings { secret: secret.clone(), tenant: Some("a/b".into()), ..base() },
            "AZURE_TENANT_ID is neither an id nor a domain",
        ),
        (
            AzureSettings {
                secret: secret.clone(),
                authority: Some("http://login.example".into()),
                ..base()
            },
            "AZURE_AUTHORITY_HOST leads to `login.example`, which is not https",
        ),
        (
            AzureSettings {
                secret: secret.clone(),
                authority: None,
                environment: Some("AzureMoon".into()),
                ..base()
            },
            "AZURE_ENVIRONMENT is `AzureMoon`, and not AzurePublicCloud",
        ),
        (
            AzureSettings { federated_token: Some("/no/token".into()), ..base() },
            "/no/token cannot be read",
        ),
        (AzureSettings { federated_token: file("\n"), ..base() }, "is empty"),
        (AzureSettings { certificate: file(CURVE), ..base() }, "is no RSA key"),
        (AzureSettings::default(), "no identity of Azure's: none of AZURE_CLIENT_SECRET"),
        (
            AzureSettings { managed: at(format!("http://{gone}")), ..AzureSettings::default() },
            "the metadata service refuses connections",
        ),
        (
            AzureSettings {
                managed: at(format!("http://{}", server.host())),
                ..AzureSettings::default()
            },
            "the metadata service: `127.0.0.1:",
        ),
        (
            AzureSettings {
                managed: Some(AzureManaged::Service {
                    endpoint: format!("http://{}/token", server.host()),
                    header: SECRET.into(),
                }),
                ..AzureSettings::default()
            },
            "no token of this machine's managed identity: `127.0.0.1:",
        ),
        (
            AzureSettings {
                managed: Some(AzureManaged::Service {
                    endpoint: format!("http://{gone}/token"),
                    header: SECRET.into(),
                }),
                ..AzureSettings::default()
            },
            "IDENTITY_ENDPOINT refuses connections",
        ),
    ] {
        let error = token(settings, STORAGE).await.expect_err(expected);
        assert!(error.contains(expected), "{expected}: {error}");
    }
    let key =
        written(dir.path(), "key", &IDENTITY[..IDENTITY.find("-----BEGIN CERT").expect("it")]);
    let settings = AzureSettings { certificate: Some(key), ..base() };
    let error = token(settings, STORAGE).await.expect_err("no certificate");
    assert!(error.contains("has no certificate in PEM beside its key"), "{error}");
}

#[tokio::test]
async fn blobs_are_asked_for_with_whatever_there_is() {
    let server = Server::start(|_| granted());
    let blob = "https://me.blob.core.windows.net/box/a.tar";
    let nobody = Azure::new(AzureSettings::default());
    let signed = nobody.sign(&pool(), blob, 0).await.expect("unsigned");
    let names: Vec<_> = signed.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!((signed.url.as_str(), names), (blob, vec!["x-ms-version"]));
    let why = signed.identity.expect_err("nobody");
    assert!(why.starts_with("no identity of Azure's: none of AZURE_CLIENT_SECRET"), "{why}");
    // A machine that has no identity, as Microsoft's metadata service says it.
    let without = Server::start(|_| {
        Reply::new(
            400,
            r#"{"error": "invalid_request", "error_description": "Identity not found"}"#,
        )
    });
    let managed = Some(AzureManaged::At(format!("http://{}", without.host())));
    let machine = Azure::new(AzureSettings { managed, ..AzureSettings::default() });
    let signed = machine.sign(&pool(), blob, 0).await.expect("unsigned");
    let why = signed.identity.expect_err("nobody");
    assert!(why.ends_with("answered 400: Identity not found"), "{why}");
    let settings = AzureSettings { secret: Some(SECRET.into()), ..application(&server) };
    let azure = Azure::new(settings.clone());
    let signed = azure.sign(&pool(), blob, 0).await.expect("signed");
    let header = signed.headers.iter().find(|(name, _)| *name == AUTHORIZATION).expect("a token");
    assert_eq!(header.1.to_str().expect("text"), "Bearer ey.geheim");
    assert!(header.1.is_sensitive() && !format!("{signed:?}").contains(SECRET));
    azure.sign(&pool(), blob, 0).await.expect("signed");
    assert_eq!(server.seen().len(), 1, "the token is kept");
    // No token for a server that is not Microsoft's.
    let elsewhere =
        azure.sign(&pool(), "https://example.com/box/a.tar", 0).await.expect("unsigned");
    assert!(elsewhere.headers.is_empty());
    let why = elsewhere.identity.expect_err("nobody");
    assert_eq!(why, "https://example.com is no server of Azure's that may see a token");
    let other = AzureStorage {
        account: Some("you".into()),
        key: Some(("AZURE_STORAGE_KEY".into(), "Z2VoZWlt".into())),
        ..AzureStorage::default()
    };
    let other = Azure::new(AzureSettings { storage: other, ..AzureSettings::default() });
    let why = other.sign(&pool(), blob, 0).await.expect("unsigned").identity.expect_err("nobody");
    assert!(why.starts_with("AZURE_STORAGE_KEY is for `you`, no identity"), "{why}");
    let storage = AzureStorage {
        key: Some(("AZURE_STORAGE_ACCESS_KEY".into(), "Z2VoZWlt".into())),
        ..AzureStorage::default()
    };
    let keyed = Azure::new(AzureSettings { storage, ..settings });
    let signed = keyed.sign(&pool(), blob, 0).await.expect("signed");
    assert!(signed.headers.iter().any(|(_, value)| value.as_bytes().starts_with(b"SharedKey me:")));
    assert!(!format!("{signed:?}").contains("SharedKey me:"));
    assert_eq!(server.seen().len(), 1, "nobody is asked where there is a key");
}

#[tokio::test]
async fn a_login_names_both_services_that_refused() {
    let server = Server::start(|seen| match form(seen)["scope"].as_str() {
        "https://containerregistry.azure.net/.default" => {
            Reply::new(400, r#"{"error_description": "AADSTS500011: not found"}"#)
        }
        "https://management.azure.com/.default" => {
            Reply::new(400, r#"{"error_description": "AADSTS700016: not found"}"#)
        }
        other => panic!("{other}"),
    });
    let settings = AzureSettings { secret: Some(SECRET.into()), ..application(&server) };
    let error = Azure::new(settings).login(&pool(), "my.azurecr.io").await.expect_err("refused");
    assert!(error.contains("AADSTS500011") && error.contains("AADSTS700016"), "{error}");
    let nobody = Azure::new(AzureSettings::default());
    let error = nobody.login(&pool(), "my.azurecr.io").await.expect_err("nobody");
    assert_eq!(error.matches("no identity of Azure's").count(), 1, "{error}");
}

#[test]
fn refresh_tokens_end_when_they_say() {
    let token = |claims: &str| format!("h.{}.s", URL_SAFE_NO_PAD.encode(claims));
    let end = crate::registry::cloud::jwt::end_of;
    assert_eq!(end(&token(r#"{"exp": 1700000000}"#)), Some(1_700_000_000));
    for other in [token("{}"), token("geheim"), "opaque".into(), "a.!.c".into()] {
        assert_eq!(end(&other), None, "{other}");
    }
    assert!(crate::registry::cloud::token::at(u64::MAX) > SystemTime::now());
}

#[test]
fn plans_name_who_would_be_asked() {
    let server = Server::start(|_| granted());
    let plan = |settings: AzureSettings| Azure::new(settings).plan();
    let secret = AzureSettings { secret: Some(SECRET.into()), ..application(&server) };
    let expected = "would ask as the application client (AZURE_CLIENT_SECRET)";
    assert_eq!(plan(secret).as_deref(), Ok(expected));
    let managed = Some(AzureManaged::At("http://h".into()));
    let half = AzureSettings { managed, secret: Some(SECRET.into()), ..AzureSettings::default() };
    let expected = "would ask the metadata service at http://h (AZURE_CLIENT_ID is not set, which \
                    AZURE_CLIENT_SECRET needs)";
    assert_eq!(plan(half).as_deref(), Ok(expected));
    assert!(plan(AzureSettings::default()).is_err());
    assert_eq!(server.seen().len(), 0);
}
