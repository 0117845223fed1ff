//! Who may read a blob: its address, a key, or an identity.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Url;
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};
use ring::hmac;

use super::AzureStorage;
use crate::registry::cloud::object::AZURE;
use crate::registry::cloud::{CloudAnswer, SignedGet};
use crate::registry::transport::{host_of, is_loopback};

/// Whom tokens for blobs are for, in all clouds.
pub(super) const RESOURCE: &str = "https://storage.azure.com/";
/// Identities need 2017-11-09 or later; this one is old enough for Azure Stack and emulators.
const VERSION: &str = "2020-04-08";
const VERSION_HEADER: HeaderName = HeaderName::from_static("x-ms-version");
const DATE_HEADER: HeaderName = HeaderName::from_static("x-ms-date");

/// Reads an address.
pub(super) fn parse(address: &str) -> CloudAnswer<Url> {
    // The address may hold a signature, so it is not shown.
    let url = Url::parse(address).ok().filter(Url::has_host);
    url.ok_or_else(|| "the blob's address is no URL".to_owned())
}

/// The version of the protocol that is spoken.
pub(super) fn version() -> (HeaderName, HeaderValue) {
    (VERSION_HEADER, HeaderValue::from_static(VERSION))
}

/// Whether a token may be shown there: to Microsoft's servers or this machine.
pub(super) fn may_see_tokens(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let own = AZURE.iter().any(|domain| host.ends_with(domain));
    own && url.scheme() == "https" || is_loopback(&host_of(url))
}

/// Whether there is a signature or key that makes a blob readable.
pub(super) enum Signed {
    Yes(SignedGet),
    /// What there is instead of them.
    No(Vec<String>),
}

/// Signs a request that begins with this byte. What the address itself says comes first.
pub(super) fn sign(storage: &AzureStorage, url: &Url, from: u64) -> CloudAnswer<Signed> {
    let with_query = |url: Url, whose: &str| {
        let identity = Ok(format!("the signature in {whose}"));
        Ok(Signed::Yes(SignedGet { url, headers: Vec::new(), identity }))
    };
    if url.query_pairs().any(|(name, _)| name == "sig") {
        return with_query(url.clone(), "its address");
    }
    let (account, below) = (account(storage, url), is_below_endpoint(storage, url).is_some());
    let meant = storage.account.as_deref();
    let mut unusable = Vec::new();
    let mut for_another = |variable: &str| {
        let meant = meant.map_or("no account that is known".into(), |name| format!("`{name}`"));
        unusable.push(format!("{variable} is for {meant}"));
    };
    if let (Some((variable, key)), Some(account)) = (&storage.key, &account) {
        if meant.is_none_or(|meant| meant == account) {
            let key = STANDARD.decode(key.expose().trim());
            let key = key.map_err(|_| format!("{variable} is no key of an account: not base64"))?;
            let identity = Ok(format!("the key in {variable}"));
            let headers = shared_key(url, account, &key, from)?;
            return Ok(Signed::Yes(SignedGet { url: url.clone(), headers, identity }));
        }
        for_another(variable);
    }
    if let Some((variable, signature)) = &storage.signature {
        // Without an account it is for what is below the endpoint that was given with it.
        let fits = meant.map_or(below, |meant| account.as_deref() == Some(meant));
        if fits && may_see(storage, url) {
            let mut url = url.clone();
            let signature = signature.expose().trim().trim_start_matches('?');
            let query = url.query().map_or(String::new(), |query| format!("{query}&"));
            url.set_query(Some(&format!("{query}{signature}")));
            return with_query(url, variable);
        }
        if account.is_some() {
            for_another(variable);
        }
    }
    if account.is_none() && below {
        unusable.push("AZURE_STORAGE_ACCOUNT is not set".to_owned());
    }
    Ok(Signed::No(unusable))
}

/// Whether a signature may be shown there.
fn may_see(storage: &AzureStorage, url: &Url) -> bool {
    may_see_tokens(url) || url.scheme() == "https" && is_below_endpoint(storage, url).is_some()
}

/// Whether an address is that of a blob.
pub(super) fn is_blob(storage: &AzureStorage, url: &Url) -> bool {
    account(storage, url).is_some() || is_below_endpoint(storage, url).is_some()
}

/// The account that an address belongs to.
fn account(storage: &AzureStorage, url: &Url) -> Option<String> {
    if let Some(name) = account_of_host(url) {
        return Some(name.to_owned());
    }
    let below = is_below_endpoint(storage, url)?;
    // Where an address has no account in its host, the first part of the path is it.
    let first = below.path_segments().and_then(|mut parts| parts.next()).unwrap_or_default();
    match &storage.account {
        Some(account) => Some(account.clone()),
        None => Some(first.to_owned()).filter(|first| !first.is_empty()),
    }
}

