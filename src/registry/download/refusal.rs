//! What an object store answers instead of an object.

use reqwest::Response;
use serde_json::Value;

use super::ACTION;
use crate::registry::cloud::{Object, SignedGet};
use crate::registry::error::{ObjectRefusal, RegistryError};
use crate::registry::transport::{clean, host_of, read_body, retry_after};
use crate::registry::xml;

/// Largest error body that is read.
const BODY_MAX: usize = 64 << 10;
/// A shorter text is in every sentence by chance.
const SECRET_MIN: usize = 8;

/// The error that an answer stands for.
pub(super) async fn of(object: &Object, signed: &SignedGet, response: Response) -> RegistryError {
    let (status, host) = (response.status().as_u16(), host_of(response.url()));
    let retry_after = retry_after(response.headers());
    let body = read_body(response, &host, BODY_MAX, ACTION).await.unwrap_or_default();
    let (identity, anonymous) = match &signed.identity {
        Ok(identity) => (identity.clone(), false),
        Err(reason) => (reason.clone(), true),
    };
    RegistryError::Object(Box::new(ObjectRefusal {
        object: object.to_string(),
        host,
        status,
        said: clean(&without_secrets(said(&body), signed)),
        identity,
        anonymous,
        retry_after,
    }))
}

/// `Code: message` of S3's and Azure's XML and of Google's JSON. All else in them is left out: some
/// quote what was signed.
fn said(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    if let Ok(value) = serde_json::from_str::<Value>(&text) {
        let error = value.get("error").unwrap_or(&value);
        let words = [error.get("status"), error.get("message")].into_iter().flatten();
        return words.filter_map(Value::as_str).collect::<Vec<_>>().join(": ");
    }
    let words = [xml::element(&text, "Code"), xml::element(&text, "Message")].into_iter().flatten();
    words.collect::<Vec<_>>().join(": ")
}

/// A store that quotes what it was shown would put it into a log.
fn without_secrets(said: String, signed: &SignedGet) -> String {
    let sensitive = signed.headers.iter().filter(|(_, value)| value.is_sensitive());
    let words = sensitive.filter_map(|(_, value)| {
        // Base64 ends in what also stands between words.
        value.to_str().ok()?.trim_end_matches('=').split([' ', '=', ':']).next_back()
    });
    let query = signed.url.query_pairs();
    let query = query.map(|(_, value)| value.trim_end_matches('=').to_owned());
    let mut secrets = words.map(str::to_owned).chain(query);
    let quoted = secrets.any(|word| word.len() >= SECRET_MIN && said.contains(&word));
    if quoted { "something that quotes the credentials".into() } else { said }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::{AUTHORIZATION, HeaderValue};

    #[test]
    fn stores_are_understood() {
        for (body, expected) in [
            (
                "<?xml version=\"1.0\"?>\n<Error><Code>NoSuchKey</Code><Message>It's &lt;gone&gt;\
                 </Message><Key>a</Key><StringToSign>secret</StringToSign></Error>",
                "NoSuchKey: It's <gone>",
            ),
            (
                "\u{feff}<Error><Code>AuthenticationFailed</Code><Message>Server failed.\nRequestId:1\
                 \nTime:2</Message><AuthenticationErrorDetail>x</AuthenticationErrorDetail></Error>",
                "AuthenticationFailed: Server failed.",
            ),
            (
                "<Error><Code>NoSuchBucket</Code><Message><![CDATA[a & b]]></Message></Error>",
                "NoSuchBucket: a & b",
            ),
            (
                r#"{"error":{"code":403,"message":"no access to the object","errors":[]}}"#,
                "no access to the object",
            ),
            ("<html>502</html>", ""),
            ("", ""),
        ] {
            assert_eq!(said(body.as_bytes()), expected, "{body}");
        }
    }

    #[test]
    fn what_was_shown_is_not_quoted() {
        let mut value = HeaderValue::from_static("Bearer secret-token");
        value.set_sensitive(true);
        let mut padded = HeaderValue::from_static("SharedKey account:cGFkZGVkIGtleQ==");
        padded.set_sensitive(true);
        let address = "https://a.blob.core.windows.net/c/b?sig=a%2Fsignature%3D";
        let signed = SignedGet {
            url: address.parse().expect("a URL"),
            headers: vec![(AUTHORIZATION, value), (AUTHORIZATION, padded)],
            identity: Ok("a token".into()),
        };
        for said in
            ["bad secret-token", "bad a/signature", "bad a/signature=", "bad cGFkZGVkIGtleQ=="]
        {
            assert!(without_secrets(said.into(), &signed).starts_with("something"), "{said}");
        }
        assert_eq!(without_secrets("no".into(), &signed), "no");
    }
}
