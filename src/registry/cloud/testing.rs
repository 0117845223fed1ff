//! What the clouds' tests share.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Url;
use ring::rsa::KeyPair;
use ring::signature::{UnparsedPublicKey, VerificationAlgorithm};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::Value;

use crate::registry::options::Options;
use crate::registry::testserver::Seen;
use crate::registry::transport::Pool;

/// An RSA key in PKCS #8 and its certificate, as `openssl req -x509 -newkey rsa:2048` makes them.
pub(super) const IDENTITY: &str = include_str!("testdata/identity.pem");
/// The same key in PKCS #1.
pub(super) const PKCS1: &str = include_str!("testdata/pkcs1.pem");
/// A key of an elliptic curve.
pub(super) const CURVE: &str = include_str!("../testdata/key.pem");

pub(super) fn pool() -> Pool {
    Pool::new(&Options::default()).expect("a pool")
}

/// `host:port` where nobody listens.
pub(super) fn gone() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback");
    listener.local_addr().expect("bound").to_string()
}

/// The fields of a form, which must be one.
pub(super) fn form(seen: &Seen) -> BTreeMap<String, String> {
    assert_eq!(seen.header("content-type"), Some("application/x-www-form-urlencoded"));
    let body = String::from_utf8(seen.body.clone()).expect("text");
    query(&body)
}

/// The parameters of a query.
pub(super) fn query(text: &str) -> BTreeMap<String, String> {
    let url = Url::parse(&format!("http://x/?{text}")).expect("a query");
    url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
}

/// Header and claims of a token that [`IDENTITY`] has signed; checks the signature.
pub(super) fn verified(token: &str, algorithm: &'static dyn VerificationAlgorithm) -> [Value; 2] {
    let key = PrivateKeyDer::from_pem_slice(IDENTITY.as_bytes()).expect("a key");
    let PrivateKeyDer::Pkcs8(key) = &key else { panic!("PKCS #8") };
    let pair = KeyPair::from_pkcs8(key.secret_pkcs8_der()).expect("an RSA key");
    let (signed, signature) = token.rsplit_once('.').expect("a signature");
    let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).expect("base64");
    let public = UnparsedPublicKey::new(algorithm, pair.public().as_ref());
    public.verify(signed.as_bytes(), &decode(signature)).expect("the signature is right");
    let (header, claims) = signed.split_once('.').expect("two parts");
    [header, claims].map(|part| serde_json::from_slice(&decode(part)).expect("JSON"))
}
