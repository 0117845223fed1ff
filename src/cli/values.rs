//! The values of flags: text in, typed value or a sentence that says what was expected.
//!
//! clap puts the flag's name and the text before the sentence.

use std::net::IpAddr;
use std::str::FromStr;

use clap::builder::{PossibleValuesParser, TypedValueParser};

use crate::request::IsolationChoice;

/// How a RUN is isolated.
pub(super) const ISOLATIONS: [(&str, IsolationChoice); 5] = [
    ("auto", IsolationChoice::Auto),
    ("namespaces", IsolationChoice::Namespaces),
    ("chroot", IsolationChoice::Chroot),
    ("inplace", IsolationChoice::Inplace),
    ("none", IsolationChoice::None),
];

/// One of a few words.
pub(super) fn choice<T: Clone + Send + Sync + 'static, const N: usize>(
    words: [(&'static str, T); N],
) -> impl TypedValueParser<Value = T> {
    PossibleValuesParser::new(words.each_ref().map(|(word, _)| *word)).try_map(move |text| {
        let known = words.iter().find(|(word, _)| *word == text);
        known.map(|(_, value)| value.clone()).ok_or("unknown word")
    })
}

/// The words that Go's strconv.ParseBool knows, since kaniko's flags take them.
pub(super) fn switch(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err("expected true or false".into()),
    }
}

/// `NAME=VALUE`; the value may be empty.
pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".into()),
    }
}

/// `NAME=VALUE`, or `NAME` for the environment's value.
pub(super) fn build_arg(text: &str) -> Result<(String, Option<String>), String> {
    match text.split_once('=') {
        Some(_) => pair(text).map(|(name, value)| (name, Some(value))),
        None if text.is_empty() => Err("expected NAME=VALUE or NAME".into()),
        None => Ok((text.to_owned(), None)),
    }
}

/// The name of an image; what exactly is in it, the registry part checks.
pub(super) fn image_name(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("the name is empty; is the variable in it set?".into());
    }
    if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err("a name has no blanks in it".into());
    }
    Ok(text.to_owned())
}

/// `HOST` or `HOST:PORT`.
pub(super) fn host(text: &str) -> Result<String, String> {
    let bare = !text.is_empty() && !text.contains(['/', '=', ' ']);
    bare.then(|| text.to_owned()).ok_or("expected a host or host:port, without https://".into())
}

/// `HOST=PATH`.
pub(super) fn host_path(text: &str) -> Result<(String, String), String> {
    let (name, path) = text.split_once('=').ok_or("expected HOST=FILE")?;
    if path.is_empty() {
        return Err("expected HOST=FILE".into());
    }
    Ok((host(name)?, path.to_owned()))
}

/// `HOST=CERTIFICATE,KEY`.
pub(super) fn host_certificate(text: &str) -> Result<(String, String, String), String> {
    let expected = "expected HOST=CERTIFICATE,KEY";
    let (name, paths) = text.split_once('=').ok_or(expected)?;
    match paths.split_once(',') {
        Some((certificate, key)) if !certificate.is_empty() && !key.is_empty() => {
            Ok((host(name)?, certificate.to_owned(), key.to_owned()))
        }
        _ => Err(expected.into()),
    }
}

/// A registry that stands in for another: `[http[s]://]HOST[:PORT][/PREFIX]`. Docker's own setting
/// is an address with its scheme, kaniko's one without.
pub(super) fn mirror(text: &str) -> Result<String, String> {
    let name = text.trim_end_matches('/');
    let bare = name.strip_prefix("https://").or_else(|| name.strip_prefix("http://"));
    let bare = bare.unwrap_or(name);
    if bare.is_empty() || bare.contains("://") || bare.contains([' ', '=']) {
        return Err("expected a host or host:port, perhaps with http:// or https://".into());
    }
    Ok(name.to_owned())
}

/// `HOST=MIRROR`, several separated by semicolons.
pub(super) fn registry_map(text: &str) -> Result<Vec<(String, String)>, String> {
    let entry = |entry: &str| {
        let (from, to) = entry.split_once('=').ok_or("expected HOST=MIRROR")?;
        Ok((host(from)?, mirror(to)?))
    };
    text.split(';').filter(|part| !part.is_empty()).map(entry).collect()
}

