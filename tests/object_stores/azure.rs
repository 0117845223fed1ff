//! Contexts in Azure's storage: what Azurite, which checks signatures, lets kiln read.

use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use testkit::tar::TarBytes;

use crate::azurite::{ACCOUNT, Azurite, KEY};
use crate::built::{Built, build_in};
use crate::certificates::Certificates;
use crate::common::Kiln;
use crate::front::{Front, Reply};
use crate::ports;

const DOCKERFILE: &str = "FROM scratch\nCOPY f /\n";
/// A key of no account.
const WRONG: &str = "d3Jvbmcgd3Jvbmcgd3Jvbmcgd3Jvbmcgd3Jvbmcgd3Jvbmcgd3Jvbmcgd3Jvbmc=";

fn tar(text: &str) -> Vec<u8> {
    TarBytes::new().file("Dockerfile", DOCKERFILE).file("f", text).finish()
}

/// A build that finds no identity beside what it is given.
fn kiln(variables: &[(&str, &str)]) -> Kiln {
    let nobody = format!("http://{}", ports::nobody());
    let kiln = Kiln::build().env("AZURE_POD_IDENTITY_AUTHORITY_HOST", nobody);
    variables.iter().fold(kiln, |kiln, (name, value)| kiln.env(name, value))
}

fn build(context: &str, variables: &[(&str, &str)]) -> Built {
    build_in(kiln(variables), context, &["-v"], b"")
}

