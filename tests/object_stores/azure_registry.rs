//! Logins for Azure Container Registry: a token of Entra becomes the registry's own.

use std::time::Duration;

use serde_json::json;
use testkit::Registry;

use crate::certificates::Certificates;
use crate::common::{Kiln, Outcome, bases};
use crate::front::{Front, Reply, Seen};
use crate::ports;

const HOST: &str = "kilntest.azurecr.io";
/// What Entra hands out for registries, and for managing everything.
const TOKEN: &str = "ey.geheim-registry";
const MANAGEMENT: &str = "ey.geheim-management";
/// What the registry makes of it.
const REFRESH: &str = "geheim-refresh";

/// A registry at Microsoft's name that exchanges this token.
struct Azure {
    registry: Registry,
    front: Front,
    pem: std::path::PathBuf,
    _certificates: Certificates,
}

impl Azure {
    fn start(accepted: &'static str) -> Self {
        let user = "00000000-0000-0000-0000-000000000000";
        let registry = Registry::builder().token_auth(user, REFRESH, Duration::from_secs(300));
        let registry = registry.anonymous_pull().start();
        bases::plain(&registry, "base", "1");
        let certificates = Certificates::new();
        let (pem, key) = certificates.self_signed("azure", &format!("DNS:{HOST}"));
        let behind = registry.host().to_owned();
        let front = Front::tls((&pem, key), move |seen| {
            if seen.target == "/oauth2/exchange" {
                exchange(seen, accepted)
            } else {
                Reply::To(behind.clone())
            }
        });
        Self { registry, front, pem, _certificates: certificates }
    }

    fn run(&self, variables: &[(&str, &str)]) -> Outcome {
        let kiln = Kiln::build()
            .dockerfile(&format!("FROM {HOST}/base:1\nCOPY f /f\n"))
            .file("f", "content\n")
            .args(["-v", "-t", &format!("{HOST}/app:1")])
            // The registry's own CA, which is nobody else's.
            .args(["--registry-certificate", &format!("{HOST}={}", self.pem.display())])
            .env("AZURE_POD_IDENTITY_AUTHORITY_HOST", format!("http://{}", ports::nobody()));
        let kiln = variables.iter().fold(kiln, |kiln, (name, value)| kiln.env(name, value));
        let outcome = kiln.hosts(&self.front.named(HOST)).run();
        assert!(!outcome.to_string().contains("geheim"), "{outcome}");
        outcome
    }

    fn exchanges(&self) -> usize {
        self.front.lines().iter().filter(|line| *line == "POST /oauth2/exchange").count()
    }
}

fn exchange(seen: &Seen, accepted: &str) -> Reply {
    assert_eq!(seen.field("grant_type").as_deref(), Some("access_token"));
    assert_eq!(seen.field("service").as_deref(), Some(HOST));
    if seen.field("access_token").as_deref() == Some(accepted) {
        return Reply::json(200, &json!({ "refresh_token": REFRESH }));
    }
    let error = json!({"code": "UNAUTHORIZED", "message": "authentication required"});
    Reply::json(401, &json!({ "errors": [error] }))
}

/// Entra: an application's secret, or whatever proves it.
fn entra(proof: &'static str, value: &'static str) -> Front {
    Front::plain(move |seen| {
        assert_eq!(seen.path(), "/tenant/oauth2/v2.0/token");
        if seen.field(proof).as_deref() != Some(value) {
            let words = "AADSTS7000215: Invalid client secret provided.";
            return Reply::json(401, &json!({ "error_description": words }));
        }
        match seen.field("scope").as_deref() {
            Some("https://containerregistry.azure.net/.default") => {
                Reply::json(200, &json!({"access_token": TOKEN, "expires_in": 3599}))
            }
            Some("https://management.azure.com/.default") => {
                Reply::json(200, &json!({"access_token": MANAGEMENT, "expires_in": 3599}))
            }
            _ => Reply::status(400),
        }
    })
}

#[test]
fn an_application_s_token_becomes_the_registry_s() {
    let azure = Azure::start(TOKEN);
    let entra = entra("client_secret", "geheim");
    let authority = format!("http://{}/", entra.host());
    let application = |secret| {
        [
            ("AZURE_TENANT_ID", "tenant"),
            ("AZURE_CLIENT_ID", "client"),
            ("AZURE_CLIENT_SECRET", secret),
            ("AZURE_AUTHORITY_HOST", authority.as_str()),
        ]
    };
    azure.run(&application("geheim")).ok();
    assert_eq!(azure.registry.tags("app"), ["1"]);
    assert_eq!((entra.seen().len(), azure.exchanges()), (1, 1), "one login is enough for a build");

    // A login that fails stops no pull, and says what went wrong where one is needed.
    let refused = azure.run(&application("geheim-wrong"));
    let refused = refused.fails(1, "answered 401: AADSTS7000215: Invalid client secret provided.");
    assert!(refused.stderr.contains("the application client (AZURE_CLIENT_SECRET)"), "{refused}");
    let nobody = azure.run(&[]).fails(1, "no identity of Azure's: none of AZURE_CLIENT_SECRET");
    assert!(nobody.stderr.contains("the metadata service refuses connections"), "{nobody}");
    let half = azure.run(&[("AZURE_CLIENT_SECRET", "geheim"), ("AZURE_CLIENT_ID", "client")]);
    half.fails(1, "AZURE_TENANT_ID is not set, which AZURE_CLIENT_SECRET needs");
}

#[test]
fn a_registry_may_want_the_other_token() {
    let azure = Azure::start(MANAGEMENT);
    let dir = tempfile::tempdir().expect("a directory");
    let token = dir.path().join("token");
    std::fs::write(&token, "geheim-federated\n").expect("a file");
    let entra = entra("client_assertion", "geheim-federated");
    let (authority, token) = (format!("http://{}/", entra.host()), token.display().to_string());
    let federated = [
        ("AZURE_TENANT_ID", "tenant"),
        ("AZURE_CLIENT_ID", "client"),
        ("AZURE_FEDERATED_TOKEN_FILE", token.as_str()),
        ("AZURE_AUTHORITY_HOST", &authority),
    ];
    azure.run(&federated).ok();
    assert_eq!((entra.seen().len(), azure.exchanges()), (2, 2));
    let neither = Azure::start("another");
    let refused = neither.run(&federated).fails(1, "is not accepted: ");
    assert!(refused.stderr.contains("answered 401: authentication required"), "{refused}");
}

#[test]
fn a_machine_has_an_identity() {
    let azure = Azure::start(TOKEN);
    let machine = Front::plain(|seen| {
        let known = seen.header("metadata") == Some("true");
        let asked = seen.target.contains("resource=https%3A%2F%2Fcontainerregistry.azure.net%2F");
        assert!(known && asked, "{seen:?}");
        // As the metadata service spells numbers.
        Reply::json(200, &json!({"access_token": TOKEN, "expires_in": "86399"}))
    });
    let address = format!("http://{}", machine.host());
    azure.run(&[("AZURE_POD_IDENTITY_AUTHORITY_HOST", &address)]).ok();
    assert_eq!(azure.registry.tags("app"), ["1"]);
}