/// `NAME:ADDRESS` or `NAME=ADDRESS`; an IPv6 address may stand in brackets, as Docker has it.
pub(super) fn host_address(text: &str) -> Result<(String, String), String> {
    let expected = "expected NAME:ADDRESS, e.g. registry.local:10.0.0.2";
    let (name, address) = text.split_once(['=', ':']).ok_or(expected)?;
    if name.is_empty() || name.contains(char::is_whitespace) {
        return Err(expected.into());
    }
    let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let address = bare.unwrap_or(address);
    if address == "host-gateway" {
        return Err("there is no host-gateway without a daemon; write the address".into());
    }
    let address: IpAddr =
        address.parse().map_err(|_| format!("`{address}` is not an IP address"))?;
    Ok((name.to_owned(), address.to_string()))
}

/// A size as Docker writes it: `67108864`, `64m`, `64MB`, `1g`; units are powers of 1024.
pub(super) fn bytes(text: &str) -> Result<u64, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let unit = match text[digits..].trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        _ => 0,
    };
    let number: u64 = text[..digits].parse().unwrap_or(0);
    let bytes = number.checked_mul(unit).filter(|bytes| *bytes > 0);
    bytes.ok_or_else(|| "expected a size such as 64m or 1g".into())
}

/// A whole number.
pub(super) fn number<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| "expected a number".into())
}

/// A number of threads.
pub(super) fn threads(text: &str) -> Result<usize, String> {
    let threads = text.parse().ok().filter(|threads| (1..=1024).contains(threads));
    threads.ok_or_else(|| "expected a number from 1 to 1024".into())
}

/// Seconds since 1970, not negative.
pub(super) fn epoch(text: &str) -> Result<i64, String> {
    let seconds = text.parse().ok().filter(|seconds| *seconds >= 0);
    seconds.ok_or_else(|| "expected seconds since 1970-01-01, e.g. 1700000000".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, expected) in [
            ("1", Some(1)),
            ("64m", Some(64 << 20)),
            ("64MB", Some(64 << 20)),
            ("2 GiB", Some(2 << 30)),
            ("", None),
            ("0", None),
            ("m", None),
            ("1x", None),
            ("-1m", None),
            ("99999999999g", None),
        ] {
            assert_eq!(bytes(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn addresses() {
        for (text, expected) in [
            ("db:10.0.0.2", Some(("db", "10.0.0.2"))),
            ("db=10.0.0.2", Some(("db", "10.0.0.2"))),
            ("db:::1", Some(("db", "::1"))),
            ("db:[::1]", Some(("db", "::1"))),
            ("db:[::1", None),
            ("db", None),
            (":10.0.0.2", None),
            ("d b:10.0.0.2", None),
            ("db:10.0.0.2\n127.0.0.1 evil", None),
            ("db:host-gateway", None),
        ] {
            let expected = expected.map(|(name, address)| (name.to_owned(), address.to_owned()));
            assert_eq!(host_address(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn maps_and_hosts() {
        let owned = |(from, to): &(&str, &str)| ((*from).to_owned(), (*to).to_owned());
        for (text, expected) in [
            ("a=b", Some(vec![("a", "b")])),
            ("a=b/p/;a=c;", Some(vec![("a", "b/p"), ("a", "c")])),
            ("a", None),
            ("a=ftp://b", None),
            ("a/b=c", None),
            ("a=", None),
        ] {
            let expected = expected.map(|map| map.iter().map(owned).collect::<Vec<_>>());
            assert_eq!(registry_map(text).ok(), expected, "{text}");
        }
        assert!(host_path("a:5000=/ca.pem").is_ok());
        assert!(host_path("a=").is_err() && host_path("=x").is_err());
        assert!(host_certificate("a=/c,/k").is_ok());
        assert!(host_certificate("a=/c").is_err() && host_certificate("a=,/k").is_err());
    }
}
