//! A certificate for loopback, from an authority of the test's own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::TempDir;

/// The authority and the settings of a server with a certificate of it.
#[derive(Debug)]
pub struct Tls {
    pub config: Arc<ServerConfig>,
    folder: TempDir,
}

impl Tls {
    /// For 127.0.0.1 and `localhost`.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name).display().to_string();
        let (ca, ca_key, own, own_key) = (at("ca.pem"), at("ca.key"), at("own.pem"), at("own.key"));
        certificate(&ca, &ca_key, &["-subj", "/CN=authority of a test"]);
        certificate(
            &own,
            &own_key,
            &[
                "-subj",
                "/CN=origin of a test",
                "-CA",
                &ca,
                "-CAkey",
                &ca_key,
                "-addext",
                "basicConstraints=critical,CA:FALSE",
                "-addext",
                "subjectAltName=IP:127.0.0.1,DNS:localhost",
            ],
        );
        let config = server_config(Path::new(&own), Path::new(&own_key));
        Self { config, folder }
    }

    /// The authority's certificate, for a client that is to trust it.
    pub fn ca_file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }
}

fn certificate(certificate: &str, key: &str, arguments: &[&str]) {
    let mut command = Command::new("openssl");
    command
        .args(["req", "-x509", "-days", "2", "-nodes", "-newkey", "ec"])
        .args(["-pkeyopt", "ec_paramgen_curve:P-256"])
        .args(["-out", certificate, "-keyout", key])
        .args(arguments);
    let output = command.output().expect("openssl; tests/run installs it");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
}

fn server_config(certificate: &Path, key: &Path) -> Arc<ServerConfig> {
    let certificate = CertificateDer::from_pem_file(certificate).expect("a certificate");
    let key = PrivateKeyDer::from_pem_file(key).expect("a key");
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions();
    let builder = builder.expect("versions of TLS").with_no_client_auth();
    let config = builder.with_single_cert(vec![certificate], key);
    Arc::new(config.expect("a certificate and its key"))
}
