//! Certificates as people make them, with the openssl command.

use std::path::{Path, PathBuf};

use crate::common::tools;

/// Files in a temporary directory.
#[derive(Debug)]
pub struct Certificates(tempfile::TempDir);

impl Certificates {
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    /// The certificate `NAME.pem` and its key `NAME.key`.
    pub fn files(&self, name: &str) -> (PathBuf, PathBuf) {
        let path = |ending: &str| self.dir().join(format!("{name}.{ending}"));
        (path("pem"), path("key"))
    }

    pub fn dir(&self) -> &Path {
        self.0.path()
    }

    /// A self-signed certificate for these names, marked as a CA as `openssl req -x509` does it.
    pub fn self_signed(&self, name: &str, names: &str) -> (PathBuf, PathBuf) {
        let (pem, key) = self.files(name);
        let subject = format!("/CN={name}");
        let names = format!("subjectAltName={names}");
        self.openssl(
            &["req", "-x509", "-days", "2", "-subj", &subject, "-addext", &names],
            &[("-keyout", &key), ("-out", &pem)],
        );
        (pem, key)
    }

    /// A certificate for these names, signed by a certificate that was made before.
    pub fn signed(&self, name: &str, names: &str, ca: &str) -> (PathBuf, PathBuf) {
        let ((pem, key), (ca_pem, ca_key)) = (self.files(name), self.files(ca));
        let request = self.dir().join(format!("{name}.csr"));
        let subject = format!("/CN={name}");
        self.openssl(&["req", "-subj", &subject], &[("-keyout", &key), ("-out", &request)]);
        let extensions = self.dir().join(format!("{name}.ext"));
        std::fs::write(&extensions, format!("subjectAltName={names}\n")).expect("a file");
        let mut command = std::process::Command::new("openssl");
        command.args(["x509", "-req", "-days", "2", "-CAcreateserial", "-in"]).arg(&request);
        command.arg("-CA").arg(ca_pem).arg("-CAkey").arg(ca_key);
        command.arg("-extfile").arg(&extensions).arg("-out").arg(&pem);
        tools::output(command);
        (pem, key)
    }

    fn openssl(&self, args: &[&str], files: &[(&str, &PathBuf)]) {
        let (first, rest) = args.split_first().expect("a command of openssl");
        let mut command = std::process::Command::new("openssl");
        command.arg(first).args(["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]);
        command.arg("-nodes").args(rest);
        for (flag, file) in files {
            command.arg(flag).arg(file);
        }
        tools::output(command);
    }
}
