//! Names that look as if their values were secret.
//!
//! Source: BuildKit's dockerfile2llb/validations.go.

/// A part of a name, between underscores, that says so.
const SECRET: [&str; 10] = [
    "apikey",
    "auth",
    "credential",
    "credentials",
    "key",
    "password",
    "pword",
    "passwd",
    "secret",
    "token",
];

/// A part that says that the value is about a secret and none itself.
const HARMLESS: [&str; 3] = ["public", "file", "version"];

/// Whether a variable of this name should be no variable.
pub(super) fn is_like_a_secret(name: &str) -> bool {
    let has = |words: &[&str]| {
        name.split('_').any(|part| words.iter().any(|word| part.eq_ignore_ascii_case(word)))
    };
    has(&SECRET) && !has(&HARMLESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_name() {
        for (name, secret) in [
            ("API_KEY", true),
            ("apikey", true),
            ("DATABASE_PASSWORD", true),
            ("secret_MESSAGE", true),
            ("AUTH", true),
            ("MONKEY", false),
            ("api-key", false),
            ("PUBLIC_KEY", false),
            ("TOKEN_FILE", false),
            ("KEY_VERSION", false),
            ("", false),
        ] {
            assert_eq!(is_like_a_secret(name), secret, "{name}");
        }
    }
}
