//! Credentials: where they are found, when they are asked for, what is said without them.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use testkit::image::Image;
use testkit::process::docker_registry;
use testkit::{Action, Fault, Registry};

use crate::common::{Kiln, Outcome, bases, tools};

const USER: &str = "builder";
const PASSWORD: &str = "pass word:with=all";

fn config(host: &str, password: &str) -> String {
    let auth = STANDARD.encode(format!("{USER}:{password}"));
    format!(r#"{{"auths":{{"{host}":{{"auth":"{auth}"}}}}}}"#)
}

/// No password, in whatever spelling, may be printed.
fn no_secret(outcome: Outcome) -> Outcome {
    let encoded = STANDARD.encode(format!("{USER}:{PASSWORD}"));
    for secret in [PASSWORD, &encoded] {
        assert!(!outcome.stderr.contains(secret) && !outcome.stdout.contains(secret), "{outcome}");
    }
    outcome
}

fn build(host: &str) -> Kiln {
    Kiln::build()
        .dockerfile(&format!("FROM {host}/base:1\nCOPY f /f\n"))
        .file("f", "content\n")
        .args(["-v", "-t", &format!("{host}/app:1")])
}

#[test]
fn docker_registry_with_htpasswd_takes_the_credentials_of_config_json() {
    let seed = Registry::start();
    bases::plain(&seed, "base", "1");
    let registry = docker_registry(Some((USER, PASSWORD))).expect("docker-registry");
    let host = registry.host();
    let login = format!("--dest-creds={USER}:{PASSWORD}");
    let from = format!("{}/base:1", seed.host());
    tools::skopeo_copy(&from, &format!("{host}/base:1"), "oci", &[&login]);

    let by_home = build(host).home_file(".docker/config.json", config(host, PASSWORD));
    let outcome = no_secret(by_home.run()).ok();
    let image = Image::pull(host, "app", "1", Some((USER, PASSWORD))).expect("the image");
    assert_eq!(image.digest, outcome.stdout.trim());
    image.verify().expect("whole");

    let other = build(host).home_file("elsewhere/config.json", config(host, PASSWORD));
    let dir = other.dir().join("home/elsewhere");
    let other = other.home_file(".docker/config.json", config(host, "wrong"));
    no_secret(other.env("DOCKER_CONFIG", dir).run()).ok();

    let wrong = build(host).home_file(".docker/config.json", config(host, "wrong")).run();
    let wrong = wrong.fails(1, "status 401");
    assert!(wrong.stderr.contains(".docker/config.json"), "where they are from:\n{wrong}");
    let none = build(host).run().fails(1, "kiln asked without credentials");
    assert!(none.stderr.contains("config.json"), "where they would be looked for:\n{none}");
}

#[test]
fn basic_credentials_are_sent_only_where_they_are_asked_for() {
    let closed = Registry::builder().basic_auth(USER, PASSWORD).start();
    let open = Registry::start();
    bases::plain(&closed, "base", "1");
    let (from, to) = (closed.host(), open.host());
    let both = format!(
        r#"{{"auths":{{"http://{from}/v1/":{{"username":"{USER}","password":"{PASSWORD}"}},
            "{to}":{{"username":"{USER}","password":"{PASSWORD}"}}}}}}"#
    );
    let kiln = Kiln::build()
        .dockerfile(&format!("FROM {from}/base:1\nENV A=1\n"))
        .args(["-t", &format!("{to}/app:1")])
        .home_file(".docker/config.json", both);
    no_secret(kiln.run()).ok();
    assert!(closed.requests().iter().any(|request| request.had_auth));
    assert!(!open.requests().iter().any(|request| request.had_auth));
}

#[test]
fn tokens_that_end_during_the_build_are_renewed() {
    let life = Duration::from_secs(1);
    let registry = Registry::builder().token_auth(USER, PASSWORD, life).start();
    bases::busybox(&registry, "base", "1");
    let host = registry.host();
    let kiln = Kiln::build()
        .dockerfile(&format!("FROM {host}/base:1\nRUN sleep 2; echo 1 > /new\n"))
        .args(["-v", "-t", &format!("{host}/app:1")])
        .home_file(".docker/config.json", config(host, PASSWORD));
    // What the clock does to a token, this does at the worst moment: the bytes are on their way.
    registry.fault(Fault::on("PUT", "/blobs/uploads/", Action::ExpireTokens));
    registry.fault(Fault::on("PUT", "/manifests/", Action::ExpireTokens));
    no_secret(kiln.run()).ok();
    let image = Image::from_registry(&registry, "app", "1").expect("the image");
    image.verify().expect("whole");
    let requests = registry.requests();
    let mounts = requests.iter().filter(|r| r.query.contains("mount=") && r.status == 201).count();
    assert_eq!(mounts, 2, "a token for both repositories: {requests:#?}");
}

#[test]
fn token_servers_are_asked_once_for_each_scope() {
    let life = Duration::from_secs(300);
    let registry = Registry::builder().token_auth(USER, PASSWORD, life).start();
    bases::plain(&registry, "base", "1");
    let host = registry.host();
    let kiln = build(host).home_file(".docker/config.json", config(host, PASSWORD));
    no_secret(kiln.run()).ok();
    let requests = registry.requests();
    let mut tokens: Vec<_> = requests.iter().filter(|r| r.path == "/token").collect();
    tokens.sort_by(|a, b| a.query.cmp(&b.query));
    let all = tokens.len();
    tokens.dedup_by(|a, b| a.query == b.query);
    assert_eq!(tokens.len(), all, "{requests:#?}");
}

#[test]
fn public_images_need_no_login_where_pushes_do() {
    let life = Duration::from_secs(300);
    let registry = Registry::builder().token_auth(USER, PASSWORD, life).anonymous_pull().start();
    bases::plain(&registry, "base", "1");
    let host = registry.host();
    build(host).run().fails(1, &format!("cannot push to {host}/app:1"));
    let dockerfile = format!("FROM {host}/base:1\nENV A=1\n");
    Kiln::build().dockerfile(&dockerfile).args(["--no-push"]).run().ok();
}

#[test]
fn credential_helpers_are_asked() {
    let registry = Registry::builder().basic_auth(USER, PASSWORD).start();
    bases::plain(&registry, "base", "1");
    let host = registry.host();
    let answer = format!(r#"{{"ServerURL":"x","Username":"{USER}","Secret":"{PASSWORD}"}}"#);
    let script = format!("#!/bin/sh\ntest \"$1\" = get && read -r _ && echo '{answer}'\n");
    for setting in [
        format!(r#"{{"credHelpers":{{"{host}":"kilntest"}}}}"#),
        r#"{"credsStore":"kilntest"}"#.to_owned(),
    ] {
        let kiln = build(host)
            .home_file("bin/docker-credential-kilntest", &script)
            .home_file(".docker/config.json", setting);
        let bin = kiln.dir().join("home/bin");
        tools::run("chmod", ["+x", &bin.join("docker-credential-kilntest").to_string_lossy()]);
        let path = format!("{}:/usr/bin:/bin", bin.display());
        no_secret(kiln.env("PATH", path).run()).ok();
    }
}
