//! What a registry's answer says: statuses, error bodies, Retry-After.

use std::time::{Duration, SystemTime};

use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Response, StatusCode};
use serde_json::Value;

use super::pool::{SILENCE, connection_error, timed_out};
use crate::registry::error::RegistryError;

/// Largest error body that is read.
const ERROR_MAX: usize = 64 << 10;
/// Longest text of a registry that is shown.
const SAID_MAX: usize = 400;

/// Reads a whole body.
pub(in crate::registry) async fn read_body(
    mut response: Response,
    host: &str,
    limit: usize,
    action: &str,
) -> Result<Vec<u8>, RegistryError> {
    let too_large = || RegistryError::Protocol {
        host: host.to_owned(),
        action: action.to_owned(),
        reason: format!("its body is larger than {limit} bytes"),
    };
    let announced = response.content_length().unwrap_or(0);
    if announced > limit as u64 {
        return Err(too_large());
    }
    let mut body = Vec::new();
    loop {
        let chunk = tokio::time::timeout(SILENCE, response.chunk());
        let chunk = chunk.await.map_err(|_| timed_out(host))?;
        let Some(chunk) = chunk.map_err(|error| connection_error(host, "", error))? else {
            return Ok(body);
        };
        if body.len() + chunk.len() > limit {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
}

/// The registry's words in an error response, as they came; empty where there are none. Whoever shows
/// them looks for secrets in them and then cleans them: a cut would leave half a secret.
pub(super) async fn words(mut response: Response) -> String {
    let mut body = Vec::new();
    // What goes wrong here must not hide the status that is the error.
    while let Ok(Ok(Some(chunk))) = tokio::time::timeout(SILENCE, response.chunk()).await {
        body.extend_from_slice(&chunk);
        if body.len() > ERROR_MAX {
            body.truncate(ERROR_MAX);
            break;
        }
    }
    said(&body)
}

/// Finds the words in an error body: distribution's `errors`, OAuth2's `error`, and the forms
/// of Docker Hub and of proxies.
fn said(body: &[u8]) -> String {
    let text = match serde_json::from_slice::<Value>(body) {
        Ok(value) => match value.get("errors").and_then(Value::as_array) {
            Some(errors) => errors.iter().map(one_error).collect::<Vec<_>>().join("; "),
            None => first_text(&value, &["error_description", "details", "message", "error"]),
        },
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    };
    let page = text.trim_start().starts_with('<');
    if page { String::new() } else { text }
}

fn one_error(error: &Value) -> String {
    let code = first_text(error, &["code"]);
    let message = first_text(error, &["message"]);
    // GitLab and Harbor put what matters there, e.g. "unknown media type: …".
    let detail = match error.get("detail") {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    let known = ["", "{}", "[]", message.as_str()].contains(&detail.as_str());
    let detail = if known { String::new() } else { format!(" ({detail})") };
    match (code.is_empty(), message.is_empty()) {
        (false, false) => format!("{code}: {message}{detail}"),
        _ => format!("{code}{message}{detail}"),
    }
}

fn first_text(value: &Value, names: &[&str]) -> String {
    let found = names.iter().find_map(|name| value.get(name).and_then(Value::as_str));
    found.unwrap_or_default().to_owned()
}

/// One line without control characters, or those that reorder text, and of a sane length.
pub(in crate::registry) fn clean(text: &str) -> String {
    let reorders = |c: char| matches!(c, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let mut line = String::new();
    let mut characters = text.trim().chars().filter(|c| !reorders(*c));
    for character in characters.by_ref().take(SAID_MAX) {
        match character {
            '\n' | '\t' => line.push(' '),
            other if other.is_control() => {}
            other => line.push(other),
        }
    }
    if characters.next().is_some() {
        line.push('…');
    }
    line
}

/// The pause that a response asks for: seconds, or a date.
pub(in crate::registry) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(SystemTime::now()).unwrap_or_default())
}

/// Whether a response says that it moved, and where to.
pub(in crate::registry) fn redirect(response: &Response) -> Option<&str> {
    let moved = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
    let location = response.headers().get(reqwest::header::LOCATION);
    location.filter(|_| moved).and_then(|location| location.to_str().ok())
}

/// Whether a status ends an operation well.
pub(in crate::registry) fn is_one_of(status: StatusCode, expected: &[u16]) -> bool {
    expected.contains(&status.as_u16())
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::HeaderValue;

    #[test]
    fn words_are_found_and_cleaned() {
        for (body, expected) in [
            (r#"{"errors":[{"code":"DENIED","message":"no"}]}"#, "DENIED: no"),
            (r#"{"errors":[{"code":"A","message":"b","detail":"c"},{"code":"D"}]}"#, "A: b (c); D"),
            (
                r#"{"errors":[{"code":"A","message":"b","detail":{"Tag":"x"}}]}"#,
                r#"A: b ({"Tag":"x"})"#,
            ),
            (r#"{"errors":[{"code":"A","message":"b","detail":null}]}"#, "A: b"),
            (r#"{"errors":[]}"#, ""),
            (r#"{"errors":["x"]}"#, ""),
            (r#"{"details":"incorrect username or password"}"#, "incorrect username or password"),
            (r#"{"error":"invalid_grant","error_description":"expired"}"#, "expired"),
            (r#"{"message":"forbidden"}"#, "forbidden"),
            (
                "Client sent an HTTP request\r\nto an HTTPS server.\n",
                "Client sent an HTTP request to an HTTPS server.",
            ),
            ("<html><body>403</body></html>", ""),
            ("a\u{1b}[31mb\u{202e}c\0", "a[31mbc"),
            ("", ""),
        ] {
            assert_eq!(clean(&said(body.as_bytes())), expected, "{body}");
        }
        assert_eq!(clean(&"x".repeat(9999)).chars().count(), SAID_MAX + 1);
    }

    #[test]
    fn pauses_are_read_from_seconds_and_dates() {
        let asked = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_str(text).expect("a header"));
            retry_after(&headers)
        };
        assert_eq!(asked("7"), Some(Duration::from_secs(7)));
        assert_eq!(asked("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
        assert!(asked("Fri, 31 Dec 9999 00:00:00 GMT") > Some(Duration::from_secs(1 << 30)));
        assert_eq!(asked("soon"), None);
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }
}
