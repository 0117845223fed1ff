//! The `WWW-Authenticate` header: how a registry wants to be asked.
//!
//! Source: RFC 9110 section 11 for the grammar; distribution's token.md for the bearer parameters.

/// One scheme of a `WWW-Authenticate` header that kiln can answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    /// User and password with each request.
    Basic,
    /// A token from another server.
    Bearer(Bearer),
}

/// Where a token comes from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Bearer {
    /// URL of the token server.
    pub realm: String,
    /// What the registry calls itself there.
    pub service: Option<String>,
    /// What the refused request needed; scopes separated by spaces.
    pub scope: Option<String>,
    /// Why an earlier token was not enough, e.g. `insufficient_scope`.
    pub error: Option<String>,
}

/// Picks the best challenge of all headers: bearer before basic, as Docker does. Challenges of
/// unknown schemes and bearer challenges without a realm are skipped.
pub(super) fn pick<'a>(headers: impl IntoIterator<Item = &'a str>) -> Option<Challenge> {
    let mut basic = None;
    for (scheme, parameters) in headers.into_iter().flat_map(parse) {
        if scheme.eq_ignore_ascii_case("bearer") {
            if let Some(bearer) = Bearer::from_parameters(parameters) {
                return Some(Challenge::Bearer(bearer));
            }
        } else if scheme.eq_ignore_ascii_case("basic") {
            basic = Some(Challenge::Basic);
        }
    }
    basic
}

impl Bearer {
    fn from_parameters(parameters: Vec<(String, String)>) -> Option<Self> {
        let mut bearer = Self::default();
        for (name, value) in parameters {
            match name.to_ascii_lowercase().as_str() {
                "realm" => bearer.realm = value,
                "service" => bearer.service = Some(value).filter(|v| !v.is_empty()),
                "scope" => bearer.scope = Some(value).filter(|v| !v.is_empty()),
                "error" => bearer.error = Some(value),
                _ => {}
            }
        }
        (!bearer.realm.is_empty()).then_some(bearer)
    }
}

type Parsed = (String, Vec<(String, String)>);

/// Splits a header into its challenges. Commas separate both challenges and parameters, so a word
/// is a scheme unless `=` follows it.
fn parse(header: &str) -> Vec<Parsed> {
    let mut challenges: Vec<Parsed> = Vec::new();
    let mut rest = header;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let word_end = rest.find(|c: char| !is_token(c)).unwrap_or(rest.len());
        if word_end == 0 {
            return challenges; // the end, or something that is no challenge
        }
        let (word, after) = rest.split_at(word_end);
        match after.trim_start().strip_prefix('=') {
            Some(value) => {
                let (value, after) = parse_value(value.trim_start());
                if let Some((_, parameters)) = challenges.last_mut() {
                    parameters.push((word.to_owned(), value));
                }
                rest = after;
            }
            None => {
                challenges.push((word.to_owned(), Vec::new()));
                rest = after;
            }
        }
    }
}

/// A token or a quoted string. An unclosed quote ends with the header.
fn parse_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        // Not only token characters: some registries leave URLs unquoted.
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            other => value.push(other),
        }
    }
    (value, "")
}

fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Option<Challenge> {
        Some(Challenge::Bearer(Bearer {
            realm: realm.into(),
            service: service.map(str::to_owned),
            scope: scope.map(str::to_owned),
            error: None,
        }))
    }

    #[test]
    fn real_headers_are_understood() {
        let hub = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/python:pull""#;
        for (headers, expected) in [
            (
                vec![hub],
                bearer(
                    "https://auth.docker.io/token",
                    Some("registry.docker.io"),
                    Some("repository:library/python:pull"),
                ),
            ),
            (vec![r#"Basic realm="Registry""#], Some(Challenge::Basic)),
            (vec!["basic"], Some(Challenge::Basic)),
            (vec![r#"BEARER Realm="https://a/t""#], bearer("https://a/t", None, None)),
            (
                vec![r#"Bearer realm = "https://a/t" , service = "x y""#],
                bearer("https://a/t", Some("x y"), None),
            ),
            (vec!["Bearer realm=https://a/t,service=s"], bearer("https://a/t", Some("s"), None)),
            (
                vec![
                    r#"Bearer realm="https://a/t",scope="repository:a:pull,push repository:b:pull""#,
                ],
                bearer("https://a/t", None, Some("repository:a:pull,push repository:b:pull")),
            ),
            (
                vec![r#"Basic realm="x", Bearer realm="https://a/t""#],
                bearer("https://a/t", None, None),
            ),
            (
                vec![r#"Basic realm="x""#, r#"Bearer realm="https://a/t""#],
                bearer("https://a/t", None, None),
            ),
            (vec![r#"Negotiate abc==, Basic realm="x""#], Some(Challenge::Basic)),
            (vec![r#"Bearer realm="a\"b""#], bearer("a\"b", None, None)),
            (vec![r#"Bearer realm="https://a/t"#], bearer("https://a/t", None, None)),
            (vec![r#"Bearer service="s""#], None),
            (vec![r#"Bearer realm="""#], None),
            (vec!["Digest realm=x"], None),
            (vec![""], None),
            (vec!["=,=,\"\"\""], None),
        ] {
            assert_eq!(pick(headers.iter().copied()), expected, "{headers:?}");
        }
    }

    #[test]
    fn the_reason_of_a_refusal_is_kept() {
        let header = r#"Bearer realm="https://a/t",error="insufficient_scope""#;
        let Some(Challenge::Bearer(bearer)) = pick([header]) else { panic!("bearer") };
        assert_eq!(bearer.error.as_deref(), Some("insufficient_scope"));
    }
}
