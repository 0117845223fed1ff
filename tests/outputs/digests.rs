//! Files that name the digest, and standard output.

use testkit::Registry;

use crate::common::{Kiln, bases};

fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:").is_some_and(|hex| hex.len() == 64)
}

#[test]
fn files_with_the_digest_are_written() {
    let registry = Registry::start();
    let host = registry.host();
    let kiln = Kiln::build()
        .dockerfile("FROM scratch\nCOPY Dockerfile /\n")
        .args(["-t", &format!("{host}/app:1"), "-t", &format!("{host}/team/other")])
        .args(["--digest-file", "digest", "--image-name-with-digest-file", "names"])
        .args(["--image-name-tag-with-digest-file", "tags"]);
    let (mut command, dir) = kiln.into_command();
    let output = command.output().expect("kiln starts");
    assert!(output.status.success(), "{output:?}");
    let stdout = String::from_utf8(output.stdout).expect("text");
    let digest = stdout.strip_suffix('\n').expect("a line");
    let file = |name: &str| std::fs::read_to_string(dir.path().join(name)).expect("a file");
    assert!(is_digest(digest), "{digest}");
    assert_eq!(file("digest"), digest);
    assert_eq!(file("names"), format!("{host}/app@{digest}\n{host}/team/other@{digest}\n"));
    assert_eq!(file("tags"), format!("{host}/app:1@{digest}\n{host}/team/other:latest@{digest}\n"));
}

#[test]
fn files_with_the_digest_are_written_without_a_push() {
    let kiln = Kiln::build()
        .dockerfile("FROM scratch\nCOPY Dockerfile /\n")
        .args(["--no-push", "-t", "registry.test/app:1", "--digest-file", "digest"])
        .args(["--image-name-tag-with-digest-file", "tags"]);
    let (mut command, dir) = kiln.into_command();
    let output = command.output().expect("kiln starts");
    assert!(output.status.success(), "{output:?}");
    let file = |name: &str| std::fs::read_to_string(dir.path().join(name)).expect("a file");
    let digest = file("digest");
    assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{digest}\n"));
    assert_eq!(file("tags"), format!("registry.test/app:1@{digest}\n"));
}

#[test]
fn standard_output_is_the_digest_and_nothing_else() {
    let registry = Registry::start();
    bases::busybox(&registry, "base", "1");
    let build = || {
        Kiln::build()
            .dockerfile(&format!(
                "FROM {}/base:1\nRUN echo noise; echo more >&2\n",
                registry.host()
            ))
            .args(["-t", &format!("{}/app:1", registry.host())])
    };
    for flags in [&[][..], &["-v"], &["--progress=plain"], &["--progress=tty"], &["-q"]] {
        let outcome = build().args(flags).run().ok();
        let digest = registry.digest("app", "1").expect("an image");
        assert_eq!(outcome.stdout, format!("{digest}\n"), "{flags:?}");
        let quiet = flags == ["-q"];
        assert_eq!(outcome.stderr.is_empty(), quiet, "{flags:?}\n{outcome}");
        assert_eq!(outcome.stderr.contains("noise"), !quiet, "{flags:?}\n{outcome}");
    }
}

#[test]
fn quiet_failures_still_say_why() {
    let registry = Registry::start();
    bases::busybox(&registry, "base", "1");
    let outcome = Kiln::build()
        .dockerfile(&format!("FROM {}/base:1\nRUN echo clue; exit 3\n", registry.host()))
        .args(["-q", "--no-push"])
        .run()
        .fails(3, "exit code: 3");
    assert_eq!(outcome.stdout, "");
    assert!(outcome.stderr.contains("clue"), "{outcome}");
}
