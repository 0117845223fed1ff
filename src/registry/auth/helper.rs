//! Credential helpers: programs called `docker-credential-NAME`.
//!
//! Source: docker/docker-credential-helpers. `get` reads the server on stdin and writes
//! `{"ServerURL", "Username", "Secret"}`; the user `<token>` marks an identity token.

use std::io::{Read, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::{Credentials, HelperAnswer, HelperFailure};
use crate::cancel::Cancel;

/// Helpers of clouds ask a metadata service first, which can take a while to time out.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at a running helper.
const POLL: Duration = Duration::from_millis(10);
/// How long the rest of its output may take after a helper's end. A program that it has started, such
/// as an agent for later, may keep its stdout open for ever.
const REST: Duration = Duration::from_secs(1);
/// A credential is a few kilobytes, and so is any list of servers.
const OUTPUT_MAX: u64 = 1 << 20;
/// What helpers print for "I have none" (credentials.ErrCredentialsNotFound).
pub(super) const NONE: &str = "credentials not found";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    #[serde(default)]
    username: String,
    #[serde(default)]
    secret: String,
}

/// How a helper ended. Not `Debug`: its output may hold a password.
pub(super) struct Ended {
    pub(super) success: bool,
    pub(super) output: Vec<u8>,
}

/// The program's whole name.
pub(super) fn name(program: &str) -> String {
    format!("docker-credential-{program}")
}

/// Asks a helper for a server's credentials. The reason of a failure holds none of its output but
/// the message that it printed for users.
pub(super) fn get(program: &str, server: &str, cancel: &Cancel) -> HelperAnswer {
    understood(run(program, "get", format!("{server}\n"), PATIENCE, cancel)?)
}

/// Runs a helper, with this on its stdin.
pub(super) fn run(
    program: &str,
    verb: &str,
    input: String,
    patience: Duration,
    cancel: &Cancel,
) -> Result<Ended, HelperFailure> {
    if program.contains('/') {
        return Err(HelperFailure::Failed("its name has a slash".into()));
    }
    run_command(Command::new(name(program)).arg(verb), input, patience, cancel)
}

fn run_command(
    command: &mut Command,
    input: String,
    patience: Duration,
    cancel: &Cancel,
) -> Result<Ended, HelperFailure> {
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
        // Nobody waits for it: one that does not read what it gets has its time as well, and one that
        // ends without reading says why in its answer.
        std::thread::spawn(move || _ = stdin.write_all(input.as_bytes()));
    }
    let output = child.stdout.take().map(read);
    let success = wait(&mut child, patience, cancel).map_err(HelperFailure::Failed)?;
    Ok(Ended { success, output: output.map(collect).unwrap_or_default() })
}

/// Reads in a thread of its own, piece by piece.
fn read(stdout: ChildStdout) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    let mut stdout = stdout.take(OUTPUT_MAX);
    std::thread::spawn(move || {
        let mut piece = vec![0; 8192];
        while let Ok(length @ 1..) = stdout.read(&mut piece) {
            if sender.send(piece[..length].to_vec()).is_err() {
                break;
            }
        }
    });
    receiver
}

/// What a program that has ended wrote.
fn collect(pieces: Receiver<Vec<u8>>) -> Vec<u8> {
    let (mut output, end) = (Vec::new(), Instant::now() + REST);
    loop {
        match pieces.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(piece) => output.extend(piece),
            Err(RecvTimeoutError::Disconnected | RecvTimeoutError::Timeout) => return output,
        }
    }
}

/// Whether it ended well.
fn wait(child: &mut Child, patience: Duration, cancel: &Cancel) -> Result<bool, String> {
    let start = Instant::now();
    let why = loop {
        match child.try_wait() {
            Ok(Some(status)) => return Ok(status.success()),
            Ok(None) if start.elapsed() >= patience => {
                break format!("it did not end within {} s", patience.as_secs());
            }
            Ok(None) if cancel.sleep(POLL).is_err() => break "kiln was stopped meanwhile".into(),
            Ok(None) => {}
            Err(error) => break error.to_string(),
        }
    };
    let _ = child.kill();
    let _ = child.wait();
    Err(why)
}

fn understood(Ended { success, output }: Ended) -> HelperAnswer {
    if success { parse(&output) } else { refused(&output) }
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
        assert!(parse(b"oops").is_err_and(|reason| !reason.to_string().contains("oops")));
        assert_eq!(refused(b"credentials not found in native keychain\n"), Ok(None));
        assert_eq!(refused(b"no metadata service\x1b\n"), failed("no metadata service"));
    }

    fn script(text: &str, input: &str, patience: Duration, cancel: &Cancel) -> HelperAnswer {
        let command = &mut Command::new("sh");
        understood(run_command(command.args(["-c", text]), input.into(), patience, cancel)?)
    }

    fn failed(reason: &str) -> HelperAnswer {
        Err(HelperFailure::Failed(reason.into()))
    }

    #[test]
    fn a_program_is_asked_by_stdin_and_answers_on_stdout() {
        let answer = r#"read server; echo "{\"Username\":\"u\",\"Secret\":\"$server\"}""#;
        let basic = Credentials::Basic { user: "u".into(), password: "r.io".into() };
        for (text, expected) in [
            (answer, Ok(Some(basic.clone()))),
            ("echo credentials not found in native keychain; exit 1", Ok(None)),
            ("echo no network; exit 1", failed("no network")),
            ("exit 1", failed("it gave no reason")),
        ] {
            assert_eq!(script(text, "r.io\n", PATIENCE, &Cancel::default()), expected, "{text}");
        }
        // What it leaves behind keeps its stdout open.
        let (start, agent) = (Instant::now(), format!("sleep 30 & {answer}"));
        let found = script(&agent, "r.io\n", PATIENCE, &Cancel::default());
        assert_eq!(found, Ok(Some(basic)));
        assert!(start.elapsed() < Duration::from_secs(20), "not waited for");
    }

    #[test]
    fn a_program_that_does_not_read_or_end_has_limits() {
        let (much, brief) = ("x".repeat(1 << 20), Duration::from_millis(50));
        let found = script("exec sleep 30", &much, brief, &Cancel::default());
        assert_eq!(found, failed("it did not end within 0 s"));
        let cancel = Cancel::default();
        let asking = {
            let cancel = cancel.clone();
            std::thread::spawn(move || script("exec sleep 30", &much, PATIENCE, &cancel))
        };
        cancel.cancel();
        assert_eq!(asking.join().expect("no panic"), failed("kiln was stopped meanwhile"));
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
