//! Signature Version 4
//! (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>).

use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};
use reqwest::{Method, Url};
use ring::hmac;

use super::Keys;
use crate::digest::Digest;
use crate::registry::transport::host_of;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// Whose signature counts where, and when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scope<'a> {
    pub(super) region: &'a str,
    /// As the service calls itself: `s3`, `ecr`, `sts`.
    pub(super) service: &'a str,
    /// `20130524T000000Z`, in UTC.
    pub(super) time: &'a str,
}

/// What is signed.
#[derive(Debug)]
pub(super) struct Signed<'a> {
    pub(super) method: &'a Method,
    pub(super) url: &'a Url,
    /// All but Host and the date; in lower case.
    pub(super) headers: &'a [(HeaderName, String)],
    pub(super) body: &'a [u8],
}

/// The headers that make a request a signed one, among them Authorization.
pub(super) fn sign(
    request: &Signed<'_>,
    keys: &Keys,
    scope: Scope<'_>,
) -> Vec<(HeaderName, HeaderValue)> {
    let date = HeaderName::from_static("x-amz-date");
    let mut added = vec![(date, scope.time.to_owned())];
    if scope.service == "s3" {
        let hash = HeaderName::from_static("x-amz-content-sha256");
        added.push((hash, Digest::of(request.body).hex()));
    }
    if let Some(token) = &keys.token {
        let name = HeaderName::from_static("x-amz-security-token");
        added.push((name, token.expose().to_owned()));
    }
    let mut all: Vec<(String, &str)> = request
        .headers
        .iter()
        .chain(&added)
        .map(|(name, value)| (name.as_str().to_owned(), value.trim()))
        .collect();
    let host = host_of(request.url);
    all.push(("host".to_owned(), &host));
    all.sort();
    let names: Vec<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
    let names = names.join(";");
    let lines: String = all.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    let canonical = format!(
        "{}\n{}\n{}\n{lines}\n{names}\n{}",
        request.method,
        request.url.path(),
        canonical_query(request.url),
        Digest::of(request.body).hex()
    );
    let day = scope.time.get(..8).unwrap_or_default();
    let place = format!("{day}/{}/{}/aws4_request", scope.region, scope.service);
    let to_sign =
        format!("{ALGORITHM}\n{}\n{place}\n{}", scope.time, Digest::of(canonical.as_bytes()).hex());
    let signature = hex(&mac(&signing_key(keys, day, scope), &to_sign));
    let authorization = format!(
        "{ALGORITHM} Credential={}/{place}, SignedHeaders={names}, Signature={signature}",
        keys.id
    );
    added.push((AUTHORIZATION, authorization));
    let secret = |name: &HeaderName| *name == AUTHORIZATION || name == "x-amz-security-token";
    let headers = added.into_iter().filter_map(|(name, value)| {
        let mut value = HeaderValue::from_str(&value).ok()?;
        value.set_sensitive(secret(&name));
        Some((name, value))
    });
    headers.collect()
}

fn signing_key(keys: &Keys, day: &str, scope: Scope<'_>) -> Vec<u8> {
    let first = format!("AWS4{}", keys.secret.expose()).into_bytes();
    let steps = [day, scope.region, scope.service, "aws4_request"];
    steps.iter().fold(first, |key, step| mac(&key, step))
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    hmac::sign(&key, text.as_bytes()).as_ref().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The query's pairs, in the order of their encoded names.
fn canonical_query(url: &Url) -> String {
    let encoded = url.query_pairs().map(|(name, value)| (encode(&name, ""), encode(&value, "")));
    let mut pairs: Vec<(String, String)> = encoded.collect();
    pairs.sort();
    let pairs: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join("&")
}

/// Percent-encodes all but letters, digits, `-._~` and what `kept` has.
pub(super) fn encode(text: &str, kept: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match char::from(byte) {
            plain if plain.is_ascii_alphanumeric() || "-._~".contains(plain) => encoded.push(plain),
            plain if kept.contains(plain) => encoded.push(plain),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// A time in UTC, as signatures have it.
pub(super) fn time(at: std::time::SystemTime) -> String {
    let at = jiff::Timestamp::try_from(at).unwrap_or_default();
    at.strftime("%Y%m%dT%H%M%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::{CONTENT_TYPE, RANGE};

    fn keys(id: &str, secret: &str) -> Keys {
        Keys {
            id: id.into(),
            secret: secret.into(),
            token: None,
            until: None,
            source: String::new(),
            of_instance: false,
        }
    }

    fn signature(
        url: &str,
        headers: &[(HeaderName, String)],
        keys: &Keys,
        scope: Scope<'_>,
    ) -> String {
        let url = url.parse().expect("a URL");
        let request = Signed { method: &Method::GET, url: &url, headers, body: b"" };
        let signed = sign(&request, keys, scope);
        let (_, value) =
            signed.iter().find(|(name, _)| *name == AUTHORIZATION).expect("a signature");
        assert!(value.is_sensitive());
        value.to_str().expect("text").to_owned()
    }

    /// The numbers are those of Amazon's documentation of S3 ("Example: GET Object"), of IAM
    /// ("ListUsers") and of the Signature Version 4 Test Suite.
    #[test]
    fn published_examples() {
        let s3 = keys("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
        let scope = Scope { region: "us-east-1", service: "s3", time: "20130524T000000Z" };
        let range = [(RANGE, "bytes=0-9".to_owned())];
        let found =
            signature("https://examplebucket.s3.amazonaws.com/test.txt", &range, &s3, scope);
        assert_eq!(
            found,
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, \
             SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, \
             Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
        );
        let suite = keys("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
        let scope = Scope { region: "us-east-1", service: "service", time: "20150830T123600Z" };
        let url = "https://example.amazonaws.com/?Param2=value2&Param1=value1";
        let found = signature(url, &[], &suite, scope);
        let expected = "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500";
        assert!(found.ends_with(expected), "{found}");
        let iam = Scope { service: "iam", ..scope };
        let form = [(CONTENT_TYPE, "application/x-www-form-urlencoded; charset=utf-8".to_owned())];
        let url = "https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08";
        let found = signature(url, &form, &suite, iam);
        let expected = "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7";
        assert!(found.ends_with(expected), "{found}");
    }

    #[test]
    fn names_are_encoded_byte_by_byte() {
        assert_eq!(encode("a b/ü~+", "/"), "a%20b/%C3%BC~%2B");
        let at = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_369_353_600);
        assert_eq!(time(at), "20130524T000000Z");
    }
}
