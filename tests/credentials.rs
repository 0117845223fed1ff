//! Where credentials may be: each place is enough for a build that pulls and pushes.

mod common;

use std::ffi::OsString;
use std::path::Path;

use testkit::Registry;
use testkit::process::{DockerRegistry, docker_registry};

use crate::common::{Kiln, Outcome, bases, tools};

const USER: &str = "builder";
const PASSWORD: &str = "pass $word:with\\all";

/// Docker's own registry with a password, and an image in it.
fn closed_registry() -> DockerRegistry {
    let seed = Registry::start();
    bases::plain(&seed, "base", "1");
    let registry = docker_registry(Some((USER, PASSWORD))).expect("docker-registry");
    let login = format!("--dest-creds={USER}:{PASSWORD}");
    let from = format!("{}/base:1", seed.host());
    tools::skopeo_copy(&from, &format!("{}/base:1", registry.host()), "oci", &[&login]);
    registry
}

fn build(host: &str) -> Kiln {
    Kiln::build().dockerfile(&format!("FROM {host}/base:1\nENV A=1\n")).args([
        "-v",
        "-t",
        &format!("{host}/app:1"),
    ])
}

fn config(host: &str, user: &str, password: &str) -> String {
    let auths = serde_json::json!({ host: { "username": user, "password": password } });
    serde_json::json!({ "auths": auths }).to_string()
}

/// No password may be printed.
#[track_caller]
fn no_secret(outcome: Outcome) -> Outcome {
    for secret in [PASSWORD, "with\\all", "geheim"] {
        assert!(!outcome.stderr.contains(secret) && !outcome.stdout.contains(secret), "{outcome}");
    }
    outcome
}

#[test]
fn a_file_in_any_of_the_usual_places_is_found() {
    let registry = closed_registry();
    let host = registry.host();
    let text = config(host, USER, PASSWORD);
    for (variable, value, path) in [
        ("DOCKER_CONFIG", "d", "d/config.json"),
        ("DOCKER_CONFIG", "d/my.json", "d/my.json"),
        ("DOCKER_AUTH_CONFIG", "file", "file"),
        ("REGISTRY_AUTH_FILE", "auth.json", "auth.json"),
        ("XDG_RUNTIME_DIR", "run", "run/containers/auth.json"),
        ("X", "", ".docker/config.json"),
        ("X", "", ".config/containers/auth.json"),
    ] {
        let kiln = build(host).home_file(path, &text);
        let value = kiln.dir().join("home").join(value);
        let outcome = no_secret(kiln.env(variable, value).run());
        assert_eq!(outcome.code, Some(0), "{variable} {path}: {outcome}");
    }
}

#[test]
fn variables_are_enough() {
    let registry = closed_registry();
    let host = registry.host();
    let (name, port) = host.split_once(':').expect("a port");
    let text = config(host, USER, PASSWORD);
    let whole = host.replace(['.', ':'], "_");
    let without_port = name.replace('.', "_");
    let kaniko = |host: &str, end: &str| format!("KANIKO_{host}_{end}");
    for variables in [
        vec![("DOCKER_AUTH_CONFIG".to_owned(), text.as_str())],
        vec![(kaniko(&whole, "USER"), USER), (kaniko(&whole, "PASSWORD"), PASSWORD)],
        vec![(kaniko(&without_port, "USER"), USER), (kaniko(&without_port, "PASSWORD"), PASSWORD)],
        gitlab(host, "CI_REGISTRY_PASSWORD"),
        gitlab(name, "CI_REGISTRY_PASSWORD"),
        vec![
            ("CI_DEPENDENCY_PROXY_SERVER".to_owned(), host),
            ("CI_DEPENDENCY_PROXY_USER".to_owned(), USER),
            ("CI_DEPENDENCY_PROXY_PASSWORD".to_owned(), PASSWORD),
        ],
    ] {
        let outcome = no_secret(with(build(host), &variables).run());
        assert_eq!(outcome.code, Some(0), "{port} {variables:?}: {outcome}");
    }
}

fn gitlab<'a>(registry: &'a str, password: &str) -> Vec<(String, &'a str)> {
    [("CI_REGISTRY", registry), ("CI_REGISTRY_USER", USER), (password, PASSWORD)]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
}

fn with(kiln: Kiln, variables: &[(String, &str)]) -> Kiln {
    variables.iter().fold(kiln, |kiln, (name, value)| kiln.env(name, OsString::from(value)))
}

#[test]
fn a_job_token_has_a_user_of_its_own() {
    let registry = Registry::builder().basic_auth("gitlab-ci-token", PASSWORD).start();
    bases::plain(&registry, "base", "1");
    let kiln = with(build(registry.host()), &gitlab(registry.host(), "CI_JOB_TOKEN"));
    no_secret(kiln.run()).ok();
}

