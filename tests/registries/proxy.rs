//! Registries that are reached through a proxy.

use std::path::PathBuf;

use testkit::process::DockerRegistry;
use testkit::proxy::Proxy;
use testkit::{Action, Fault, Registry};

use crate::certificates::Certificates;
use crate::common::{Kiln, Outcome};

/// A registry that speaks TLS as `registry.test`, and its CA.
struct Far {
    registry: DockerRegistry,
    ca: PathBuf,
    _certificates: Certificates,
}

impl Far {
    fn start() -> Self {
        let certificates = Certificates::new();
        let (ca, _) = certificates.self_signed("ca", "DNS:ca");
        let (pem, key) = certificates.signed("server", "DNS:registry.test", "ca");
        let registry = DockerRegistry::builder().tls(&pem, &key).start().expect("docker-registry");
        Self { registry, ca, _certificates: certificates }
    }

    /// `registry.test:PORT`.
    fn name(&self) -> String {
        self.registry.host().replace("127.0.0.1", "registry.test")
    }

    fn proxy(&self) -> Proxy {
        Proxy::start().host(&self.name(), self.registry.host())
    }

    fn push(&self, variables: &[(&str, &str)]) -> Outcome {
        let kiln = Kiln::build()
            .dockerfile("FROM scratch\nCOPY Dockerfile /\n")
            .args(["-t", &format!("{}/app:1", self.name())])
            .env("SSL_CERT_FILE", &self.ca);
        variables.iter().fold(kiln, |kiln, (name, value)| kiln.env(name, value)).run()
    }
}

#[test]
fn tls_goes_through_a_tunnel_as_the_variables_say() {
    let far = Far::start();
    let proxy = far.proxy();
    let address = proxy.address();
    let with_scheme = format!("http://{address}");
    for (name, value) in
        [("HTTPS_PROXY", address), ("https_proxy", address), ("HTTPS_PROXY", &with_scheme)]
    {
        let before = proxy.seen().len();
        far.push(&[(name, value)]).ok();
        let seen = proxy.seen().split_off(before);
        assert!(!seen.is_empty() && seen.iter().all(|it| *it == format!("CONNECT {}", far.name())));
    }
    // Without it the name leads nowhere; HTTP_PROXY is not for TLS, and Go knows no ALL_PROXY.
    for name in ["HTTP_PROXY", "ALL_PROXY"] {
        let before = proxy.seen().len();
        far.push(&[(name, address)]).fails(1, "registry.test");
        assert_eq!(proxy.seen().len(), before);
    }
}

#[test]
fn no_proxy_is_read_as_go_reads_it() {
    let far = Far::start();
    let proxy = far.proxy();
    let port = far.name().split(':').nth(1).expect("a port").to_owned();
    for (no_proxy, through) in [
        (format!("registry.test:{port}"), false),
        ("registry.test:1".to_owned(), true),
        ("*.test".to_owned(), false),
        (".registry.test".to_owned(), true),
        ("other.example, test".to_owned(), false),
        ("*".to_owned(), false),
    ] {
        let before = proxy.seen().len();
        let variables = [("HTTPS_PROXY", proxy.address()), ("NO_PROXY", no_proxy.as_str())];
        let outcome = far.push(&variables);
        assert_eq!(outcome.code == Some(0), through, "{no_proxy}: {outcome}");
        assert_eq!(proxy.seen().len() > before, through, "{no_proxy}: {outcome}");
    }
}

#[test]
fn a_registry_of_this_machine_needs_no_proxy() {
    let registry = Registry::start();
    let proxy = Proxy::start().refuses("403 Forbidden", "");
    let outcome = Kiln::build()
        .dockerfile("FROM scratch\nCOPY Dockerfile /\n")
        .args(["-t", &format!("{}/app:1", registry.host())])
        .env("HTTP_PROXY", proxy.address())
        .env("HTTPS_PROXY", proxy.address())
        .run();
    outcome.ok();
    assert!(proxy.seen().is_empty());
}

