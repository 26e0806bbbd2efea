//! A TLS server certificate for loopback, with its own authority.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::super::authority::{Authority, Identity};

/// An authority, and the settings of a server with its certificate.
#[derive(Debug)]
pub struct Tls {
    pub config: Arc<ServerConfig>,
    authority: Authority,
}

impl Tls {
    /// Settings of a server for 127.0.0.1 and `localhost`.
    pub fn new() -> Self {
        let authority = Authority::new();
        let config = server_config(&authority.issue("origin"));
        Self { config, authority }
    }

    /// The authority's certificate, for clients that trust it.
    pub fn ca_file(&self) -> PathBuf {
        self.authority.ca_file()
    }
}

fn server_config(identity: &Identity) -> Arc<ServerConfig> {
    let certificate = CertificateDer::from_pem_file(&identity.cert_file).expect("a certificate");
    let key = PrivateKeyDer::from_pem_file(&identity.key_file).expect("a key");
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions();
    let builder = builder.expect("versions of TLS").with_no_client_auth();
    let config = builder.with_single_cert(vec![certificate], key);
    Arc::new(config.expect("a certificate and its key"))
}
