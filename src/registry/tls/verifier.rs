//! Who a server may be.

use std::fmt;
use std::sync::{Arc, OnceLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme};

use super::host_dirs::Bad;
use super::trust::Trust;
use super::validity;

/// The usual verification, and one exception: a certificate that is itself in the list of roots is
/// accepted as a server's, for the names and the time that it states.
///
/// That is what `openssl req -x509` makes and what private registries are set up with. rustls
/// refuses it because such a certificate is marked as a CA (webpki's CaUsedAsEndEntity, see
/// rustls/webpki#114); OpenSSL and Go accept it.
///
/// What is trusted is read when the first certificate is shown.
pub(super) struct Verifier {
    provider: Arc<CryptoProvider>,
    trust: Trust,
    /// Trusted in addition.
    more: Vec<CertificateDer<'static>>,
    made: OnceLock<Result<Made, Error>>,
}

/// What it takes to judge a certificate.
struct Made {
    usual: Arc<WebPkiServerVerifier>,
    listed: Vec<CertificateDer<'static>>,
}

impl Verifier {
    /// Reads nothing yet.
    pub(super) fn new(
        provider: &Arc<CryptoProvider>,
        trust: Trust,
        more: Vec<CertificateDer<'static>>,
    ) -> Self {
        Self { provider: provider.clone(), trust, more, made: OnceLock::new() }
    }

    fn made(&self) -> Result<&Made, Error> {
        let make = || {
            // What is wrong with the file is nothing that the server did; see `bad_file`.
            let roots = self.trust.roots().map_err(|bad| OtherError(Arc::new(bad.clone())))?;
            let (store, listed) = roots.with(&self.more);
            let usual = WebPkiServerVerifier::builder_with_provider(store, self.provider.clone());
            let usual = usual.build().map_err(|error| Error::General(error.to_string()))?;
            Ok(Made { usual, listed })
        };
        self.made.get_or_init(make).as_ref().map_err(Clone::clone)
    }

    fn algorithms(&self) -> &WebPkiSupportedAlgorithms {
        &self.provider.signature_verification_algorithms
    }
}

/// The file because of which no certificate can be judged, where an error is about that.
pub(in crate::registry) fn bad_file(error: &Error) -> Option<&Bad> {
    match error {
        Error::Other(OtherError(error)) => error.downcast_ref(),
        _ => None,
    }
}

impl Made {
    fn is_listed(&self, certificate: &CertificateDer<'_>) -> bool {
        self.listed.iter().any(|listed| listed.as_ref() == certificate.as_ref())
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").field("more", &self.more.len()).finish_non_exhaustive()
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let made = self.made()?;
        let usual = made.usual.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        // `Other` is how rustls passes on CaUsedAsEndEntity.
        let Err(Error::InvalidCertificate(CertificateError::Other(_))) = &usual else {
            return usual;
        };
        if !made.is_listed(end_entity) {
            return usual;
        }
        verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
        match validity::of(end_entity) {
            Some(validity) if validity.contains(&now.as_secs()) => {
                Ok(ServerCertVerified::assertion())
            }
            Some(validity) if now.as_secs() < *validity.start() => {
                Err(Error::InvalidCertificate(CertificateError::NotValidYet))
            }
            Some(_) => Err(Error::InvalidCertificate(CertificateError::Expired)),
            None => Err(Error::InvalidCertificate(CertificateError::BadEncoding)),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, self.algorithms())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, self.algorithms())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms().supported_schemes()
    }
}

/// Accepts every certificate, as the user asked; the server must still own its key.
#[derive(Debug)]
pub(super) struct Unverified(WebPkiSupportedAlgorithms);

impl Unverified {
    pub(super) fn new(provider: &CryptoProvider) -> Self {
        Self(provider.signature_verification_algorithms)
    }
}

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
