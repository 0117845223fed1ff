use std::path::Path;
use std::sync::Arc;

use super::super::reference::Repository;
use super::clouds::Sky;
use super::config::Config;
use super::file::HUB_KEY;
use super::*;
use crate::registry::cloud::Cloud;

fn loaded(name: &str, text: &str) -> Loaded {
    let config = Config::parse(text.as_bytes()).unwrap_or_else(|e| panic!("{text}: {e}"));
    Loaded { name: name.into(), content: Content::Config(config) }
}

/// One file.
fn keychain(text: &str) -> Keychain {
    Keychain { sources: vec![loaded("/etc/config.json", text)], ..Keychain::read(&[]) }
}

fn text(variable: &str, text: &str) -> CredentialSource {
    CredentialSource::Text { variable: variable.into(), text: text.into() }
}

fn file(path: &Path, named: bool) -> CredentialSource {
    CredentialSource::File { path: path.to_owned(), named }
}

fn unset(variable: &str) -> CredentialSource {
    CredentialSource::Unset { variable: variable.into() }
}

fn gitlab(password: &str) -> CredentialSource {
    CredentialSource::Login(Login {
        registry: "r.io:5050".into(),
        port_is_optional: true,
        user: "job".into(),
        password: password.into(),
        registry_variable: "CI_REGISTRY".into(),
        password_variable: "CI_REGISTRY_PASSWORD".into(),
    })
}

fn kaniko(host: &str, user: &str, password: &str) -> CredentialSource {
    CredentialSource::Hosts(vec![HostLogin {
        variables: format!("KANIKO_{host}"),
        host: host.into(),
        user: user.into(),
        password: password.into(),
    }])
}

fn find(sources: &[CredentialSource], registry: &str) -> Found {
    Keychain::load(sources).expect("sources").find(registry, "a", &Cancel::default())
}

fn basic(user: &str, password: &str) -> Option<Credentials> {
    Some(Credentials::Basic { user: user.into(), password: password.into() })
}

