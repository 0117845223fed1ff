use super::*;

fn keychain(text: &str) -> Keychain {
    Keychain {
        path: Some("/etc/config.json".into()),
        config: Some(Config::parse(text.as_bytes()).unwrap_or_else(|e| panic!("{text}: {e}"))),
        helped: Mutex::default(),
    }
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
        (r#"{"auths":{"r.io":{"auth":"Og=="}}}"#, "has neither user nor password"),
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
    let none = Keychain::load(None).expect("no file").find("r.io", "a", &Cancel::default());
    assert_eq!(none.source, "no config.json was given");
    let missing = Keychain::load(Some(Path::new("/nowhere/config.json"))).expect("no credentials");
    let found = missing.find("r.io", "a", &Cancel::default());
    assert_eq!(found.source, "/nowhere/config.json does not exist");
}

#[test]
fn a_broken_file_is_an_error_without_its_secrets() {
    for (text, part) in [
        ("{\"auths\": {\n  \"r.io\": {\"auth\": \"geheim\" \"x\"}}}", "line 2 column"),
        ("{\"auths\":\n{\"r.io\": \"geheim\"}}", "line 2 column"),
        ("{\"auths\": {\"r.io\": {\"auth\": \"geheim\"}}}", "the entry `r.io` has an `auth`"),
        ("{\"auths\": {\"r.io\": {\"auth\": \"%%%\"}}}", "the entry `r.io` has an `auth`"),
        ("{\"auths\": ", "line 1 column"),
    ] {
        let dir = tempfile::tempdir().expect("temp");
        let path = dir.path().join("config.json");
        std::fs::write(&path, text).expect("write");
        let error = Keychain::load(Some(&path)).expect_err(text).to_string();
        assert!(error.contains(part) && error.contains("config.json"), "{error}");
        assert!(!error.contains("geheim"), "{error}");
    }
}

#[test]
fn a_helper_program_is_asked_and_remembered() {
    // Called through its protocol only where a shell script can be put on PATH, which this process
    // must not change; so the memory is filled by hand.
    let keychain =
        keychain(r#"{"credHelpers":{"docker.io":"x"},"auths":{"r.io":{"auth":"dTpw"}}}"#);
    let key = ("x".to_owned(), HUB_KEY.to_owned());
    let answer = Ok(Some(Credentials::Identity("t".into())));
    keychain.helped.lock().expect("lock").insert(key, (Instant::now(), answer));
    let found = keychain.find("docker.io", "library/a", &Cancel::default());
    assert_eq!(found.credentials, Some(Credentials::Identity("t".into())));
    assert!(found.source.contains("docker-credential-x"), "{}", found.source);
}
