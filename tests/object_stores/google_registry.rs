//! Logins for Artifact Registry: with a service account's key, and of a machine.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use serde_json::{Value, json};
use testkit::Registry;

use crate::certificates::Certificates;
use crate::common::{Kiln, Outcome, bases};
use crate::front::{Front, Reply};
use crate::ports;

const HOST: &str = "europe-docker.pkg.dev";
const TOKEN: &str = "ya29.geheim-token";

/// A key as Google's console hands it out, and what checks its signatures.
fn key(dir: &std::path::Path) -> (String, Vec<u8>) {
    let output = |args: &[&str]| {
        let mut command = std::process::Command::new("openssl");
        command.args(args).current_dir(dir);
        crate::common::tools::output(command);
    };
    output(&["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", "k.pem"]);
    output(&["rsa", "-in", "k.pem", "-RSAPublicKey_out", "-outform", "DER", "-out", "k.der"]);
    let pem = std::fs::read_to_string(dir.join("k.pem")).expect("a key");
    (pem, std::fs::read(dir.join("k.der")).expect("a key"))
}

/// The claims of a token that the key has signed.
fn claims(assertion: &str, public: &[u8]) -> Option<Value> {
    let (signed, signature) = assertion.rsplit_once('.')?;
    let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
    let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public);
    key.verify(signed.as_bytes(), &signature).ok()?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(signed.split('.').nth(1)?).ok()?).ok()
}

/// A registry at Google's name, which knows the token, and lets everyone pull if it is open.
struct Google {
    registry: Registry,
    pem: std::path::PathBuf,
    front: Front,
    _certificates: Certificates,
}

impl Google {
    fn start(is_open: bool) -> Self {
        let builder = Registry::builder();
        let builder = match is_open {
            true => builder
                .token_auth("oauth2accesstoken", TOKEN, Duration::from_secs(300))
                .anonymous_pull(),
            false => builder.basic_auth("oauth2accesstoken", TOKEN),
        };
        let registry = builder.start();
        bases::plain(&registry, "p/base", "1");
        let certificates = Certificates::new();
        let (pem, key) = certificates.self_signed("google", &format!("DNS:{HOST}"));
        let behind = registry.host().to_owned();
        let front = Front::tls((&pem, key), move |_| Reply::To(behind.clone()));
        Self { registry, pem, front, _certificates: certificates }
    }

    /// A build on an image of the registry that is pushed there.
    fn run(&self, prepare: impl FnOnce(Kiln) -> Kiln) -> Outcome {
        let kiln = Kiln::build()
            .dockerfile(&format!("FROM {HOST}/p/base:1\nCOPY f /f\n"))
            .file("f", "content\n")
            .args(["-v", "-t", &format!("{HOST}/p/app:1")])
            .env("SSL_CERT_FILE", &self.pem)
            .env("GCE_METADATA_HOST", ports::nobody());
        let outcome = prepare(kiln).hosts(&self.front.named(HOST)).run();
        let text = outcome.to_string();
        assert!(!text.contains("geheim") && !text.contains("PRIVATE KEY"), "{text}");
        outcome
    }
}

#[test]
fn a_service_account_s_key_is_a_login() {
    let google = Google::start(false);
    let dir = tempfile::tempdir().expect("a directory");
    let (pem, public) = key(dir.path());
    let tokens = Front::plain(move |seen| {
        let claims = seen.field("assertion").and_then(|token| claims(&token, &public));
        match claims {
            Some(claims) if claims["iss"] == "robot@p.iam.gserviceaccount.com" => {
                Reply::json(200, &json!({"access_token": TOKEN, "expires_in": 3599}))
            }
            _ => Reply::json(400, &json!({"error_description": "Invalid JWT Signature."})),
        }
    });
    let account = |key: &str| {
        json!({
            "type": "service_account",
            "client_email": "robot@p.iam.gserviceaccount.com",
            "private_key": key,
            "token_uri": format!("http://{}/token", tokens.host()),
        })
        .to_string()
    };
    let path = dir.path().join("key.json");
    let with = |kiln: Kiln| kiln.env("GOOGLE_APPLICATION_CREDENTIALS", &path);
    std::fs::write(&path, account(&pem)).expect("a file");
    google.run(with).ok();
    assert_eq!(tokens.seen().len(), 1, "one token is enough for a build");
    assert_eq!(google.registry.tags("p/app"), ["1"]);
    // What gcloud leaves is found without a variable.
    let place = ".config/gcloud/application_default_credentials.json";
    google.run(|kiln| kiln.home_file(place, account(&pem))).ok();

    let (other, _) = key(dir.path());
    std::fs::write(&path, account(&other)).expect("a file");
    let refused = google.run(with).fails(1, "answered 400: Invalid JWT Signature.");
    assert!(refused.stderr.contains("key.json"), "{refused}");
    std::fs::remove_file(&path).expect("removed");
    google.run(with).fails(1, "key.json cannot be read");
    let nobody = google.run(|kiln| kiln).fails(1, "no service account of Google's");
    assert!(nobody.stderr.contains("GOOGLE_APPLICATION_CREDENTIALS is not set"), "{nobody}");
    // What people wrote down comes first.
    let asked = tokens.seen().len();
    google.run(|kiln| kiln.login(HOST, "oauth2accesstoken", TOKEN)).ok();
    assert_eq!(tokens.seen().len(), asked);
}

#[test]
fn who_may_pull_without_a_login_is_not_stopped_by_one_that_fails() {
    let google = Google::start(true);
    let machine = Front::plain(|_| {
        let body = json!({"access_token": TOKEN, "expires_in": 3599}).to_string();
        Reply::Own(200, vec![("Metadata-Flavor", "Google".into())], body.into_bytes())
    });
    google.run(|kiln| kiln.env("GCE_METADATA_HOST", machine.host())).ok();
    let broken = |kiln: Kiln| kiln.env("GOOGLE_APPLICATION_CREDENTIALS", "/no/such.json");
    google.run(|kiln| broken(kiln).args(["--no-push"])).ok();
    google.run(|kiln| kiln.args(["--no-push"])).ok();
    let refused = google.run(broken).fails(1, "/no/such.json cannot be read");
    assert!(refused.stderr.contains("GOOGLE_APPLICATION_CREDENTIALS names it"), "{refused}");
}
