//! The rows of BuildKit's own tests, read as in `dockerfile/vectors`.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::reference::{GitReference, MTime, parse};

fn rows(list: &str) -> Vec<Value> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/vectors");
    let folder = std::env::var_os("KILN_VECTORS").map_or(beside, PathBuf::from);
    let path = folder.join("git_refs.json");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| {
        panic!(
            "the conformance rows are not at {} ({error}): set KILN_VECTORS to their folder",
            path.display()
        )
    });
    let file: Value = serde_json::from_str(&text).expect("JSON");
    let rows = file[list].as_array().cloned().unwrap_or_default();
    assert!(!rows.is_empty(), "the list {list} has no rows");
    rows
}

fn text(row: &Value, key: &str) -> String {
    row[key].as_str().unwrap_or_else(|| panic!("{key} is no text in {row}")).to_owned()
}

fn as_row(found: &GitReference) -> Value {
    let mtime = match found.mtime {
        Some(MTime::Checkout) => "checkout",
        Some(MTime::Commit) => "commit",
        None => "",
    };
    let or_empty = |text: &Option<String>| text.clone().unwrap_or_default();
    json!({
        "remote": found.remote,
        "short_name": found.short_name,
        "ref": or_empty(&found.reference),
        "checksum": or_empty(&found.checksum),
        "sub_dir": or_empty(&found.subdir),
        "indistinguishable_from_local": found.looks_local,
        "unencrypted_tcp": found.unencrypted,
        "keep_git_dir": found.keep_git_dir,
        "submodules": found.submodules,
        "mtime": mtime,
        "fetch_by_commit": found.fetch_by_commit,
    })
}

#[test]
fn references_are_read_as_buildkit_reads_them() {
    for row in rows("parse") {
        let outcome = parse(&text(&row, "ref"));
        match row["error"]["match"].as_str() {
            None => {
                let found = outcome.unwrap_or_else(|| panic!("not known: {row}"));
                let found = found.unwrap_or_else(|error| panic!("{error}: {row}"));
                assert_eq!(as_row(&found), row["expected"], "{row}");
            }
            Some("any") => assert!(!matches!(outcome, Some(Ok(_))), "{outcome:?}: {row}"),
            Some(_) => {
                let Some(Err(error)) = outcome else { panic!("{outcome:?}: {row}") };
                let wanted = text(&row["error"], "text");
                assert!(error.to_string().contains(&wanted), "{error}: {row}");
            }
        }
    }
}

#[test]
fn references_are_written_with_a_fragment() {
    for row in rows("fragment_format") {
        let written = text(&row, "ref");
        let with_subdir = row["with_subdir"].as_bool().expect("a switch");
        let found = match parse(&written) {
            Some(Ok(found)) => Some(found.fragment_form(with_subdir)),
            _ => None,
        };
        assert_eq!(found.is_some(), row["ok"].as_bool().expect("a switch"), "{row}");
        assert_eq!(found.unwrap_or(written), text(&row, "expected"), "{row}");
    }
}

#[test]
fn what_git_could_take_for_something_else_is_refused() {
    for hostile in [
        "https://h/r.git#--upload-pack=touch /tmp/x",
        "https://h/r.git#-x",
        "https://h/r.git#a..b",
        "https://h/r.git?ref=%2d-x",
        "https://h/r.git?checksum=-x&ref=main",
        "git@h:r#a b",
    ] {
        assert!(matches!(parse(hostile), Some(Err(_))), "{hostile}: {:?}", parse(hostile));
    }
    for other in [
        "ext::sh -c id",
        "ext::https://h/r.git",
        "-oProxyCommand=id@h:r",
        "git@-oProxyCommand=id:r",
        "ssh://-oProxyCommand=id/r",
        "file:///srv/r.git",
        "https://h/r.git\n#x",
    ] {
        assert!(parse(other).is_none(), "{other}: {:?}", parse(other));
    }
}

#[test]
fn passwords_are_not_shown() {
    let found = parse("https://u:geheim@h/r.git?ref=main&subdir=a").expect("known").expect("right");
    assert_eq!(found.to_string(), "https://…@h/r.git#main:a");
}
