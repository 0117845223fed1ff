//! RUNs that do much, in kiln's image in a plain container of Debian's dockerd: packages of four
//! kinds, compilers, and programs that look closely at /proc and /dev.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::image::Image;
use testkit::{Registry, base, tree::Tree};

use common::containers::Engine;

/// Files whose compilation make does side by side.
const PARTS: usize = 24;

fn own(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/heavy_runs").join(name)
}

/// npm itself, which Debian has in 400 packages.
fn npm() -> PathBuf {
    let dir = std::env::var_os("KILN_GITLAB_CI_LOCAL").map(PathBuf::from);
    let dir = dir.expect(
        "KILN_GITLAB_CI_LOCAL is not set to a directory in which npm has installed npm: run these \
         with `cargo xtask test`",
    );
    dir.join("node_modules/npm")
}

/// How this machine reaches package indexes: its certificate authorities and what pip is told.
fn machine(context: &Path) {
    let to = context.join("machine/etc");
    fs::create_dir_all(&to).unwrap();
    // Not where Debian's package would write its own over it.
    fs::copy("/etc/ssl/certs/ca-certificates.crt", to.join("machine.crt"))
        .expect("certificates (package ca-certificates)");
    let index = Command::new("pip").args(["config", "get", "global.index-url"]).output();
    if let Some(index) = index.ok().filter(|output| output.status.success()) {
        let index = String::from_utf8(index.stdout).unwrap();
        let text = format!("[global]\nindex-url = {}\n", index.trim());
        fs::write(to.join("pip.conf"), text).unwrap();
    }
}

/// A program of many files.
fn sources() -> Tree {
    let parts: Vec<String> = (0..PARTS).map(|number| format!("part{number}")).collect();
    let objects: Vec<String> = parts.iter().map(|part| format!("{part}.o")).collect();
    let makefile = format!("all: all.o {0}\n\tgcc -o all all.o {0}\n", objects.join(" "));
    let declared: String = parts.iter().map(|part| format!("int {part}(void);\n")).collect();
    let calls: Vec<String> = parts.iter().map(|part| format!("{part}()")).collect();
    let main = format!(
        "#include <stdio.h>\n{declared}int main(void) {{ printf(\"%d\\n\", {}); }}\n",
        calls.join(" + ")
    );
    let tree = Tree::new().file("c/Makefile", makefile).file("c/all.c", main);
    parts.iter().enumerate().fold(tree, |tree, (number, part)| {
        let text = format!("#include <stdlib.h>\nint {part}(void) {{ return abs(-{number}); }}\n");
        tree.file(&format!("c/{part}.c"), text)
    })
}

/// Copies a directory with all that is in it; npm's has files and directories only.
fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => copy_all(&entry.path(), &to),
            kind if kind.is_file() => drop(fs::copy(entry.path(), to).unwrap()),
            _ => {}
        }
    }
}

/// What a RUN has written down.
struct Seen(Image);

impl Seen {
    #[track_caller]
    fn has(&self, file: &str, words: &[&str]) {
        let text = self.0.text(file).unwrap();
        for word in words {
            assert!(text.contains(word), "{file} has no {word:?}:\n{text}");
        }
    }

    #[track_caller]
    fn is(&self, file: &str, expected: &str) {
        assert_eq!(self.0.text(file).unwrap(), expected, "{file}");
    }
}

#[test]
fn dockerd_runs_heavy_runs_in_a_plain_container() {
    let registry = Registry::start();
    let debian = base::debian(&base::cache_dir()).expect("a Debian");
    debian.add_to(&registry, "library/debian", "12").unwrap();
    let dir = tempfile::tempdir().unwrap();
    for name in ["Dockerfile", "locked.py"] {
        fs::copy(own(name), dir.path().join(name)).unwrap();
    }
    machine(dir.path());
    sources().write_to(dir.path()).unwrap();
    copy_all(&npm(), &dir.path().join("npm"));

    let name = format!("{}/seen:1", registry.host());
    let engine = Engine::start();
    let outcome = engine
        .container()
        .mount_read_only(dir.path(), "/context")
        .entrypoint("kiln")
        .run(["build", "/context", "--verbose", "-t", &name, "--registry-mirror", registry.host()])
        .ok();
    assert!(outcome.stderr.contains("to the error stream"), "{outcome}");

    let seen = Seen(Image::from_registry(&registry, "seen", "1").unwrap());
    seen.has("java", &["openjdk version"]);
    seen.is("c", &format!("{}\n", (0..PARTS).sum::<usize>()));
    seen.is("pip", "flask\n");
    seen.is("npm", "1.2.3\n");
    seen.is("git", "first\n");
    seen.has("sudo", &["Sudo version", "\n0\n"]);
    seen.has("ps", &["PID", "ps aux"]);
    seen.has("df", &["Filesystem", " /"]);
    seen.is("mountpoint", "/proc is a mountpoint\n");
    seen.is("substitution", "2c2\n< b\n---\n> c\nend\n");
    seen.is("multiprocessing", "2000 55\n");
    seen.has("mounts", &[" / ", "proc /proc proc "]);
    seen.has("mountinfo", &[" / / ", " /proc "]);
    seen.has("status", &["Name:\tcat\n", "Pid:\t", "Uid:\t0\t0\t0\t0\n"]);
    seen.has("cgroup", &[":"]);
    seen.is("exe", "/usr/bin/readlink\n");
    seen.has("user/id", &["uid=1234(app) gid=1234(app)"]);
    seen.is("user/home", "/home/app\n");
    seen.has("user/fds", &[" 0 -> ", " 1 -> /seen/user/fds", " 2 -> "]);
}
