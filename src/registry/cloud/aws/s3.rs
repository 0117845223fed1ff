//! Requests for objects of S3, and of what speaks its protocol.

use std::net::IpAddr;
use std::time::SystemTime;

use reqwest::{Method, Response, Url};

use super::hosts::{is_region, suffix};
use super::settings::AwsSettings;
use super::sigv4::{self, Scope, Signed, encode};
use super::{Aws, DEFAULT_REGION, nearby};
use crate::registry::cloud::{CloudAnswer, SignedGet};
use crate::registry::transport::{Pool, host_of, is_loopback};

/// Signs a request for an object; without keys it stays unsigned.
pub(super) async fn sign(
    aws: &Aws,
    http: &Pool,
    bucket: &str,
    key: &str,
) -> CloudAnswer<SignedGet> {
    let keys = aws.keys(http, None).await;
    let region = match (aws.remembered(bucket), aws.region(), &keys) {
        (Some(region), ..) => region,
        (None, Some(region), _) => region.to_owned(),
        (None, None, Ok(keys)) if keys.of_instance => {
            let asked = nearby::region(&aws.settings.metadata, http).await.ok();
            let region = asked.filter(|region| is_region(region));
            region.unwrap_or_else(|| DEFAULT_REGION.to_owned())
        }
        (None, None, _) => DEFAULT_REGION.to_owned(),
    };
    // So that only another one is news.
    aws.remember(bucket, &region);
    let url = address(&aws.settings, &region, bucket, key)?;
    let (headers, identity) = match keys {
        Ok(keys) => {
            let time = sigv4::time(SystemTime::now());
            let scope = Scope { region: &region, service: "s3", time: &time };
            let request = Signed { method: &Method::GET, url: &url, headers: &[], body: b"" };
            (sigv4::sign(&request, &keys, scope), Ok(keys.source))
        }
        Err(reason) => (Vec::new(), Err(reason)),
    };
    Ok(SignedGet { url, headers, identity })
}

/// Where an object is.
fn address(settings: &AwsSettings, region: &str, bucket: &str, key: &str) -> CloudAnswer<Url> {
    if key.split('/').any(|name| matches!(name, "." | "..")) {
        return Err("its key has a `.` or `..` between slashes, which no address can have".into());
    }
    let fips = if settings.use_fips { "-fips" } else { "" };
    let usual = || format!("https://s3{fips}.{region}.{}", suffix(region));
    let base = settings.endpoint("S3").map_or_else(usual, |own| match own.contains("://") {
        true => own.to_owned(),
        false => format!("https://{own}"),
    });
    let unusable = |error: &dyn std::fmt::Display| format!("`{base}` is no address of S3: {error}");
    let mut url = Url::parse(&base).map_err(|error| unusable(&error))?;
    let host = url.host_str().unwrap_or_default().to_owned();
    // A certificate for *.s3.… is for names without further dots, and an address has no names below it.
    let in_path = settings.path_style
        || (bucket.contains('.') && url.scheme() == "https")
        || bucket.bytes().any(|byte| byte.is_ascii_uppercase() || byte == b'_')
        || is_loopback(&host_of(&url))
        || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    let path = url.path().trim_end_matches('/').to_owned();
    if in_path {
        url.set_path(&format!("{path}/{bucket}/{}", encode(key, "/")));
    } else {
        url.set_host(Some(&format!("{bucket}.{host}"))).map_err(|error| unusable(&error))?;
        url.set_path(&format!("{path}/{}", encode(key, "/")));
    }
    Ok(url)
}

/// The region of a bucket that another one's server names.
pub(super) fn region_of(response: &Response) -> Option<String> {
    // A redirect; a signature for another region; and what requests without one get.
    if !matches!(response.status().as_u16(), 301 | 307 | 400 | 403) {
        return None;
    }
    let region = response.headers().get("x-amz-bucket-region")?.to_str().ok()?;
    is_region(region).then(|| region.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_where_amazon_says() {
        let plain = AwsSettings::default();
        let path = AwsSettings { path_style: true, ..AwsSettings::default() };
        let own = |endpoint: &str| AwsSettings {
            endpoints: [("S3".to_owned(), endpoint.to_owned())].into(),
            ..AwsSettings::default()
        };
        for (settings, region, bucket, key, expected) in [
            (&plain, "eu-west-1", "b", "a/c.tgz", "https://b.s3.eu-west-1.amazonaws.com/a/c.tgz"),
            (&plain, "cn-north-1", "b", "c", "https://b.s3.cn-north-1.amazonaws.com.cn/c"),
            (&plain, "eu-west-1", "a.b", "c", "https://s3.eu-west-1.amazonaws.com/a.b/c"),
            (&plain, "us-east-1", "Old_b", "c", "https://s3.us-east-1.amazonaws.com/Old_b/c"),
            (&path, "eu-west-1", "b", "c", "https://s3.eu-west-1.amazonaws.com/b/c"),
            (
                &plain,
                "us-east-1",
                "b",
                "a b/ü+?#%.tgz",
                "https://b.s3.us-east-1.amazonaws.com/a%20b/%C3%BC%2B%3F%23%25.tgz",
            ),
            (&own("http://127.0.0.1:9000/"), "x", "b", "c", "http://127.0.0.1:9000/b/c"),
            (&own("http://localhost:9000"), "x", "b", "c", "http://localhost:9000/b/c"),
            (&own("https://minio.test:9000/s3"), "x", "b", "c", "https://b.minio.test:9000/s3/c"),
            (&own("minio.test"), "x", "b", "c", "https://b.minio.test/c"),
            (&own("http://minio.test"), "x", "a.b", "c", "http://a.b.minio.test/c"),
        ] {
            let found = address(settings, region, bucket, key).expect(expected);
            assert_eq!(found.as_str(), expected);
        }
        assert!(address(&plain, "x", "b", "a/../c").is_err());
    }
}
