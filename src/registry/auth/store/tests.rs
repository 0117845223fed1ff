//! The file before and after.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::*;

fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("temp");
    let path = dir.path().join("config.json");
    fs::write(&path, text).expect("write");
    (dir, path)
}

fn server(text: &str) -> Server {
    Server::parse(text).expect(text)
}

fn keep(path: &Path, name: &str) -> Result<KeptBy, StoreError> {
    keep_login(path, &server(name), "u", &"p".into(), &Cancel::default())
}

fn drop_one(path: &Path, name: &str) -> Result<bool, StoreError> {
    drop_login(path, &server(name), &Cancel::default())
}

const AUTH: &str = r#""auth": "dTpw""#;

#[test]
fn servers_have_docker_s_keys() {
    for (text, key) in [
        ("docker.io", HUB_KEY),
        ("index.docker.io", HUB_KEY),
        ("https://index.docker.io/v1/", HUB_KEY),
        ("R.io", "r.io"),
        ("https://r.io/v2/", "r.io"),
        ("r.io:443", "r.io"),
        ("r.io:5000/team/", "r.io:5000/team"),
        ("docker.io/team", "docker.io/team"),
        ("localhost", "localhost"),
        ("[::1]:5000", "[::1]:5000"),
    ] {
        assert_eq!(server(text).key(), key, "{text}");
    }
    for text in ["", " ", "https://", "/team", "a b", "u:p@r.io", "$CI_REGISTRY", "\"r.io\""] {
        assert!(Server::parse(text).is_err(), "{text}");
    }
}

#[test]
fn a_new_file_is_for_its_owner_and_as_docker_writes_it() {
    let dir = tempfile::tempdir().expect("temp");
    let path = dir.path().join("new/.docker/config.json");
    assert_eq!(keep(&path, "r.io:5000").expect("kept"), KeptBy::File);
    let expected =
        format!("{{\n\t\"auths\": {{\n\t\t\"r.io:5000\": {{\n\t\t\t{AUTH}\n\t\t}}\n\t}}\n}}");
    assert_eq!(fs::read_to_string(&path).expect("there"), expected);
    let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(path.parent().expect("a parent"))), (0o600, 0o700));
}

#[test]
fn everything_else_stays_and_keeps_its_order() {
    let (_dir, path) = file(
        r#"{"zeta": [1, {"b": 1, "a": null}], "auths": {"z.io": {"auth": "eDp5", "email": "e"},
            "https://r.io": {"auth": "old"}, "r.io/team": {"auth": "dDp0"}, "a.io": {}},
            "HttpHeaders": {"X": "é\u0000"}, "alpha": 1.5}"#,
    );
    // A broken entry would stop it; this one is no base64 of a pair.
    assert!(keep(&path, "r.io").expect_err("broken").to_string().contains("`https://r.io`"));
    let text = fs::read_to_string(&path).expect("there").replace("\"old\"", "\"bzpv\"");
    fs::write(&path, text).expect("write");
    keep(&path, "r.io").expect("kept");
    let found: Value = serde_json::from_slice(&fs::read(&path).expect("there")).expect("json");
    let keys: Vec<_> = found.as_object().expect("an object").keys().collect();
    assert_eq!(keys, ["zeta", "auths", "HttpHeaders", "alpha"]);
    let auths: Vec<_> = found["auths"].as_object().expect("an object").keys().collect();
    assert_eq!(auths, ["z.io", "r.io/team", "a.io", "r.io"], "one spelling of each registry");
    assert_eq!(found["auths"]["z.io"], json!({"auth": "eDp5", "email": "e"}));
    assert_eq!(found["HttpHeaders"]["X"], "é\u{0}");
    assert_eq!(found["zeta"], json!([1, {"b": 1, "a": null}]));
}