/// Nothing that gives access is printed.
fn shows_nothing(built: &Built, secrets: &[&str]) {
    let text = built.outcome.to_string();
    for secret in secrets {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
}

#[test]
fn blobs_are_read_with_a_key_or_a_signature() {
    let azurite = Azurite::start();
    let blob = azurite.blob("dir/a%20b.tar", &tar("of a blob"));
    let endpoint = azurite.endpoint();
    let connection =
        format!("AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint={};", azurite.endpoint());
    let name = ("AZURE_STORAGE_SERVICE_ENDPOINT", endpoint.as_str());
    for variables in [
        &[name, ("AZURE_STORAGE_ACCESS_KEY", KEY)][..],
        &[name, ("AZURE_STORAGE_KEY", KEY), ("AZURE_STORAGE_ACCOUNT", ACCOUNT)],
        &[("AZURE_STORAGE_CONNECTION_STRING", &connection)],
    ] {
        let built = build(&blob, variables);
        assert_eq!(built.text("f"), "of a blob", "{variables:?}");
        shows_nothing(&built, &[KEY]);
    }
    let signature = azurite.signature("dir/a b.tar");
    // Nobody is asked who this is: the address says everything.
    let built = build(&format!("{blob}?{signature}"), &[name]);
    assert_eq!(built.text("f"), "of a blob");
    shows_nothing(&built, &["sig="]);
    let account = ("AZURE_STORAGE_ACCOUNT", ACCOUNT);
    let built = build(&blob, &[name, account, ("AZURE_STORAGE_SAS_TOKEN", &signature)]);
    assert_eq!(built.text("f"), "of a blob");
    shows_nothing(&built, &["sig="]);
    let kiln = kiln(&[name, ("AZURE_STORAGE_ACCESS_KEY", KEY)])
        .dockerfile("FROM scratch\nCOPY --from=other f /\n");
    let context = kiln.context().display().to_string();
    let named = format!("other={blob}");
    let built = build_in(kiln, &context, &["--build-context", &named], b"");
    assert_eq!(built.text("f"), "of a blob");
}

#[test]
fn refusals_say_what_azure_says_and_who_asked() {
    let azurite = Azurite::start();
    let blob = azurite.blob("a.tar", &tar("x"));
    let endpoint = azurite.endpoint();
    let name = ("AZURE_STORAGE_SERVICE_ENDPOINT", endpoint.as_str());
    let wrong = build(&blob, &[name, ("AZURE_STORAGE_ACCESS_KEY", WRONG)]);
    let gone = build(&format!("{endpoint}/box/gone"), &[name, ("AZURE_STORAGE_ACCESS_KEY", KEY)]);
    let signature = azurite.signature("b.tar");
    let other = build(&format!("{blob}?{signature}"), &[name]);
    let nobody = build(&blob, &[name]);
    let no_key = build(&blob, &[name, ("AZURE_STORAGE_ACCESS_KEY", "geheim!")]);
    for (built, status, parts) in [
        (
            &wrong,
            "answered 403",
            &["AuthorizationFailure", "the key in AZURE_STORAGE_ACCESS_KEY"][..],
        ),
        (&gone, "answered 404", &["BlobNotFound", "box/gone"]),
        (&other, "answered 403", &["kiln used the signature in its address"]),
        (
            &nobody,
            "kiln asked without a signature: ",
            &[
                "no identity of Azure's: none of AZURE_CLIENT_SECRET,",
                "the metadata service refuses connections",
            ],
        ),
        (&no_key, "AZURE_STORAGE_ACCESS_KEY is no key of an account", &["not base64"]),
    ] {
        let text = built.outcome.to_string();
        assert_eq!(built.outcome.code, Some(1), "{text}");
        for part in std::iter::once(&status).chain(parts) {
            assert!(text.contains(part), "{part}: {text}");
        }
        shows_nothing(built, &[KEY, WRONG, "geheim", "sig="]);
    }
}

/// Whoever reads on after a break signs the range as well.
#[test]
fn a_broken_download_is_read_on_from_with_the_same_key() {
    let azurite = Azurite::start();
    let content: String = (0..40_000).map(|line| format!("line {line}\n")).collect();
    azurite.blob("a.tar", &tar(&content));
    let (behind, cut) = (azurite.host(), AtomicBool::new(false));
    let front = Front::plain(move |_| match cut.swap(true, Ordering::SeqCst) {
        false => Reply::Cut(behind.clone(), 200_000),
        true => Reply::To(behind.clone()),
    });
    let endpoint = format!("http://{}/{ACCOUNT}", front.host());
    let variables =
        [("AZURE_STORAGE_SERVICE_ENDPOINT", endpoint.as_str()), ("AZURE_STORAGE_ACCESS_KEY", KEY)];
    let built = build(&format!("{endpoint}/box/a.tar"), &variables);
    assert_eq!(built.text("f"), content);
    let seen = front.seen();
    assert_eq!(seen.len(), 2, "{:?}", front.lines());
    assert_eq!(seen[0].header("range"), None);
    assert!(seen[1].header("range").is_some_and(|range| range.starts_with("bytes=")));
}

/// The names that Microsoft gives out, by TLS: with a key to Azurite, with a token to a server that
/// wants this one.
#[test]
fn accounts_have_names_of_microsoft_s() {
    const TOKEN: &str = "ey.geheim-token";
    let azurite = Azurite::start();
    azurite.blob("a.tar", &tar("by name"));
    let certificates = Certificates::new();
    let host = format!("{ACCOUNT}.blob.core.windows.net");
    let (pem, key) = certificates.self_signed("azure", &format!("DNS:{host}"));
    let (behind, content) = (azurite.host(), tar("by identity"));
    let store = Front::tls((&pem, key), move |seen| {
        if seen.path() == "/box/a.tar" {
            return Reply::To(behind.clone());
        }
        let header = format!("Bearer {TOKEN}");
        let known = seen.header("authorization") == Some(&header);
        match (seen.path(), known && seen.header("x-ms-version").is_some()) {
            ("/private/a.tar", true) | ("/public/a.tar", _) => {
                Reply::Own(200, Vec::new(), content.clone())
            }
            _ => Reply::status(404),
        }
    });
    let identities = Front::plain(|seen| match seen.path() {
        "/tenant/oauth2/v2.0/token" if seen.field("client_secret").as_deref() == Some("geheim") => {
            Reply::json(200, &json!({"access_token": TOKEN, "expires_in": 3600}))
        }
        _ => Reply::json(401, &json!({"error_description": "AADSTS7000215: Invalid secret"})),
    });
    let authority = format!("http://{}", identities.host());
    let address = |path: &str| format!("https://{host}/{path}");
    let build = |path: &str, variables: &[(&str, &str)]| {
        let kiln = kiln(variables).env("SSL_CERT_FILE", &pem).hosts(&store.named(&host));
        build_in(kiln, &address(path), &["-v"], b"")
    };
    let keyed = build("box/a.tar", &[("AZURE_STORAGE_ACCESS_KEY", KEY)]);
    assert_eq!(keyed.text("f"), "by name");
    let application = |secret| {
        [
            ("AZURE_TENANT_ID", "tenant"),
            ("AZURE_CLIENT_ID", "client"),
            ("AZURE_CLIENT_SECRET", secret),
            ("AZURE_AUTHORITY_HOST", authority.as_str()),
        ]
    };
    let built = build("private/a.tar", &application("geheim"));
    assert_eq!(built.text("f"), "by identity");
    shows_nothing(&built, &["geheim"]);
    assert_eq!(
        identities.seen()[0].field("scope").as_deref(),
        Some("https://storage.azure.com/.default")
    );
    assert_eq!(build("public/a.tar", &[]).text("f"), "by identity");
    let wrong = build("private/a.tar", &application("geheim-wrong"));
    let text = wrong.outcome.to_string();
    assert_eq!(wrong.outcome.code, Some(1), "{text}");
    assert!(text.contains("the application client (AZURE_CLIENT_SECRET)"), "{text}");
    assert!(text.contains("answered 401: AADSTS7000215: Invalid secret"), "{text}");
    shows_nothing(&wrong, &["geheim", &STANDARD.encode("geheim")]);
    assert!(store.lines().iter().all(|line| line.starts_with("GET /")));
}
