//! Docker's own registry over TLS with a private CA: open, with passwords, and with tokens that a
//! server signs and that end after seconds. The servers of a test are started once.

mod common;

#[path = "registries/certificates.rs"]
mod certificates;

use std::path::PathBuf;
use std::time::Duration;

use testkit::process::{DockerRegistry, DockerRegistryBuilder};
use testkit::token_server::{Asked, TokenServer};
use testkit::{Action, Fault, Registry};

use crate::certificates::Certificates;
use crate::common::{Kiln, bases, tools};

const NAMES: &str = "IP:127.0.0.1,DNS:localhost";
const USER: &str = "builder";
const PASSWORD: &str = "pass $word:with\\all";
/// How long a token lives.
const LIFE: Duration = Duration::from_secs(2);
/// Not the registry's own words: what kiln says where somebody has to act.
const REFUSED: &str = "(status 401, scope ";

/// A registry whose certificate a CA of the test has signed.
struct Private {
    registry: DockerRegistry,
    certificates: Certificates,
    ca: PathBuf,
}

impl Private {
    fn start(set_up: impl FnOnce(DockerRegistryBuilder) -> DockerRegistryBuilder) -> Self {
        Self::with(Certificates::new(), set_up)
    }

    fn with(
        certificates: Certificates,
        set_up: impl FnOnce(DockerRegistryBuilder) -> DockerRegistryBuilder,
    ) -> Self {
        let (ca, _) = certificates.self_signed("ca", "DNS:ca");
        let (pem, key) = certificates.signed("server", NAMES, "ca");
        let registry = set_up(DockerRegistry::builder().tls(&pem, &key)).start();
        Self { registry: registry.expect("docker-registry"), certificates, ca }
    }

    fn host(&self) -> &str {
        self.registry.host()
    }

    fn trusted(&self, kiln: Kiln) -> Kiln {
        let flag = format!("{}={}", self.host(), self.ca.display());
        kiln.args(["--registry-certificate", &flag])
    }

    /// Pushes to `one:1`.
    fn first(&self) -> Kiln {
        let kiln = Kiln::build().dockerfile("FROM scratch\nCOPY f /f\n");
        let kiln = kiln.file("f", bases::noise(50_000, 5));
        self.trusted(kiln.args(["-t", &format!("{}/one:1", self.host())]))
    }

    /// Looks into `one:1` and pushes to `two:1`.
    fn second(&self) -> Kiln {
        let from = format!("FROM {}/one:1\nCOPY g /f/../g\n", self.host());
        let kiln = Kiln::build().dockerfile(&from).file("g", "g\n");
        self.trusted(kiln.args(["-t", &format!("{}/two:1", self.host())]))
    }

    /// Pushes, pulls back and mounts; both images are there.
    fn there_and_back(&self, login: impl Fn(Kiln) -> Kiln, skopeo: &[&str]) {
        let first = login(self.first()).run().ok();
        let second = login(self.second()).run().ok();
        for (name, outcome, layers) in [("one", first, 1), ("two", second, 2)] {
            let image = format!("docker://{}/{name}:1", self.host());
            let found = tools::skopeo_inspect(&image, skopeo);
            assert_eq!(found["Digest"], outcome.stdout.trim());
            assert_eq!(found["Layers"].as_array().expect("layers").len(), layers);
        }
        let log = self.registry.log();
        let mounted = log.lines().any(|line| {
            line.contains("POST /v2/two/blobs/uploads/?")
                && line.contains("mount=")
                && line.contains("\" 201 ")
        });
        assert!(mounted, "the base's layer was not mounted:\n{log}");
    }
}

#[test]
fn an_open_registry_needs_its_ca_to_be_known() {
    let private = Private::start(|builder| builder);
    private.there_and_back(|kiln| kiln, &[]);
    let unknown = "its certificate is signed by a CA that is not trusted here";
    let name = format!("{}/three:1", private.host());
    let kiln = || Kiln::build().dockerfile("FROM scratch\nCOPY Dockerfile /\n").args(["-t", &name]);
    kiln().run().fails(1, unknown);
    let (other, _) = private.certificates.self_signed("other", "DNS:other");
    let flag = format!("{}={}", private.host(), other.display());
    kiln().args(["--registry-certificate", &flag]).run().fails(1, unknown);
    kiln().env("SSL_CERT_FILE", &private.ca).run().ok();
}

