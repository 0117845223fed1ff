//! Credential helpers: programs called `docker-credential-NAME`.
//!
//! Source: docker/docker-credential-helpers. `get` reads the server on stdin and writes
//! `{"ServerURL", "Username", "Secret"}`; the user `<token>` marks an identity token.

use std::io::{Read, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::{Credentials, HelperAnswer, HelperFailure};
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
        return Err(HelperFailure::Failed("its name has a slash".into()));
    }
    ask(Command::new(format!("docker-credential-{program}")).arg("get"), server, cancel)
}

fn ask(command: &mut Command, server: &str, cancel: &Cancel) -> HelperAnswer {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => HelperFailure::Missing,
            _ => HelperFailure::Failed(error.to_string()),
        })?;
    if let Some(mut stdin) = child.stdin.take() {
        // A helper that ends without reading says why in its answer.
        let _ = writeln!(stdin, "{server}");
    }
    let output = child.stdout.take().map(read_all);
    let success = wait(&mut child, cancel).map_err(HelperFailure::Failed)?;
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
                return Err("it took too long".into());
            }
            Err(error) => return Err(error.to_string()),
        }
    }
}

fn parse(output: &[u8]) -> HelperAnswer {
    let answer: Answer = serde_json::from_slice(output)
        .map_err(|_| "its answer is not the JSON of the helper protocol".to_owned())
        .map_err(HelperFailure::Failed)?;
    Ok(match (answer.username, answer.secret) {
        (_, secret) if secret.is_empty() => None,
        (user, token) if user == "<token>" => Some(Credentials::Identity(token)),
        (user, password) => Some(Credentials::Basic { user, password }),
    })
}

fn refused(output: &[u8]) -> HelperAnswer {
    let message = super::super::transport::clean(&String::from_utf8_lossy(output));
    match message.as_str() {
        "" => Err(HelperFailure::Failed("it gave no reason".into())),
        text if text.to_ascii_lowercase().contains(NONE) => Ok(None),
        _ => Err(HelperFailure::Failed(message)),
    }
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
        let failed = |reason: &str| Err(HelperFailure::Failed(reason.into()));
        assert!(parse(b"oops").is_err_and(|reason| !reason.to_string().contains("oops")));
        assert_eq!(refused(b"credentials not found in native keychain\n"), Ok(None));
        assert_eq!(refused(b"no metadata service\x1b\n"), failed("no metadata service"));
    }

    #[test]
    fn a_program_is_asked_by_stdin_and_answers_on_stdout() {
        let script = |text| {
            let mut command = Command::new("sh");
            command.args(["-c", text]);
            ask(&mut command, "r.io", &Cancel::default())
        };
        let answer = r#"read server; echo "{\"Username\":\"u\",\"Secret\":\"$server\"}""#;
        let expected = Credentials::Basic { user: "u".into(), password: "r.io".into() };
        assert_eq!(script(answer), Ok(Some(expected)));
        assert_eq!(script("echo credentials not found in native keychain; exit 1"), Ok(None));
        let failed = |reason: &str| Err(HelperFailure::Failed(reason.into()));
        assert_eq!(script("echo no network; exit 1"), failed("no network"));
        assert_eq!(script("exit 1"), failed("it gave no reason"));
    }

    #[test]
    fn a_program_that_hangs_ends_with_the_build() {
        let cancel = Cancel::default();
        let asking = {
            let cancel = cancel.clone();
            let mut command = Command::new("sleep");
            command.arg("60");
            std::thread::spawn(move || ask(&mut command, "r.io", &cancel))
        };
        cancel.cancel();
        assert!(asking.join().expect("no panic").is_err());
    }

    #[test]
    fn a_helper_that_is_missing_is_named_as_such() {
        let cancel = Cancel::default();
        let reason = get("kiln-test-missing", "r.io", &cancel).expect_err("missing");
        assert_eq!(reason, HelperFailure::Missing);
        assert_eq!(reason.to_string(), "it is not installed");
        assert!(get("../../bin/sh", "r.io", &cancel).is_err());
    }
}
