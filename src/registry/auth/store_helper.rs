//! Credential helpers that keep logins: `docker-credential-NAME store`, `erase` and `list`.
//!
//! Source: docker/docker-credential-helpers, credentials/credentials.go.

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::source::Secret;
use super::store::StoreError;
use crate::cancel::Cancel;
use crate::registry::transport::clean;

/// A keyring may ask its owner for a password.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two looks at a running helper.
const POLL: Duration = Duration::from_millis(10);
/// More than any list of servers.
const OUTPUT_MAX: u64 = 1 << 20;
/// What helpers print for "I have none" (credentials.ErrCredentialsNotFound).
const NONE: &str = "credentials not found";

/// The program's whole name.
pub(super) fn name(program: &str) -> String {
    format!("docker-credential-{program}")
}

/// One helper.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keeper<'a> {
    /// Without `docker-credential-`.
    pub(super) program: &'a str,
    pub(super) cancel: &'a Cancel,
}

impl Keeper<'_> {
    pub(super) fn store(
        &self,
        server: &str,
        user: &str,
        password: &Secret,
    ) -> Result<(), StoreError> {
        let login = json!({ "ServerURL": server, "Username": user, "Secret": password.expose() });
        self.run("store", &login.to_string()).map(drop).map_err(|why| {
            // A helper that quotes what it was given would put it into a log.
            let quotes = why.contains(password.expose());
            self.failed(if quotes { "its message quotes the password".into() } else { why })
        })
    }

    /// Says whether there was something.
    pub(super) fn erase(&self, server: &str) -> Result<bool, StoreError> {
        match self.run("erase", server) {
            Ok(_) => Ok(true),
            Err(why) if why.to_ascii_lowercase().contains(NONE) => Ok(false),
            Err(why) => Err(self.failed(why)),
        }
    }

    /// The servers that it has logins for.
    pub(super) fn list(&self) -> Result<Vec<String>, StoreError> {
        let answer = self.run("list", "").map_err(|why| self.failed(why))?;
        let servers: Option<Value> = serde_json::from_str(&answer).ok();
        let servers = servers.as_ref().and_then(Value::as_object);
        Ok(servers.map(|servers| servers.keys().cloned().collect()).unwrap_or_default())
    }

    pub(super) fn failed(&self, reason: String) -> StoreError {
        StoreError::Helper { program: name(self.program), reason }
    }

    /// What it prints, or why not.
    fn run(&self, verb: &str, input: &str) -> Result<String, String> {
        if self.program.contains('/') {
            return Err("its name has a slash".into());
        }
        let mut child = Command::new(name(self.program))
            .arg(verb)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| match error.kind() {
                std::io::ErrorKind::NotFound => "it is not installed".to_owned(),
                _ => error.to_string(),
            })?;
        if let Some(mut stdin) = child.stdin.take() {
            // One that ends without reading says why in its answer.
            _ = stdin.write_all(input.as_bytes());
        }
        let reader = child.stdout.take().map(|stdout| {
            std::thread::spawn(move || {
                let mut output = Vec::new();
                _ = stdout.take(OUTPUT_MAX).read_to_end(&mut output);
                output
            })
        });
        let start = Instant::now();
        let status = loop {
            match child.try_wait().map_err(|error| error.to_string())? {
                Some(status) => break status,
                None if start.elapsed() < PATIENCE && self.cancel.sleep(POLL).is_ok() => {}
                None => {
                    _ = child.kill();
                    _ = child.wait();
                    return Err("it took too long".into());
                }
            }
        };
        let output = reader.and_then(|reader| reader.join().ok()).unwrap_or_default();
        let output = String::from_utf8_lossy(&output).into_owned();
        match (status.success(), clean(&output)) {
            (true, _) => Ok(output),
            (false, said) if said.is_empty() => Err("it gave no reason".into()),
            (false, said) => Err(said),
        }
    }
}
