//! TLS configuration of the client: trusted certificate authorities.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

/// Options for the certificates of other servers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsOptions {
    /// A PEM file of certificate authorities that replaces the system's.
    pub ca_file: Option<PathBuf>,
    /// Disables the verification of certificates.
    pub insecure: bool,
}

/// A certificate and key by which a client identifies itself to servers that require one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// A PEM file with the certificate chain.
    pub cert_file: PathBuf,
    /// A PEM file with the private key.
    pub key_file: PathBuf,
}

/// TLS could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file of certificate authorities cannot be read.
    #[error("cannot read CA file {}: {cause}", file.display())]
    CaFile {
        /// The file.
        file: PathBuf,
        /// The error of reading or parsing it.
        #[source]
        cause: pem::Error,
    },
    /// The file of certificate authorities contains no certificate.
    #[error("CA file {} contains no certificate", .0.display())]
    NoAuthority(PathBuf),
    /// The client's certificate or key cannot be read.
    #[error("cannot read the client certificate or key {}: {cause}", file.display())]
    ClientCertificate {
        /// The file.
        file: PathBuf,
        /// The error of reading or parsing it.
        #[source]
        cause: pem::Error,
    },
    /// rustls rejects the configuration.
    #[error("cannot set up TLS: {0}")]
    Setup(#[from] rustls::Error),
    /// The system's certificate authorities cannot be read.
    #[error("cannot read the system's CA certificates: {0}")]
    System(#[source] io::Error),
}

/// Creates the TLS configuration for connections to other servers. ALPN offers HTTP/1.1 only.
///
/// # Errors
/// [`TlsError`] if the certificate authorities cannot be loaded.
pub fn client_config(options: &TlsOptions) -> Result<Arc<ClientConfig>, TlsError> {
    client_config_with_certificate(options, None)
}

/// As [`client_config`], with a certificate for servers that ask for one.
///
/// # Errors
/// [`TlsError`], which says what is to be done.
pub fn client_config_with_certificate(
    options: &TlsOptions,
    certificate: Option<&ClientCertificate>,
) -> Result<Arc<ClientConfig>, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?;
    let builder = if options.insecure {
        builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
    } else {
        builder.with_root_certificates(authorities(options)?)
    };
    let mut config = match certificate {
        None => builder.with_no_client_auth(),
        Some(certificate) => {
            let (chain, key) = certificate.load()?;
            builder.with_client_auth_cert(chain, key)?
        }
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Returns settings that trust no authority, for a client of plain HTTP: the system's authorities
/// take tens of milliseconds to load.
///
/// # Errors
/// [`TlsError::Setup`] if the cryptographic provider lacks a protocol version.
pub fn config_without_tls() -> Result<Arc<ClientConfig>, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let builder = builder.with_root_certificates(RootCertStore::empty());
    Ok(Arc::new(builder.with_no_client_auth()))
}

impl ClientCertificate {
    fn load(&self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsError> {
        let failed = |file: &Path| {
            let file = file.to_owned();
            move |cause| TlsError::ClientCertificate { file, cause }
        };
        let chain = CertificateDer::pem_file_iter(&self.cert_file)
            .and_then(Iterator::collect)
            .map_err(failed(&self.cert_file))?;
        let key = PrivateKeyDer::from_pem_file(&self.key_file).map_err(failed(&self.key_file))?;
        Ok((chain, key))
    }
}

fn authorities(options: &TlsOptions) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    let Some(file) = &options.ca_file else {
        // Errors are ignored: a machine without certificate authorities can still use plain HTTP.
        store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return Ok(store);
    };
    let failed = |cause| TlsError::CaFile {
        file: file.clone(),
        cause,
    };
    for certificate in CertificateDer::pem_file_iter(file).map_err(failed)? {
        store.add(certificate.map_err(failed)?)?;
    }
    if store.is_empty() {
        return Err(TlsError::NoAuthority(file.clone()));
    }
    Ok(store)
}

/// Accepts any certificate, for operators that disable verification. Signatures are still checked.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