/// The account that a host of Microsoft's is named for.
pub(super) fn account_of_host(url: &Url) -> Option<&str> {
    let host = url.host_str()?;
    let name = AZURE.iter().find_map(|domain| host.strip_suffix(domain))?;
    // The secondary location has the account's key
    // (learn.microsoft.com/azure/storage/common/storage-redundancy).
    Some(name.strip_suffix("-secondary").unwrap_or(name)).filter(|name| !name.is_empty())
}

/// The account's own address, if this one is below it.
fn is_below_endpoint(storage: &AzureStorage, url: &Url) -> Option<Url> {
    let endpoint = Url::parse(storage.endpoint.as_deref()?).ok()?;
    let same = endpoint.origin() == url.origin();
    let base = format!("{}/", endpoint.path().trim_end_matches('/'));
    (same && url.path().starts_with(&base)).then_some(endpoint)
}

/// Signs with an account's key
/// (learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key).
fn shared_key(
    url: &Url,
    account: &str,
    key: &[u8],
    from: u64,
) -> CloudAnswer<Vec<(HeaderName, HeaderValue)>> {
    let date = httpdate::fmt_http_date(std::time::SystemTime::now());
    let text = string_to_sign(url, account, &date, from);
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    let signature = STANDARD.encode(hmac::sign(&key, text.as_bytes()));
    let value = |text: &str| {
        HeaderValue::from_str(text).map_err(|_| "the account's name is no header".to_owned())
    };
    let mut authorization = value(&format!("SharedKey {account}:{signature}"))?;
    authorization.set_sensitive(true);
    Ok(vec![version(), (DATE_HEADER, value(&date)?), (AUTHORIZATION, authorization)])
}

