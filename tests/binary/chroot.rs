//! A root whose owner would like to run code in kiln: glibc looks a name up by loading the libraries
//! that /etc/nsswitch.conf names, also in a static program (getaddrinfo(3), nsswitch.conf(5)).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::Registry;

use crate::common::built::need_root;
use crate::common::tools::run;
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

fn in_root(root: &Path, args: &[&str]) -> Outcome {
    let mut command = Command::new("chroot");
    command.arg(root).args(args).env_clear().env("HOME", "/").env("TMPDIR", "/tmp");
    Outcome::from(command.output().expect("chroot (package coreutils)"))
}

#[test]
fn names_are_looked_up_without_the_libraries_of_the_root() {
    need_root();
    let registry = Registry::start();
    let port = registry.host().rsplit(':').next().unwrap().to_owned();
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    for dir in ["etc", "tmp", "context", "lib", "lib64"] {
        fs::create_dir(root.join(dir)).unwrap();
    }
    fs::write(root.join("etc/nsswitch.conf"), "hosts: evil files dns\npasswd: evil files\n")
        .unwrap();
    fs::write(root.join("etc/hosts"), "127.0.0.1 registry.test\n").unwrap();
    fs::write(root.join("context/Dockerfile"), "FROM scratch\nCOPY Dockerfile /\n").unwrap();
    let build = tempfile::tempdir().unwrap();
    let library = compile(build.path(), LIBRARY, "libnss_evil.so.2", &["-shared", "-fPIC"]);
    let look_up = compile(build.path(), LOOK_UP, "look-up", &["-static", "-w"]);
    for file in loader_files() {
        let target = root.join(file.strip_prefix("/").unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(&file, &target).unwrap();
        fs::copy(&library, target.with_file_name("libnss_evil.so.2")).unwrap();
    }
    for dir in ["lib", "lib64", "usr/lib"] {
        fs::create_dir_all(root.join(dir)).unwrap();
        fs::copy(&library, root.join(dir).join("libnss_evil.so.2")).unwrap();
    }

    // The trap works: a static program that asks glibc falls into it.
    fs::copy(look_up, root.join("look-up")).unwrap();
    in_root(root, &["/look-up"]).ok();
    fs::remove_file(root.join(MARK)).expect("glibc loads the planted library");

    fs::copy(release(), root.join("kiln")).unwrap();
    let name = format!("registry.test:{port}/app:1");
    let host = format!("registry.test:{port}");
    let args = ["/kiln", "build", "--insecure-registry", &host, "-t", &name, "/context"];
    in_root(root, &args).ok();
    assert_eq!(registry.tags("app"), ["1"]);
    assert!(!root.join(MARK).exists(), "kiln has loaded a library of the root");
}
