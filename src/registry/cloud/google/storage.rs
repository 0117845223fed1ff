//! Addresses of objects (cloud.google.com/storage/docs/downloading-objects).

use reqwest::Url;

use crate::registry::cloud::CloudAnswer;

const GOOGLES: &str = "https://storage.googleapis.com";

/// The address of an object's content. Its name is one part of the path, whatever is in it.
pub(super) fn media(emulator: Option<&str>, bucket: &str, name: &str) -> CloudAnswer<Url> {
    let base = match emulator {
        Some(host) if host.contains("://") => host.to_owned(),
        // As Google's library for Go has it.
        Some(host) => format!("http://{host}"),
        None => GOOGLES.to_owned(),
    };
    let unusable = || format!("STORAGE_EMULATOR_HOST is no URL: `{base}`");
    let mut url = Url::parse(&base).ok().filter(|url| url.has_host()).ok_or_else(unusable)?;
    if [bucket, name].iter().any(|part| ["", ".", ".."].contains(part)) {
        // Google has no such names, and a path with them would lead elsewhere.
        return Err(format!("`gs://{bucket}/{name}` names no object"));
    }
    let parts = ["download", "storage", "v1", "b", bucket, "o", name];
    let path: Vec<String> = parts.into_iter().map(escape).collect();
    url.set_path(&path.join("/"));
    url.set_query(Some("alt=media"));
    Ok(url)
}

/// Percent-encodes all but RFC 3986's unreserved characters.
fn escape(part: &str) -> String {
    let mut text = String::new();
    for byte in part.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                text.push(byte.into());
            }
            other => text += &format!("%{other:02X}"),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_one_part_of_the_path() {
        let base = "https://storage.googleapis.com/download/storage/v1/b/bucket/o/";
        for (name, expected) in [
            ("context.tar.gz", "context.tar.gz"),
            ("a/b c/d.tar", "a%2Fb%20c%2Fd.tar"),
            ("a?b#c%2F", "a%3Fb%23c%252F"),
            ("../../x", "..%2F..%2Fx"),
            ("ü+&=", "%C3%BC%2B%26%3D"),
        ] {
            let url = media(None, "bucket", name).expect("a URL");
            assert_eq!(url.as_str(), format!("{base}{expected}?alt=media"), "{name}");
        }
        for (bucket, name) in [("b", ""), ("b", ".."), ("..", "o"), ("", "o")] {
            assert!(media(None, bucket, name).is_err(), "{bucket} {name}");
        }
    }

    #[test]
    fn an_emulator_takes_google_s_place() {
        for host in ["127.0.0.1:9023", "http://127.0.0.1:9023", "http://127.0.0.1:9023/"] {
            let url = media(Some(host), "b", "o").expect("a URL");
            let expected = "http://127.0.0.1:9023/download/storage/v1/b/b/o/o?alt=media";
            assert_eq!(url.as_str(), expected);
        }
        assert!(media(Some("http://"), "b", "o").is_err());
    }
}