/// Method, eleven headers of which this has one at most, Microsoft's own headers, and the address:
/// the account, the path as it is sent, and each parameter on a line.
fn string_to_sign(url: &Url, account: &str, date: &str, from: u64) -> String {
    let range = if from > 0 { format!("bytes={from}-") } else { String::new() };
    let mut text = format!("GET{}{range}\n", "\n".repeat(11));
    text += &format!("{DATE_HEADER}:{date}\n{VERSION_HEADER}:{VERSION}\n/{account}{}", url.path());
    let mut parameters: Vec<(String, String)> =
        url.query_pairs().map(|(name, value)| (name.to_lowercase(), value.into_owned())).collect();
    parameters.sort();
    for part in parameters.chunk_by(|one, other| one.0 == other.0) {
        let values: Vec<&str> = part.iter().map(|(_, value)| value.as_str()).collect();
        text += &format!("\n{}:{}", part[0].0, values.join(","));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn storage(account: Option<&str>, endpoint: Option<&str>) -> AzureStorage {
        AzureStorage {
            account: account.map(str::to_owned),
            key: Some(("AZURE_STORAGE_ACCESS_KEY".into(), "Z2VoZWlt".into())),
            signature: Some(("AZURE_STORAGE_SAS_TOKEN".into(), "?sv=1&sig=geheim".into())),
            endpoint: endpoint.map(str::to_owned),
        }
    }

    fn signed(storage: &AzureStorage, address: &str) -> Option<String> {
        let signed = match sign(storage, &parse(address).expect("a URL"), 0).expect("signed") {
            Signed::Yes(signed) => signed,
            Signed::No(_) => return None,
        };
        let header = signed.headers.iter().find(|(name, _)| *name == AUTHORIZATION);
        let header = header.map(|(_, value)| {
            assert!(value.is_sensitive());
            value.to_str().expect("text").split(':').next().unwrap_or_default().to_owned()
        });
        Some(header.unwrap_or_else(|| signed.url.to_string()))
    }

    #[test]
    fn text_that_is_signed_has_the_form_of_the_documentation() {
        let url = parse("https://me.blob.core.windows.net/box/a%20b?Comp=x&snapshot=2&comp=a")
            .expect("a URL");
        let date = "Fri, 26 Jun 2015 23:39:12 GMT";
        let text = string_to_sign(&url, "me", date, 0);
        let expected = "GET\n\n\n\n\n\n\n\n\n\n\n\n\
                        x-ms-date:Fri, 26 Jun 2015 23:39:12 GMT\nx-ms-version:2020-04-08\n\
                        /me/box/a%20b\ncomp:a,x\nsnapshot:2";
        assert_eq!(text, expected);
        let rest = string_to_sign(&url, "me", date, 7);
        assert_eq!(
            rest,
            expected.replacen(
                "

x-ms-date",
                "
bytes=7-
x-ms-date",
                1
            )
        );
    }

    #[test]
    fn keys_are_for_their_account() {
        let blob = "https://me.blob.core.windows.net/box/a.tar";
        let me = Some("SharedKey me".to_owned());
        assert_eq!(signed(&storage(None, None), blob), me);
        assert_eq!(signed(&storage(Some("me"), None), blob), me);
        assert_eq!(signed(&storage(Some("you"), None), blob), None);
        assert_eq!(
            signed(&storage(None, None), "https://me-secondary.blob.core.windows.net/box/a.tar"),
            me
        );
        assert_eq!(signed(&storage(None, None), "https://me.blob.core.usgovcloudapi.net/b/a"), me);
        assert_eq!(signed(&storage(None, None), "https://example.com/box/a.tar"), None);
        let wrong =
            AzureStorage { key: Some(("K".into(), "geheim!".into())), ..storage(None, None) };
        let error = sign(&wrong, &parse(blob).expect("a URL"), 0).err();
        let error = error.expect("no key");
        assert_eq!(error, "K is no key of an account: not base64");
    }

    #[test]
    fn what_the_address_says_comes_first() {
        let blob = "https://me.blob.core.windows.net/box/a.tar?sv=2&sig=x%2B";
        assert_eq!(signed(&storage(None, None), blob).as_deref(), Some(blob));
    }

    #[test]
    fn signatures_are_shown_to_their_account_only() {
        let without_key = |account| AzureStorage { key: None, ..storage(account, None) };
        let blob = "https://me.blob.core.windows.net/box/a.tar";
        let expected = format!("{blob}?sv=1&sig=geheim");
        assert_eq!(signed(&without_key(Some("me")), blob), Some(expected));
        assert_eq!(signed(&without_key(Some("you")), blob), None);
        assert_eq!(signed(&without_key(None), blob), None);
        let plain = "http://me.blob.core.windows.net/box/a.tar";
        assert_eq!(signed(&without_key(Some("me")), plain), None);
        assert!(!format!("{:?}", storage(None, None)).contains("geheim"));
    }

    #[test]
    fn signatures_without_an_account_are_for_their_endpoint() {
        for (endpoint, blob, expected) in [
            ("https://blobs.example/", "https://blobs.example/box/a.tar", true),
            ("https://me.blob.core.windows.net", "https://me.blob.core.windows.net/b/a", true),
            ("http://127.0.0.1:1/dev", "http://127.0.0.1:1/dev/box/a.tar", true),
            ("https://blobs.example/me", "https://blobs.example/you/box/a.tar", false),
            ("https://blobs.example/", "https://blobs.example:1/box/a.tar", false),
            ("https://me.blob.core.windows.net", "https://you.blob.core.windows.net/b/a", false),
            ("http://blobs.example/", "http://blobs.example/box/a.tar", false),
        ] {
            let own = AzureStorage { key: None, ..storage(None, Some(endpoint)) };
            let with = expected.then(|| format!("{blob}?sv=1&sig=geheim"));
            assert_eq!(signed(&own, blob), with, "{endpoint} {blob}");
        }
        let endpoint = Some("https://me.blob.core.windows.net/");
        let you = AzureStorage { key: None, ..storage(Some("you"), endpoint) };
        assert_eq!(signed(&you, "https://me.blob.core.windows.net/b/a"), None);
    }

    #[test]
    fn accounts_can_have_an_address_of_their_own() {
        let endpoint = Some("http://127.0.0.1:10000/devstoreaccount1");
        let blob = "http://127.0.0.1:10000/devstoreaccount1/box/a.tar";
        let dev = Some("SharedKey devstoreaccount1".to_owned());
        assert_eq!(signed(&storage(None, endpoint), blob), dev);
        assert_eq!(signed(&storage(Some("devstoreaccount1"), endpoint), blob), dev);
        let other = "http://127.0.0.1:10001/devstoreaccount1/box/a.tar";
        assert_eq!(signed(&storage(None, endpoint), other), None);
        let own = Some("https://blobs.example.com/");
        let url = parse("https://blobs.example.com/box/a.tar").expect("a URL");
        assert!(is_blob(&storage(None, own), &url) && !is_blob(&storage(None, endpoint), &url));
        let keyed = AzureStorage { signature: None, ..storage(None, own) };
        let Ok(Signed::No(why)) = sign(&keyed, &url, 0) else { panic!("no account") };
        assert_eq!(why, ["AZURE_STORAGE_ACCOUNT is not set"]);
        let named = storage(Some("me"), own);
        let me = Some("SharedKey me".to_owned());
        assert_eq!(signed(&named, "https://blobs.example.com/box/a.tar"), me);
    }
}