#[test]
fn passwords_are_asked_for_and_checked() {
    let private = Private::start(|builder| builder.login(USER, PASSWORD));
    let host = private.host().to_owned();
    let credentials = format!("--creds={USER}:{PASSWORD}");
    private.there_and_back(|kiln| kiln.login(&host, USER, PASSWORD), &[&credentials]);
    for (user, password) in [(USER, "wrong-secret"), ("nobody", PASSWORD)] {
        for kiln in [private.first(), private.second()] {
            let outcome = kiln.login(&host, user, password).run().fails(1, REFUSED);
            assert!(outcome.stderr.contains("config.json"), "whose they are: {outcome}");
            assert!(!outcome.stderr.contains(password), "{outcome}");
        }
    }
    private.first().run().fails(1, "kiln asked without credentials");
}

#[test]
fn tokens_are_asked_for_renewed_and_refused() {
    let certificates = Certificates::new();
    let (pem, key) = certificates.self_signed("tokens", NAMES);
    let tokens = TokenServer::start(&pem, &key, LIFE).expect("a token server");
    tokens.user(USER, PASSWORD, &["pull", "push"]);
    tokens.user("reader", "may only read", &["pull"]);
    let private = Private::with(certificates, |builder| builder.tokens(&tokens));
    let host = private.host().to_owned();
    // The registry is asked with one certificate, the token server with another.
    let bundle = private.certificates.dir().join("both.pem");
    let read = |path| std::fs::read_to_string(path).expect("a file");
    std::fs::write(&bundle, read(private.ca.clone()) + &read(pem)).expect("a file");
    let login = |kiln: Kiln, user: &str, password: &str| {
        kiln.login(&host, user, password).env("SSL_CERT_FILE", &bundle)
    };
    let right = |kiln: Kiln| login(kiln, USER, PASSWORD);
    let credentials = format!("--creds={USER}:{PASSWORD}");
    private.there_and_back(right, &[&credentials]);
    let scopes: Vec<_> = tokens.asked().into_iter().flat_map(|asked| asked.scopes).collect();
    for scope in ["repository:one:pull,push", "repository:one:pull", "repository:two:pull,push"] {
        assert!(scopes.iter().any(|asked| asked == scope), "{scope}: {scopes:?}");
    }

    // The base comes later than the token ends that the permission was asked with.
    tokens.clear();
    let source = Registry::start();
    bases::plain(&source, "base", "1");
    let late = Action::Delay(LIFE + Duration::from_millis(500));
    source.fault(Fault::on("GET", "/blobs/", late).nth(2));
    let from = format!("FROM {}/base:1\nCOPY f /etc/f\n", source.host());
    right(private.first().dockerfile(&from)).run().ok();
    let push = |asked: &Asked| asked.scopes.iter().any(|scope| scope.ends_with(":one:pull,push"));
    let pushes: Vec<_> = tokens.asked().into_iter().filter(push).collect();
    // The registry wants a right of its own for the cancelled upload, which asked for the permission.
    let again = pushes.iter().filter(|asked| asked.scopes == pushes[pushes.len() - 1].scopes);
    assert!(again.count() >= 2, "{pushes:?}");

    let outcome = login(private.first(), USER, "wrong-secret").run();
    let outcome = outcome.fails(1, "incorrect username or password");
    assert!(!outcome.stderr.contains("wrong-secret"), "{outcome}");
    let outcome = login(private.first(), "reader", "may only read").run();
    outcome.fails(1, "does not let kiln push to `one`");
    login(private.second().args(["--no-push"]), "reader", "may only read").run().ok();
    tokens.stale(true);
    right(private.first()).run().fails(1, REFUSED);
    tokens.stale(false);
    right(private.first()).run().ok();
}
