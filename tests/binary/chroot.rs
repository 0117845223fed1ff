//! A root whose owner would like to run code in kiln: glibc looks a name up by loading the libraries
//! that /etc/nsswitch.conf names, also in a static program (getaddrinfo(3), nsswitch.conf(5)).

use std::fs;
use std::path::{Path, PathBuf};

use testkit::Registry;

use crate::common::built::need_root;
use crate::common::tools::{in_root, run};
use crate::common::{Outcome, release};

/// What the planted library makes when it is loaded.
const MARK: &str = "the-library-was-loaded";

const LIBRARY: &str = r#"
#include <fcntl.h>
__attribute__((constructor)) static void loaded(void) {
    open("/the-library-was-loaded", O_CREAT | O_WRONLY, 0644);
}
"#;

const LOOK_UP: &str = r#"
#include <netdb.h>
#include <pwd.h>
int main(void) {
    struct addrinfo *found;
    getaddrinfo("registry.test", "80", 0, &found);
    getpwnam("nobody");
    return 0;
}
"#;

/// Compiles C to a file.
fn compile(dir: &Path, source: &str, name: &str, flags: &[&str]) -> PathBuf {
    let (from, to) = (dir.join(format!("{name}.c")), dir.join(name));
    fs::write(&from, source).unwrap();
    let paths = ["-o", to.to_str().unwrap(), from.to_str().unwrap()];
    run("gcc", flags.iter().chain(&paths));
    to
}

/// The libraries that glibc itself needs to load another one.
fn loader_files() -> Vec<PathBuf> {
    let listed = run("ldd", ["/bin/ls"]);
    let words = listed.split_whitespace().filter(|word| word.starts_with('/'));
    let needed = |word: &&str| word.contains("libc.so") || word.contains("ld-linux");
    words.filter(needed).map(PathBuf::from).collect()
}

#[test]
fn names_are_looked_up_without_the_libraries_of_the_root() {
    need_root();
    let registry = Registry::start();
    let port = registry.host().rsplit(':').next().unwrap().to_owned();
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    for dir in ["etc", "tmp", "context"] {
        fs::create_dir(root.join(dir)).unwrap();
    }
    fs::write(root.join("etc/nsswitch.conf"), "hosts: evil files dns\npasswd: evil files\n")
        .unwrap();
    fs::write(root.join("etc/hosts"), "127.0.0.1 registry.test\n").unwrap();
    fs::write(root.join("context/Dockerfile"), "FROM scratch\nCOPY Dockerfile /\n").unwrap();
    let build = tempfile::tempdir().unwrap();
    let library = compile(build.path(), LIBRARY, "libnss_evil.so.2", &["-shared", "-fPIC"]);
    let look_up = compile(build.path(), LOOK_UP, "look-up", &["-static", "-w"]);
    let files = loader_files();
    let usual = ["/lib", "/lib64", "/usr/lib"].map(Path::new);
    let dirs = files.iter().filter_map(|file| file.parent()).chain(usual);
    for dir in dirs.map(|dir| root.join(dir.strip_prefix("/").unwrap())) {
        fs::create_dir_all(&dir).unwrap();
        for file in files.iter().chain([&library]) {
            fs::copy(file, dir.join(file.file_name().unwrap())).unwrap();
        }
    }

    // The trap works: a static program that asks glibc falls into it.
    fs::copy(look_up, root.join("look-up")).unwrap();
    Outcome::from(in_root(root, "/look-up").output().unwrap()).ok();
    fs::remove_file(root.join(MARK)).expect("glibc loads the planted library");

    fs::copy(release(), root.join("kiln")).unwrap();
    let name = format!("registry.test:{port}/app:1");
    let host = format!("registry.test:{port}");
    let mut kiln = in_root(root, "/kiln");
    kiln.args(["build", "--insecure-registry", &host, "-t", &name, "/context"]);
    kiln.env("HOME", "/").env("TMPDIR", "/tmp");
    Outcome::from(kiln.output().unwrap()).ok();
    assert_eq!(registry.tags("app"), ["1"]);
    assert!(!root.join(MARK).exists(), "kiln has loaded a library of the root");

    // Nor does it ask somebody else where nobody is named to be asked.
    let mut kiln = in_root(root, "/kiln");
    kiln.args(["build", "-t", "unknown.test/app:1", "/context"]);
    kiln.env("HOME", "/").env("TMPDIR", "/tmp");
    let outcome = Outcome::from(kiln.output().unwrap());
    outcome.fails(1, "/etc/resolv.conf names no name server");
}