#[test]
fn what_is_there_is_not_written_again() {
    let (_dir, path) = file("");
    keep(&path, "r.io").expect("kept");
    let inode = |path: &Path| fs::metadata(path).expect("there").ino();
    let before = inode(&path);
    keep(&path, "https://r.io").expect("kept");
    assert_eq!(inode(&path), before);
    assert!(!drop_one(&path, "other.io").expect("dropped"));
    assert_eq!(inode(&path), before);
    assert!(drop_one(&path, "r.io").expect("dropped"));
    assert!(!drop_one(&path, "r.io").expect("dropped"));
    assert_eq!(fs::read_to_string(&path).expect("there"), "{\n\t\"auths\": {}\n}");
}

#[test]
fn a_login_of_a_part_is_not_that_of_the_whole() {
    let (_dir, path) = file("{}");
    for name in ["r.io", "r.io/team", "docker.io", "docker.io/team"] {
        keep(&path, name).expect("kept");
    }
    assert!(drop_one(&path, "r.io").expect("dropped"));
    assert!(drop_one(&path, "docker.io/team").expect("dropped"));
    let found: Value = serde_json::from_slice(&fs::read(&path).expect("there")).expect("json");
    let keys: Vec<_> = found["auths"].as_object().expect("an object").keys().collect();
    assert_eq!(keys, ["r.io/team", HUB_KEY]);
    let mut all = drop_all_logins(&path, &Cancel::default()).expect("dropped");
    all.sort();
    assert_eq!(all, ["docker.io", "r.io/team"]);
    assert_eq!(drop_all_logins(&path, &Cancel::default()).expect("dropped"), [""; 0]);
}

#[test]
fn a_broken_file_stays_as_it_is() {
    for text in [
        "{\"auths\": {",
        "[]",
        r#"{"auths": []}"#,
        r#"{"auths": {"r.io": {"auth": 1}}}"#,
        r#"{"auths": {"r.io": {"auth": "geheim"}}}"#,
    ] {
        let (_dir, path) = file(text);
        for error in
            [keep(&path, "r.io").expect_err(text), drop_one(&path, "r.io").expect_err(text)]
        {
            let error = error.to_string();
            assert!(error.contains("was left as it is") && !error.contains("geheim"), "{error}");
        }
        assert_eq!(fs::read_to_string(&path).expect("there"), text);
    }
}

#[test]
fn a_link_stays_one() {
    let (dir, path) = file("{}");
    let link = dir.path().join("link.json");
    std::os::unix::fs::symlink(&path, &link).expect("a link");
    keep(&link, "r.io").expect("kept");
    assert!(fs::symlink_metadata(&link).expect("there").is_symlink());
    assert!(fs::read_to_string(&path).expect("there").contains(AUTH));
    // Nor does one that leads to nothing yet, by way of another.
    let (chain, target) = (dir.path().join("chain.json"), dir.path().join("new/target.json"));
    std::os::unix::fs::symlink("middle.json", &chain).expect("a link");
    std::os::unix::fs::symlink("new/target.json", dir.path().join("middle.json")).expect("a link");
    keep(&chain, "r.io").expect("kept");
    assert!(fs::symlink_metadata(&chain).expect("there").is_symlink());
    assert!(fs::read_to_string(&target).expect("there").contains(AUTH));
    let missing = Path::new("/proc/none/config.json");
    let error = keep(missing, "r.io").expect_err("nobody makes that").to_string();
    assert!(error.contains("/proc/none/config.json cannot be written"), "{error}");
}

#[test]
fn helpers_are_told_every_spelling_of_a_key() {
    for (named, expected) in [
        ("r.io", &["r.io"][..]),
        ("https://r.io", &["https://r.io", "r.io"]),
        ("r.io/v2/", &["r.io/v2/", "r.io"]),
        ("docker.io", &["docker.io", HUB_KEY]),
        ("index.docker.io", &["index.docker.io", HUB_KEY]),
        (HUB_KEY, &[HUB_KEY]),
        ("", &[""]),
    ] {
        assert_eq!(keys_of(named), expected, "{named}");
    }
}
