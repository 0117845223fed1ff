//! Credential helpers that keep logins: `docker-credential-NAME store`, `erase` and `list`.
//!
//! Source: docker/docker-credential-helpers, credentials/credentials.go.

use std::time::Duration;

use serde_json::{Value, json};

use super::helper::{self, Ended, NONE, name};
use super::source::Secret;
use super::store::StoreError;
use crate::cancel::Cancel;
use crate::registry::transport::clean;

/// A keyring may ask its owner for a password.
const PATIENCE: Duration = Duration::from_secs(120);
/// A piece of a password of so many characters is as bad as all of it.
const PIECE: usize = 8;

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
        let ended = self.run("store", login.to_string())?;
        // A helper that quotes what it was given would put it into a log.
        if !ended.success && quotes(&ended.output, password.expose()) {
            return Err(self.failed("its message quotes the password".into()));
        }
        self.said(ended).map(drop).map_err(|why| self.failed(why))
    }

    /// Says whether there was something.
    pub(super) fn erase(&self, server: &str) -> Result<bool, StoreError> {
        match self.said(self.run("erase", server.to_owned())?) {
            Ok(_) => Ok(true),
            Err(why) if why.to_ascii_lowercase().contains(NONE) => Ok(false),
            Err(why) => Err(self.failed(why)),
        }
    }

    /// The servers that it has logins for.
    pub(super) fn list(&self) -> Result<Vec<String>, StoreError> {
        let ended = self.run("list", String::new())?;
        let answer = self.said(ended).map_err(|why| self.failed(why))?;
        let servers: Option<Value> = serde_json::from_str(&answer).ok();
        let servers = servers.as_ref().and_then(Value::as_object);
        Ok(servers.map(|servers| servers.keys().cloned().collect()).unwrap_or_default())
    }

    pub(super) fn failed(&self, reason: String) -> StoreError {
        StoreError::Helper { program: name(self.program), reason }
    }

    fn run(&self, verb: &str, input: String) -> Result<Ended, StoreError> {
        let ended = helper::run(self.program, verb, input, PATIENCE, self.cancel);
        ended.map_err(|why| self.failed(why.to_string()))
    }

    /// What it printed, or why not.
    fn said(&self, ended: Ended) -> Result<String, String> {
        let output = String::from_utf8_lossy(&ended.output).into_owned();
        match (ended.success, clean(&output)) {
            (true, _) => Ok(output),
            (false, said) if said.is_empty() => Err("it gave no reason".into()),
            (false, said) => Err(said),
        }
    }
}

/// Whether an output has the password in it or a piece of it, as it is or as JSON spells it.
fn quotes(output: &[u8], password: &str) -> bool {
    let output = String::from_utf8_lossy(output);
    let json = json!(password).to_string();
    [password, json.trim_matches('"')].iter().any(|text| has_piece(&output, text))
}

fn has_piece(output: &str, text: &str) -> bool {
    let characters: Vec<char> = text.chars().collect();
    let length = characters.len().min(PIECE);
    length > 0
        && characters
            .windows(length)
            .any(|piece| output.contains(&piece.iter().collect::<String>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_a_password_are_found_in_every_spelling() {
        let password = "ge\"heim\\nis-lang";
        for (output, expected) in [
            ("no keyring", false),
            ("cannot store ge\"heim\\nis-lang", true),
            ("bad input: {\"Secret\":\"ge\\\"heim\\\\nis-lang\"}", true),
            ("bad input near `nis-lang`", true),
            ("bad input near `is-lang`", false),
            (r#"invalid: {"Secret":"ge\"heim"#, true),
        ] {
            assert_eq!(quotes(output.as_bytes(), password), expected, "{output}");
        }
        // Far beyond what would be shown, and beside bytes that are no text.
        let far = [&[0xff; 2000][..], b"nis-lang"].concat();
        assert!(quotes(&far, password));
        assert!(quotes(b"it is abc", "abc") && !quotes(b"it is", "abc") && !quotes(b"", ""));
    }
}