#[test]
fn entries_are_found_as_docker_finds_them() {
    let u_p = "dTpw"; // u:p
    for (auths, registry, repository, expected) in [
        (format!(r#""r.io":{{"auth":"{u_p}"}}"#), "r.io", "a", basic("u", "p")),
        (format!(r#""r.io":{{"auth":"{u_p}"}}"#), "r.io:5000", "a", None),
        (format!(r#""r.io:5000":{{"auth":"{u_p}"}}"#), "r.io:5000", "a", basic("u", "p")),
        (format!(r#""https://r.io:443/":{{"auth":"{u_p}"}}"#), "r.io", "a", basic("u", "p")),
        (format!(r#""http://R.io/v2/":{{"auth":"{u_p}"}}"#), "r.io", "a", basic("u", "p")),
        (
            format!(r#""https://index.docker.io/v1/":{{"auth":"{u_p}"}}"#),
            "docker.io",
            "library/python",
            basic("u", "p"),
        ),
        (format!(r#""docker.io":{{"auth":"{u_p}"}}"#), "docker.io", "a/b", basic("u", "p")),
        (r#""r.io":{"username":"x","password":"y:z"}"#.into(), "r.io", "a", basic("x", "y:z")),
        (r#""r.io":{"auth":"dTpwOnE="}"#.into(), "r.io", "a", basic("u", "p:q")),
        (r#""r.io":{"auth":"dTpw\nOnE="}"#.into(), "r.io", "a", basic("u", "p:q")),
        (r#""r.io":{"auth":"dTpwcQ"}"#.into(), "r.io", "a", basic("u", "pq")),
        (
            r#""r.io":{"auth":"dTpw","identitytoken":"i"}"#.into(),
            "r.io",
            "a",
            Some(Credentials::Identity("i".into())),
        ),
        (
            r#""r.io":{"registrytoken":"t"}"#.into(),
            "r.io",
            "a",
            Some(Credentials::Registry("t".into())),
        ),
        (r#""r.io":{}"#.into(), "r.io", "a", None),
        (r#""r.io":null"#.into(), "r.io", "a", None),
        (r#""r.io":{"auth":"Og=="}"#.into(), "r.io", "a", None), // ":"
        (r#""r.io":{"auth":"dTo="}"#.into(), "r.io", "a", None), // "u:"
    ] {
        let found = keychain(&format!(r#"{{"auths":{{{auths}}}}}"#)).find(
            registry,
            repository,
            &Cancel::default(),
        );
        assert_eq!(found.credentials, expected, "{auths} {registry}/{repository}");
    }
}

#[test]
fn the_longest_path_wins() {
    let keychain = keychain(
        r#"{"auths":{
            "r.io":{"username":"all","password":"1"},
            "r.io/group":{"username":"group","password":"2"},
            "r.io/group/project":{"username":"project","password":"3"},
            "r.io/group/empty":{}}}"#,
    );
    for (repository, user) in [
        ("other", "all"),
        ("groups/a", "all"),
        ("group", "group"),
        ("group/other", "group"),
        ("group/empty/a", "group"),
        ("group/project", "project"),
        ("group/project/image", "project"),
    ] {
        let found = keychain.find("r.io", repository, &Cancel::default());
        assert!(
            matches!(&found.credentials, Some(Credentials::Basic { user: found, .. }) if found == user),
            "{repository}: {}",
            found.source
        );
    }
}

#[test]
fn the_source_says_what_was_used_or_is_missing() {
    for (text, part) in [
        (
            r#"{"auths":{"https://r.io":{"auth":"dTpw"}}}"#,
            "the entry `https://r.io` of /etc/config",
        ),
        (
            r#"{"auths":{"r.io":{"auth":"Og=="}}}"#,
            "the entry `r.io` of /etc/config.json has neither user nor password: the variable",
        ),
        (
            r#"{"auths":{"r.io":{"username":"u","password":""}}}"#,
            "the entry `r.io` of /etc/config.json has a user but no password: the variable that \
             it was made from is empty or not set in this job (a protected variable",
        ),
        (
            r#"{"auths":{"":{"username":"u","password":"p"}}}"#,
            "no entry for `r.io`, but one with an empty name: the variable that",
        ),
        (r#"{"auths":{"https:///v2/":{"auth":"dTpw"}}}"#, "one with an empty name"),
        (
            r#"{"auths":{"$CI_REGISTRY":{"auth":"dTpw"}}}"#,
            "one for `$CI_REGISTRY`: the shell that wrote /etc/config.json did not replace",
        ),
        (r#"{"auths":{"https://u:geheim@x.io":{"auth":"dTpw"}}}"#, "only for `https://…@x.io`"),
        (r#"{"auths":{"r.io:5000":{"auth":"dTpw"}}}"#, "no entry for `r.io`, only for `r.io:5000`"),
        ("{}", "no entry for `r.io`, or any other registry"),
        (" ", "no entry for `r.io`, or any other registry"),
        (
            r#"{"credsStore":"kiln-test-missing"}"#,
            "docker-credential-kiln-test-missing, which /etc/config.json names, failed: it is not",
        ),
        (r#"{"credHelpers":{"https://r.io":"kiln-test-missing"}}"#, "it is not installed"),
    ] {
        let found = keychain(text).find("r.io", "a", &Cancel::default());
        assert!(found.source.contains(part), "{text}: {}", found.source);
    }
}

#[test]
fn the_first_source_with_credentials_is_used_and_none_shadows_another() {
    let other = text("DOCKER_AUTH_CONFIG", r#"{"auths":{"other.io":{"auth":"dTpw"}}}"#);
    let own = text("DOCKER_AUTH_CONFIG", r#"{"auths":{"r.io:5050":{"auth":"dTpw"}}}"#);
    let unfilled = text("X", r#"{"auths":{"r.io:5050":{"username":"u","password":""}}}"#);
    let env = kaniko("r_io", "env", "p");
    let job = gitlab("p");
    for (sources, user) in [
        (vec![own.clone(), env.clone(), job.clone()], "u"),
        (vec![other.clone(), own.clone(), env.clone()], "u"),
        (vec![other.clone(), env.clone(), job.clone()], "env"),
        (vec![unfilled, job.clone()], "job"),
        (vec![other.clone(), kaniko("else_io", "env", "p"), job.clone()], "job"),
        (vec![unset("X"), file(Path::new("/nowhere/a"), true), job], "job"),
    ] {
        assert_eq!(find(&sources, "r.io:5050").credentials, basic(user, "p"));
    }
}

#[test]
fn all_places_are_named_where_none_has_credentials() {
    for (sources, expected) in [
        (vec![], "no place to look for them was named"),
        (
            vec![
                unset("A"),
                file(Path::new("/nowhere/a"), true),
                unset("B"),
                file(Path::new("/dev/null/b"), false),
            ],
            "none of these files exists: /nowhere/a, /dev/null/b; none of these variables is set: \
             A, B",
        ),
        (
            vec![file(Path::new("/nowhere/a"), true), unset("A")],
            "/nowhere/a does not exist; A is not set",
        ),
        (
            vec![text("A", "{}"), kaniko("else_io", "u", "p"), gitlab("p")],
            "A has no entry for `x.io`, or any other registry; KANIKO_else_io_… is for another \
             registry; CI_REGISTRY is `r.io:5050`, not `x.io`",
        ),
    ] {
        assert_eq!(find(&sources, "x.io").source, expected);
    }
    let found = find(&[kaniko("r_io", "u", ""), gitlab("")], "r.io");
    let parts =
        ["KANIKO_r_io_PASSWORD is empty or not set", "CI_REGISTRY_PASSWORD is empty or not"];
    assert!(parts.iter().all(|part| found.source.contains(part)), "{}", found.source);
}

#[test]
fn a_report_has_every_source_in_order_and_no_secret() {
    let dir = tempfile::tempdir().expect("temp");
    let path = dir.path().join("config.json");
    std::fs::write(&path, "{\"auths\": {\n\"r.io\": {\"auth\": \"geheim\"x\"}}}").expect("write");
    let sources = [
        unset("DOCKER_AUTH_CONFIG"),
        file(&path, true),
        file(Path::new("/nowhere/auth.json"), false),
        text("A", r#"{"auths":{"r.io/team":{"username":"geheim-user","password":"geheim"}}}"#),
        text("B", r#"{"auths":{"r.io":{"identitytoken":"geheim"}}}"#),
        text("C", "{}"),
        kaniko("r_io", "env", "geheim"),
        gitlab("geheim"),
    ];
    let repository = Repository { registry: "r.io".into(), name: "team/app".into() };
    let report = credential_report(&sources, &Default::default(), &repository, &Cancel::default());
    let names: Vec<_> = report.iter().map(|source| source.name.as_str()).collect();
    let path = path.display().to_string();
    let ci = "CI_REGISTRY, CI_REGISTRY_PASSWORD";
    let expected =
        ["DOCKER_AUTH_CONFIG", &path, "/nowhere/auth.json", "A", "B", "C", "KANIKO_r_io_…", ci];
    assert_eq!(names, expected);
    let has = |user: Option<&str>, key: &str| SourceState::Credentials {
        user: user.map(str::to_owned),
        key: key.to_owned(),
    };
    let states: Vec<_> = report.iter().map(|source| source.state.clone()).collect();
    assert_eq!((&states[0], &states[2]), (&SourceState::Missing, &SourceState::Missing));
    assert!(
        matches!(&states[1], SourceState::Broken { why, stops_builds: true } if why.contains("line 2 column")),
        "{states:?}"
    );
    assert_eq!(states[3], has(Some("geheim-user"), "r.io/team"));
    assert_eq!(states[4], has(None, "r.io"));
    assert!(matches!(&states[5], SourceState::NoEntry(why) if why.contains("C has no entry")));
    assert_eq!(states[6], has(Some("env"), "KANIKO_r_io"));
    assert_eq!(states[7], has(Some("job"), "r.io:5050"));
    let shown = format!("{report:?} {sources:?}").replace("geheim-user", "");
    assert!(!shown.contains("geheim"), "{shown}");
}

#[test]
fn a_broken_file_is_an_error_without_its_secrets() {
    for (text, part) in [
        (
            "{\"auths\": {\n  \"r.io\": {\"auth\": \"geheim\" \"x\"}}}",
            "line 2 column 29. Perhaps a value",
        ),
        ("{\"auths\":\n{\"r.io\": \"geheim\"}}", "line 2 column"),
        ("{\"auths\": {\"r.io\": {\"auth\": \"geheim\"}}}", "the entry `r.io` has an `auth`"),
        ("{\"auths\": {\"u:geheim@r.io\": {\"auth\": \"%\"}}}", "the entry `…@r.io` has an `auth`"),
        ("{\"auths\": {\"r.io\": {\"auth\": \"%%%\"}}}", "the entry `r.io` has an `auth`"),
        ("{\"auths\": ", "line 1 column 10. It ends too early"),
        ("{auths:{r.io:{password:geheim}}}", "The quotes around the names are missing"),
        (
            "{\"auths\":{\"r\":{\"password\":\"ge\"heim\"}}}",
            "has a `\"` in it that ends it too early",
        ),
        ("{\"auths\":{\"r\":{\"password\":\"geheim\\x\"}}}", "a password, has a `\\` in it"),
        ("{\"auths\":{\"r\":{\"password\":\"geheim\n\"}}}", "a password, has a line break"),
        ("geheim", "line 1 column 1"),
    ] {
        let dir = tempfile::tempdir().expect("temp");
        let path = dir.path().join("config.json");
        std::fs::write(&path, text).expect("write");
        let error = Keychain::load(&[file(&path, false)]).expect_err(text).to_string();
        assert!(error.contains(part) && error.contains("config.json"), "{error}");
        let error_of_text = Keychain::load(&[self::text("DOCKER_AUTH_CONFIG", text)]);
        let error_of_text = error_of_text.expect_err(text).to_string();
        assert!(error_of_text.contains("in DOCKER_AUTH_CONFIG cannot be used"), "{error_of_text}");
        assert!(!error.contains("geheim") && !error_of_text.contains("geheim"), "{error}");
    }
}

#[test]
fn a_file_that_cannot_be_opened_is_an_error_if_somebody_named_it() {
    let directory = tempfile::tempdir().expect("temp");
    let job = gitlab("p");
    Keychain::load(&[file(directory.path(), true)]).expect_err("a directory");
    let found = find(&[file(directory.path(), false), job], "r.io:5050");
    assert_eq!(found.credentials, basic("job", "p"));
    let found = find(&[file(directory.path(), false)], "r.io");
    assert!(found.source.contains("cannot be used: Is a directory"), "{}", found.source);
}

#[test]
fn a_helper_program_is_asked_and_remembered() {
    // Called through its protocol only where a shell script can be put on PATH, which this process
    // must not change; so the memory is filled by hand.
    let keychain =
        keychain(r#"{"credHelpers":{"docker.io":"x"},"auths":{"r.io":{"auth":"dTpw"}}}"#);
    keychain.helped.remember("x", HUB_KEY, Ok(Some(Credentials::Identity("t".into()))));
    let found = keychain.find("docker.io", "library/a", &Cancel::default());
    assert_eq!(found.credentials, Some(Credentials::Identity("t".into())));
    assert!(found.source.contains("docker-credential-x"), "{}", found.source);
}

#[test]
fn a_helper_that_is_missing_is_replaced_or_named_once() {
    let registry = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";
    let config = |helpers: &str| text("TEXT", helpers);
    let keychain = |sources: &[CredentialSource]| Keychain::load(sources).expect("sources");
    let find =
        |keychain: &Keychain, registry: &str| keychain.find(registry, "a", &Cancel::default());
    // kiln's own variables stand in for kaniko's programs, though another source comes first.
    for (program, expected) in [("env", "env"), ("gitlabci", "job")] {
        let helpers = format!(r#"{{"credHelpers":{{"r.io:5050":"{program}"}}}}"#);
        let own = [config(&helpers), kaniko("r_io", "env", "p"), gitlab("q")];
        let keychain = keychain(&own);
        let found = find(&keychain, "r.io:5050");
        let Some(Credentials::Basic { user, .. }) = found.credentials else { panic!("{found:?}") };
        assert_eq!(user, expected);
        assert_eq!(keychain.take_warnings(), [""; 0]);
    }
    // A cloud's own login for the cloud's own registries.
    let clouds = config(r#"{"credsStore":"ecr-login"}"#);
    let keys = crate::registry::cloud::CloudSettings {
        aws: crate::registry::AwsSettings {
            keys: Some(crate::registry::StaticKeys {
                id: "A".into(),
                secret: "geheim".into(),
                token: None,
            }),
            ..Default::default()
        },
        ..Default::default()
    };
    let planned = Sky::Plan(Arc::new(crate::registry::cloud::Clouds::new(&keys)));
    let own = [clouds.clone(), CredentialSource::Cloud(Cloud::Aws)];
    let replaced = Keychain { clouds: planned, ..keychain(&own) };
    let answer =
        |registry| replaced.answer(&replaced.sources[0], registry, "a", &Cancel::default());
    assert_eq!(answer(registry), Answer::Planned("would use the keys of AWS_ACCESS_KEY_ID".into()));
    let Answer::None(why) = answer("r.io") else { panic!("no login") };
    assert!(why.contains("is not installed") && why.contains("no registry of Amazon"), "{why}");
    assert_eq!(replaced.take_warnings(), [""; 0]);
    // Not where that cloud was left out.
    let planned = Sky::Plan(Arc::new(crate::registry::cloud::Clouds::new(&keys)));
    let others = [clouds, CredentialSource::Cloud(Cloud::Google)];
    let without = Keychain { clouds: planned, ..keychain(&others) };
    let answer = without.answer(&without.sources[0], registry, "a", &Cancel::default());
    let Answer::None(why) = answer else { panic!("{answer:?}") };
    assert!(why.ends_with("failed: it is not installed"), "{why}");
    assert_eq!(without.take_warnings().len(), 1);
    // Nobody can stand in for others.
    let others = [config(r#"{"credsStore":"kiln-test-missing"}"#), kaniko("r_io", "u", "p")];
    let keychain = keychain(&others);
    for _ in 0..2 {
        assert_eq!(find(&keychain, "r.io").credentials, basic("u", "p"));
    }
    let [warning] = &keychain.take_warnings()[..] else { panic!("one") };
    assert!(warning.starts_with("docker-credential-kiln-test-missing, which TEXT names, is not"));
    assert_eq!(keychain.take_warnings(), [""; 0]);
}
