//! Credential helpers: programs called `docker-credential-NAME`.
//!
//! Source: docker/docker-credential-helpers. `get` reads the server on stdin and writes
//! `{"ServerURL", "Username", "Secret"}`; the user `<token>` marks an identity token.

use std::io::{Read, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::{Credentials, HelperAnswer};
use crate::cancel::Cancel;

/// Helpers of clouds ask a metadata service first, which can take a while to time out.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at a running helper.
const POLL: Duration = Duration::from_millis(10);
/// A credential is a few kilobytes.
const OUTPUT_MAX: u64 = 1 << 20;
/// What helpers print for "I have none" (credentials.ErrCredentialsNotFound).
const NONE: &str = "credentials not found";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    #[serde(default)]
    username: String,
    #[serde(default)]
    secret: String,
}

/// Asks a helper for a server's credentials. The reason of a failure holds none of its output but
/// the message that it printed for users.
pub(super) fn get(program: &str, server: &str, cancel: &Cancel) -> HelperAnswer {
    if program.contains('/') {
        return Err("its name has a slash".into());
    }
    let mut child = Command::new(format!("docker-credential-{program}"))
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => "it is not installed".to_owned(),
            _ => error.to_string(),
        })?;
    if let Some(mut stdin) = child.stdin.take() {
        // A helper that ends without reading says why in its answer.
        let _ = writeln!(stdin, "{server}");
    }
    let output = child.stdout.take().map(read_all);
    let success = wait(&mut child, cancel)?;
    let output = output.and_then(|thread| thread.join().ok()).unwrap_or_default();
    if success { parse(&output) } else { refused(&output) }
}

fn read_all(stdout: ChildStdout) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut output = Vec::new();
        let _ = stdout.take(OUTPUT_MAX).read_to_end(&mut output);
        output
    })
}

fn wait(child: &mut Child, cancel: &Cancel) -> Result<bool, String> {
    let start = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Ok(status.success()),
            Ok(None) if start.elapsed() < PATIENCE && cancel.sleep(POLL).is_ok() => {}
            Ok(None) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("it did not end within {} s", PATIENCE.as_secs()));
            }
            Err(error) => return Err(error.to_string()),
        }
    }
}

fn parse(output: &[u8]) -> HelperAnswer {
    let answer: Answer = serde_json::from_slice(output)
        .map_err(|_| "its answer is not the JSON of the helper protocol".to_owned())?;
    Ok(match (answer.username, answer.secret) {
        (_, secret) if secret.is_empty() => None,
        (user, token) if user == "<token>" => Some(Credentials::Identity(token)),
        (user, password) => Some(Credentials::Basic { user, password }),
    })
}

fn refused(output: &[u8]) -> HelperAnswer {
    let message = super::super::transport::clean(&String::from_utf8_lossy(output));
    if message.to_ascii_lowercase().contains(NONE) { Ok(None) } else { Err(message) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_understood() {
        let basic = Credentials::Basic { user: "u".into(), password: "p".into() };
        for (output, expected) in [
            (r#"{"ServerURL":"x","Username":"u","Secret":"p"}"#, Ok(Some(basic))),
            (r#"{"Username":"<token>","Secret":"t"}"#, Ok(Some(Credentials::Identity("t".into())))),
            (r#"{"Username":"","Secret":""}"#, Ok(None)),
        ] {
            assert_eq!(parse(output.as_bytes()), expected);
        }
        assert!(parse(b"oops").is_err_and(|reason| !reason.contains("oops")));
        assert_eq!(refused(b"credentials not found in native keychain\n"), Ok(None));
        assert_eq!(refused(b"no metadata service\x1b\n"), Err("no metadata service".into()));
    }

    #[test]
    fn a_helper_that_is_missing_is_named_as_such() {
        let cancel = Cancel::default();
        let reason = get("kiln-test-missing", "r.io", &cancel).expect_err("missing");
        assert_eq!(reason, "it is not installed");
        assert!(get("../../bin/sh", "r.io", &cancel).is_err());
    }
}