#[test]
fn user_and_password_are_shown_to_the_proxy_and_to_nobody_else() {
    let far = Far::start();
    // u:p@ss
    let proxy = far.proxy().wants("Basic dTpwQHNz");
    let address = proxy.address();
    let right = format!("http://u:p%40ss@{address}");
    far.push(&[("HTTPS_PROXY", right.as_str())]).ok();

    let wants = format!("the proxy `http://{address}` answered 407 Proxy Authentication Required");
    let outcome = far.push(&[("HTTPS_PROXY", address)]).fails(1, &wants);
    let help = format!("HTTPS_PROXY=http://USER:PASSWORD@{address}");
    assert!(outcome.stderr.contains(&help), "{outcome}");

    let wrong = format!("http://u:geheim@{address}");
    let before = proxy.seen().len();
    let outcome = far.push(&[("HTTPS_PROXY", wrong.as_str())]).fails(1, &wants);
    assert!(!outcome.stderr.contains("geheim"), "{outcome}");
    assert!(outcome.stderr.contains("Check the user and the password in HTTPS_PROXY"), "{outcome}");
    // Not tried again and again: accounts are locked for less.
    assert!(proxy.seen().len() - before <= 2, "{:?}", proxy.seen());
}

#[test]
fn plain_http_goes_through_the_proxy_too() {
    let registry = Registry::start();
    let proxy = Proxy::start().host("registry.test:5000", registry.host());
    let push = |proxy: &Proxy| {
        let kiln = Kiln::build().dockerfile("FROM scratch\nCOPY Dockerfile /\n");
        let kiln = kiln.args(["-t", "registry.test:5000/app:1"]);
        let kiln = kiln.args(["--insecure-registry", "registry.test:5000"]);
        kiln.env("http_proxy", proxy.address()).env("https_proxy", proxy.address()).run()
    };
    push(&proxy).ok();
    assert!(registry.digest("app", "1").is_some());
    let seen = proxy.seen();
    assert!(seen.iter().any(|line| line.starts_with("PUT http://registry.test:5000/")), "{seen:?}");

    let locked = Proxy::start().wants("Basic x");
    push(&locked).fails(1, "answered 407 Proxy Authentication Required");
}

#[test]
fn a_proxy_that_refuses_is_named() {
    let far = Far::start();
    let proxy = Proxy::start().refuses("403 Forbidden", "<html>blocked</html>");
    let outcome = far.push(&[("HTTPS_PROXY", proxy.address())]);
    let outcome = outcome.fails(1, &format!("the proxy `http://{}` answered 403", proxy.address()));
    assert!(outcome.stderr.contains("NO_PROXY"), "{outcome}");
    // The question, and what it was that the proxy said.
    assert!(proxy.seen().len() <= 2, "{:?}", proxy.seen());

    let closed = format!("127.0.0.1:{}", closed_port());
    let outcome = far.push(&[("HTTPS_PROXY", closed.as_str())]);
    let outcome = outcome.fails(1, &format!("the proxy `http://{closed}` cannot be used"));
    assert!(outcome.stderr.contains("Check HTTPS_PROXY"), "{outcome}");

    for (address, why) in [
        ("socks5://127.0.0.1:1080", "kiln knows proxies with http:// and https://"),
        ("http://u:geheim@:x", "it is no URL"),
    ] {
        let outcome = far.push(&[("HTTPS_PROXY", address)]).fails(1, why);
        assert!(outcome.stderr.contains("`HTTPS_PROXY`"), "{outcome}");
        assert!(!outcome.stderr.contains("geheim"), "{outcome}");
    }
}

fn closed_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback");
    listener.local_addr().expect("bound").port()
}

/// What kaniko calls "error checking push permissions", with a 403 that no registry sent.
#[test]
fn a_web_page_instead_of_a_registry_s_no_points_to_proxies() {
    let registry = Registry::start();
    let page = Action::Status {
        code: 403,
        headers: vec![("Content-Type".into(), "text/html; charset=utf-8".into())],
        body: "<html><h1>Access denied by policy</h1></html>".into(),
    };
    registry.fault(Fault::on("POST", "/blobs/uploads/", page).always());
    let outcome = Kiln::build()
        .dockerfile("FROM scratch\nCOPY Dockerfile /\n")
        .args(["-t", &format!("{}/app:1", registry.host())])
        .run();
    let outcome = outcome.fails(1, "status 403");
    assert!(outcome.stderr.contains("set HTTPS_PROXY"), "{outcome}");
}
