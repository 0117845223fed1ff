//! JSON Web Tokens that are signed with an RSA key (RFC 7515, RFC 7518).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::rsa::KeyPair;
use ring::signature::{self, RsaEncoding};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::Value;

use super::CloudAnswer;

/// How it is signed, by its name in the header's `alg`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Algorithm {
    /// PKCS #1 1.5; Google's.
    Rs256,
    /// PSS; Microsoft's for certificates.
    Ps256,
}

impl Algorithm {
    fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
        }
    }

    fn encoding(self) -> &'static dyn RsaEncoding {
        match self {
            Self::Rs256 => &signature::RSA_PKCS1_SHA256,
            Self::Ps256 => &signature::RSA_PSS_SHA256,
        }
    }
}

/// An RSA key; shows nothing of itself.
pub(super) struct Key(KeyPair);

impl Key {
    /// Reads the first private key of a PEM text, in PKCS #8 or PKCS #1.
    pub(super) fn read(pem: &[u8]) -> CloudAnswer<Self> {
        let der = PrivateKeyDer::from_pem_slice(pem)
            .map_err(|_| "is no private key in PEM that is not encrypted".to_owned())?;
        let pair = match &der {
            PrivateKeyDer::Pkcs8(der) => KeyPair::from_pkcs8(der.secret_pkcs8_der()),
            PrivateKeyDer::Pkcs1(der) => KeyPair::from_der(der.secret_pkcs1_der()),
            _ => return Err("is no RSA key".into()),
        };
        pair.map(Self).map_err(|error| format!("is no RSA key of 2048 to 4096 bits ({error})"))
    }

    /// A signed token. `header` gets `alg` and `typ`.
    pub(super) fn sign(
        &self,
        algorithm: Algorithm,
        mut header: Value,
        claims: &Value,
    ) -> CloudAnswer<String> {
        header["alg"] = algorithm.name().into();
        header["typ"] = "JWT".into();
        let encode = |text: &[u8]| URL_SAFE_NO_PAD.encode(text);
        let parts = [header.to_string(), claims.to_string()].map(|part| encode(part.as_bytes()));
        let signed = parts.join(".");
        let mut signature = vec![0; self.0.public().modulus_len()];
        self.0
            .sign(algorithm.encoding(), &SystemRandom::new(), signed.as_bytes(), &mut signature)
            .map_err(|_| "the key could not be used to sign".to_owned())?;
        Ok(format!("{signed}.{}", encode(&signature)))
    }
}

/// When a token ends by its own words (`exp`), in seconds since 1970. Its signature is for others.
pub(super) fn end_of(token: &str) -> Option<u64> {
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    serde_json::from_slice::<Value>(&claims).ok()?.get("exp")?.as_u64()
}
