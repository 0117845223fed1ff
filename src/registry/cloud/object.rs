//! Names of objects in the clouds' stores.

use std::fmt;

use reqwest::Url;

/// Where Microsoft's clouds keep blobs, after the name of the account.
pub(super) const AZURE: [&str; 4] = [
    ".blob.core.windows.net",
    ".blob.core.chinacloudapi.cn",
    ".blob.core.cloudapi.de",
    ".blob.core.usgovcloudapi.net",
];

/// An object of a cloud's store. `Display` shows no secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Object {
    /// `s3://bucket/key`.
    S3 {
        /// The bucket's name.
        bucket: String,
        /// The object's, without a leading slash.
        key: String,
    },
    /// `gs://bucket/name`.
    Google {
        /// The bucket's name.
        bucket: String,
        /// The object's, without a leading slash.
        name: String,
    },
    /// A blob, by its address. A signature in it (SAS) is all that it needs.
    Azure {
        /// `https://account.blob.core.windows.net/container/blob`.
        address: String,
    },
}

impl Object {
    /// Reads `s3://bucket/key`, `gs://bucket/name` or the https address of one of Azure's blobs.
    /// `None` where a text is nothing of the kind.
    ///
    /// # Errors
    /// What is missing or wrong; ends a sentence, and quotes nothing that may be secret.
    pub fn parse(text: &str) -> Option<Result<Self, &'static str>> {
        if let Some(rest) = text.strip_prefix("s3://") {
            return Some(split(rest).map(|(bucket, key)| Self::S3 { bucket, key }));
        }
        if let Some(rest) = text.strip_prefix("gs://") {
            return Some(split(rest).map(|(bucket, name)| Self::Google { bucket, name }));
        }
        let url = Url::parse(text).ok().filter(|url| url.scheme() == "https")?;
        let host = url.host_str()?;
        let account = AZURE.iter().find_map(|store| host.strip_suffix(store))?;
        Some(match url.path().trim_start_matches('/').split_once('/') {
            _ if account.is_empty() => Err("has no account before the host"),
            _ if !url.username().is_empty() || url.password().is_some() => {
                Err("has a user or a password before its host, which Azure does not take")
            }
            Some((container, blob)) if !container.is_empty() && !blob.is_empty() => {
                Ok(Self::Azure { address: text.to_owned() })
            }
            _ => Err("names no blob: it takes a container and a blob after the host"),
        })
    }
}

/// Bucket and name.
fn split(rest: &str) -> Result<(String, String), &'static str> {
    let (bucket, name) = rest.split_once('/').unwrap_or((rest, ""));
    let usual = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if bucket.is_empty() {
        return Err("names no bucket");
    }
    if !bucket.chars().all(usual) {
        return Err("names a bucket with a character that no bucket's name has");
    }
    if name.is_empty() {
        return Err("names a bucket, but no object in it");
    }
    Ok((bucket.to_owned(), name.to_owned()))
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::S3 { bucket, key } => write!(f, "s3://{bucket}/{key}"),
            Self::Google { bucket, name } => write!(f, "gs://{bucket}/{name}"),
            Self::Azure { address } => {
                f.write_str(address.split(['?', '#']).next().unwrap_or_default())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_read_and_shown() {
        for (text, shown) in [
            ("s3://my.bucket/a b/ü.tar.gz", "s3://my.bucket/a b/ü.tar.gz"),
            ("s3://b/a?b#c", "s3://b/a?b#c"),
            ("gs://b_1/x.tar", "gs://b_1/x.tar"),
            (
                "https://a.blob.core.windows.net/c/d/x.tgz?sv=1&sig=geheim",
                "https://a.blob.core.windows.net/c/d/x.tgz",
            ),
            (
                "https://a.blob.core.chinacloudapi.cn/c/x",
                "https://a.blob.core.chinacloudapi.cn/c/x",
            ),
            ("https://a.blob.core.cloudapi.de/c/x", "https://a.blob.core.cloudapi.de/c/x"),
            (
                "https://a.blob.core.usgovcloudapi.net/c/x",
                "https://a.blob.core.usgovcloudapi.net/c/x",
            ),
        ] {
            let found = Object::parse(text).expect(text).expect(text);
            assert_eq!(found.to_string(), shown);
        }
        for text in [
            "https://h/c/x",
            "https://blob.core.windows.net.evil/c/x",
            "b/c",
            "http://a.blob.core.windows.net/c/x",
        ] {
            assert_eq!(Object::parse(text), None, "{text}");
        }
        for (text, why) in [
            ("s3://b", "no object in it"),
            ("s3://b/", "no object in it"),
            ("gs:///x", "no bucket"),
            ("s3://u:p@b/x", "a character that no bucket"),
            ("https://a.blob.core.windows.net/c", "names no blob"),
            ("https://u:p@a.blob.core.windows.net/c/x", "a password before its host"),
        ] {
            let error = Object::parse(text).expect(text).expect_err(text);
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
