//! Addresses that cannot be read.

use crate::registry::error::RegistryError;

/// The error for one. It may have a password anywhere, as nobody can say what its parts are: only its
/// scheme is shown.
pub(in crate::registry) fn unreadable(address: &str) -> RegistryError {
    let scheme = address.trim_start().split_once("://").map_or("", |(scheme, _)| scheme);
    let known = ["http", "https", "s3", "gs", "ssh", "git", "file", "ftp"];
    let known = known.into_iter().find(|known| scheme.eq_ignore_ascii_case(known));
    RegistryError::Option {
        what: "address",
        value: known.map_or_else(|| "…".to_owned(), |scheme| format!("{scheme}://…")),
        reason: "it cannot be read".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_part_but_the_scheme_is_shown() {
        for (address, shown) in [
            ("https://user:geheim@[/x", "`https://…`"),
            ("HTTP://geheim:x@y z", "`http://…`"),
            ("user:geheim@host", "`…`"),
            ("geheim://x", "`…`"),
            ("", "`…`"),
        ] {
            let text = unreadable(address).to_string();
            assert!(text.contains(shown) && !text.contains("geheim"), "{address}: {text}");
        }
    }
}