#[test]
fn a_source_that_does_not_name_the_registry_hides_none_that_does() {
    let registry = closed_registry();
    let host = registry.host();
    let other = config("other.example", "u", "geheim");
    let own = config(host, USER, PASSWORD);
    // What GitLab's administrators set for the images of jobs, and what a job writes itself.
    let kiln = build(host).env("DOCKER_AUTH_CONFIG", &other).docker_config(&own);
    no_secret(kiln.run()).ok();
    let kiln = build(host).env("DOCKER_AUTH_CONFIG", &other).docker_config(&other);
    no_secret(with(kiln, &gitlab(host, "CI_REGISTRY_PASSWORD")).run()).ok();
}

#[test]
fn what_is_written_down_goes_before_what_the_job_has_anyway() {
    let registry = closed_registry();
    let host = registry.host();
    let own = config(host, USER, PASSWORD);
    let wrong = config(host, USER, "geheim");
    let kiln = build(host).docker_config(&own).env("CI_REGISTRY", host);
    let kiln = kiln.env("CI_REGISTRY_USER", USER).env("CI_REGISTRY_PASSWORD", "geheim");
    no_secret(kiln.run()).ok();
    let kiln = build(host).env("DOCKER_AUTH_CONFIG", &wrong).docker_config(&own);
    let outcome = no_secret(kiln.run()).fails(1, "status 401");
    let named = format!("kiln used the entry `{host}` of DOCKER_AUTH_CONFIG");
    assert!(outcome.stderr.contains(&named), "{outcome}");
}

#[test]
fn paths_have_credentials_of_their_own_in_every_file() {
    let registry = closed_registry();
    let host = registry.host();
    let auths = serde_json::json!({
        host: { "username": USER, "password": "geheim" },
        format!("{host}/app"): { "username": USER, "password": PASSWORD },
        format!("{host}/base"): { "username": USER, "password": PASSWORD },
    });
    let text = serde_json::json!({ "auths": auths }).to_string();
    no_secret(build(host).env("DOCKER_AUTH_CONFIG", &text).run()).ok();
    no_secret(build(host).home_file(".config/containers/auth.json", &text).run()).ok();
}

#[test]
fn a_registry_that_refuses_is_told_with_all_places_that_were_looked_at() {
    let registry = Registry::builder().basic_auth(USER, PASSWORD).start();
    bases::plain(&registry, "base", "1");
    let host = registry.host();
    let kiln = build(host)
        .docker_config(r#"{"auths":{"":{"username":"","password":""}}}"#)
        .env("CI_REGISTRY", "registry.other.example")
        .env("CI_REGISTRY_PASSWORD", "geheim");
    let outcome = no_secret(kiln.run()).fails(1, "kiln asked without credentials");
    for part in [
        ".docker/config.json has no entry for",
        "but one with an empty name: the variable that",
        &format!("CI_REGISTRY is `registry.other.example`, not `{host}`"),
        "none of these files exists: /kaniko/.docker/config.json, ",
        "/home/.config/containers/auth.json",
        "DOCKER_AUTH_CONFIG is not set",
    ] {
        assert!(outcome.stderr.contains(part), "{part}:\n{outcome}");
    }
}

#[test]
fn a_file_that_echo_broke_is_named_with_line_and_column_and_the_reason() {
    let registry = Registry::start();
    let script = r#"echo "{\"auths\":{\"$H\":{\"username\":\"u\",\"password\":\"$P\"}}}" > "$1""#;
    for (password, reason) in [
        ("geheim", None),
        ("geheim\"geheim", Some("ends it too early")),
        ("geheim\\geheim", Some("has a `\\` in it")),
        ("geheim\ngeheim", Some("has a line break")),
    ] {
        let kiln = Kiln::build().dockerfile("FROM scratch\nENV A=1\n");
        let kiln = kiln.args(["-t", &format!("{}/app:1", registry.host())]).docker_config("");
        let path = kiln.dir().join("home/.docker/config.json");
        write(script, &path, registry.host(), password);
        let outcome = no_secret(kiln.run());
        match reason {
            None => assert_eq!(outcome.code, Some(0), "{outcome}"),
            Some(reason) => {
                let outcome = outcome.fails(1, reason);
                assert!(outcome.stderr.contains("config.json cannot be used"), "{outcome}");
                assert!(outcome.stderr.contains(" at line "), "{outcome}");
            }
        }
    }
}

/// bash's `echo` changes nothing in what it prints.
fn write(script: &str, path: &Path, host: &str, password: &str) {
    let status = std::process::Command::new("bash")
        .args(["-c", script, "bash"])
        .arg(path)
        .env("H", host)
        .env("P", password)
        .status();
    assert!(status.expect("bash").success());
}
