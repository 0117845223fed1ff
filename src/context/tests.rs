use super::*;

use std::fs;
use std::os::unix::fs::symlink;

fn dir(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    for (path, text) in files {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().expect("below the directory")).expect("made");
        fs::write(path, text).expect("written");
    }
    dir
}

fn hides(context: &Context, path: &str) -> bool {
    let ignore = context.ignore.as_ref().expect("an ignore file");
    ignore.matches(Path::new(path)).expect("good patterns")
}

#[test]
fn the_dockerfiles_own_ignore_file_wins_completely() {
    let dir = dir(&[
        (".dockerignore", "a"),
        ("Dockerfile.dockerignore", "b"),
        ("sub/Other.dockerignore", "c"),
    ]);
    for (dockerfile, hidden, file) in [
        ("Dockerfile", "b", "Dockerfile.dockerignore"),
        ("sub/Other", "c", "sub/Other.dockerignore"),
        ("sub/Dockerfile", "a", ".dockerignore"),
    ] {
        let context = Context::open(dir.path(), &dir.path().join(dockerfile)).expect("opens");
        assert_eq!(context.ignore_file, Some(dir.path().join(file)));
        for path in ["a", "b", "c"] {
            assert_eq!(hides(&context, path), path == hidden, "{dockerfile}: {path}");
        }
    }
}

#[test]
fn without_an_ignore_file_nothing_is_hidden() {
    let dir = dir(&[("Dockerfile", "")]);
    let context = Context::open(dir.path(), &dir.path().join("Dockerfile")).expect("opens");
    assert!(context.ignore.is_none() && context.ignore_file.is_none());
    assert!(Context::open(dir.path(), Path::new("")).expect("opens").ignore.is_none());
}

#[test]
fn an_ignore_file_cannot_be_a_link_out_of_the_context() {
    let dir = dir(&[("outside", "a"), ("context/f", "")]);
    symlink("../outside", dir.path().join("context/.dockerignore")).expect("linked");
    let context = Context::open(&dir.path().join("context"), Path::new("-")).expect("opens");
    assert!(context.ignore.is_none());
}

#[test]
fn errors_are_sentences_with_paths() {
    let dir = dir(&[("file", ""), ("bad/.dockerignore", "ok\n[x\n")]);
    for (context, message) in [
        ("file", "the context `DIR/file` is not a directory"),
        ("none", "the context `DIR/none` does not exist"),
        ("bad", "`DIR/bad/.dockerignore`: syntax error in pattern: `[x` in line 2"),
    ] {
        let error = Context::open(&dir.path().join(context), Path::new("-")).expect_err(context);
        let message = message.replace("DIR", &dir.path().display().to_string());
        assert_eq!(error.to_string(), message);
    }
}

#[test]
fn a_dockerfile_is_looked_for_here_and_in_the_context() {
    let dir = dir(&[
        ("upper/Dockerfile", "upper"),
        ("upper/dockerfile", "unused"),
        ("lower/dockerfile", "lower"),
        ("lower/sub/named", "named"),
    ]);
    let at = |path: &str| dir.path().join(path);
    for (context, file, found) in [
        ("upper", None, "upper/Dockerfile"),
        ("lower", None, "lower/dockerfile"),
        ("lower", Some("sub/named".into()), "lower/sub/named"),
        ("upper", Some(at("lower/sub/named")), "lower/sub/named"),
    ] {
        let read = read_dockerfile(&at(context), file.as_deref()).expect("found");
        assert_eq!(read.path, at(found));
        assert_eq!(read.text, fs::read_to_string(at(found)).expect("text"));
    }
}

#[test]
fn a_missing_dockerfile_is_named_in_all_places() {
    let dir = dir(&[("bad", "\u{e4}"), ("f", "")]);
    fs::write(dir.path().join("bad"), b"FROM \xff").expect("written");
    let here = dir.path().display();
    for (file, message) in [
        (
            None,
            format!(
                "cannot find the Dockerfile: there is no `{here}/Dockerfile`, and no \
                 `{here}/dockerfile`"
            ),
        ),
        (
            Some("no/such/file".into()),
            format!(
                "cannot find the Dockerfile: there is no `no/such/file`, and no \
                 `{here}/no/such/file`"
            ),
        ),
        (
            Some(dir.path().join("f/x")),
            format!("cannot find the Dockerfile: there is no `{here}/f/x`"),
        ),
        (
            Some(dir.path().join("bad")),
            format!("the Dockerfile `{here}/bad` is not UTF-8 text: see byte 5"),
        ),
    ] {
        let error = read_dockerfile(dir.path(), file.as_deref()).expect_err("an error");
        assert_eq!(error.to_string(), message);
    }
}

#[test]
fn a_default_dockerfile_cannot_be_a_link_out_of_the_context() {
    let dir = dir(&[("secret", "x"), ("context/f", "")]);
    symlink("../secret", dir.path().join("context/Dockerfile")).expect("linked");
    assert!(read_dockerfile(&dir.path().join("context"), None).is_err());
}

#[test]
fn a_context_may_be_named_by_a_link() {
    let dir = dir(&[("context/Dockerfile", "FROM scratch"), ("context/f", "")]);
    symlink("context", dir.path().join("link")).expect("linked");
    let link = dir.path().join("link");
    assert!(read_dockerfile(&link, None).is_ok());
    let context = Context::open(&link, Path::new("Dockerfile")).expect("opens");
    assert!(context.root.open_file(Path::new("f")).is_ok());
}

#[test]
fn a_directory_of_an_archive_is_inside_it() {
    let top = dir(&[("a/b/f", ""), ("etc/f", "")]);
    symlink("/etc", top.path().join("absolute")).expect("linked");
    symlink("../../../a", top.path().join("up")).expect("linked");
    let find = |path: &str| subdirectory("standard input", top.path(), Path::new(path));
    for (path, expected) in
        [("", ""), ("a/b", "a/b"), ("absolute", "etc"), ("up/b", "a/b"), ("a/../a", "a")]
    {
        assert_eq!(find(path).expect("found"), top.path().join(expected), "{path}");
    }
    for path in ["a/b/f", "missing", "absolute/passwd", "../../a", "a/../.."] {
        let error = find(path).expect_err(path).to_string();
        assert_eq!(error, format!("standard input has no directory `{path}` to be the context"));
    }
}

#[test]
fn comments_may_be_in_another_encoding() {
    let dir = dir(&[("context/f", "")]);
    let file = dir.path().join("context/Dockerfile");
    fs::write(&file, b"# caf\xe9\nFROM a\n").expect("written");
    let text = read_dockerfile(&dir.path().join("context"), None).expect("text").text;
    assert_eq!(text, "# caf\u{fffd}\nFROM a\n");
    for other in [&b"# a\nFROM \xe9\n"[..], b"FROM a\nCOPY <<E /x\n# caf\xe9\nE\n"] {
        fs::write(&file, other).expect("written");
        let error = read_dockerfile(&dir.path().join("context"), None).expect_err("no text");
        assert!(error.to_string().contains("is not UTF-8 text"), "{error}");
    }
}

#[test]
fn a_path_that_leads_out_is_known_by_its_spelling() {
    for (path, expected) in [
        ("a/b", false),
        ("", false),
        ("..", true),
        ("a/../..", true),
        ("a/../b", false),
        ("a/..", false),
    ] {
        assert_eq!(leads_out(Path::new(path)), expected, "{path}");
    }
}
