//! Repositories to fetch from.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A repository below a server's directory.
pub struct Repository(PathBuf);

impl Repository {
    /// An empty one.
    pub fn new(dir: &Path, name: &str) -> Self {
        let repository = Self(dir.join(name));
        std::fs::create_dir_all(&repository.0).expect("a directory");
        repository.git(&["init", "--quiet", "--initial-branch=main"]);
        repository
    }

    /// Three commits: `one`, tagged `v1` with a note, `two` on the branch `side`, and `three`.
    pub fn with_history(dir: &Path, name: &str) -> Self {
        let repository = Self::new(dir, name);
        repository.commit("f", "one");
        repository.git(&["tag", "-a", "v1", "-m", "the first"]);
        repository.git(&["checkout", "--quiet", "-b", "side"]);
        repository.commit("f", "two");
        repository.git(&["checkout", "--quiet", "main"]);
        repository.file("sub/deep/g", "deep");
        repository.file("run.sh", "#!/bin/sh\n");
        repository.git(&["add", "."]);
        repository.git(&["update-index", "--chmod=+x", "run.sh"]);
        repository.commit("f", "three");
        repository
    }

    pub fn file(&self, path: &str, text: &str) {
        let path = self.0.join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        std::fs::write(path, text).expect("written");
    }

    /// Writes a file and commits all; the commit's name.
    pub fn commit(&self, path: &str, text: &str) -> String {
        self.file(path, text);
        self.git(&["add", path]);
        self.git(&["commit", "--quiet", "-m", text]);
        self.git(&["update-server-info"]);
        self.name_of("HEAD")
    }

    /// The name of a commit or a tag.
    pub fn name_of(&self, object: &str) -> String {
        self.git(&["rev-parse", object])
    }

    pub fn git(&self, args: &[&str]) -> String {
        let output = Command::new("git")
            .current_dir(&self.0)
            .args(["-c", "user.name=T", "-c", "user.email=t@example.com"])
            .args(["-c", "protocol.file.allow=always", "-c", "safe.directory=*"])
            .args(args)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_COMMITTER_DATE", "2001-02-03T04:05:06Z")
            .env("GIT_AUTHOR_DATE", "2001-02-03T04:05:06Z")
            .output()
            .expect("git");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "git {args:?}: {said}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }
}
