//! Terminates TLS in front of a plain HTTP server, as an operator's proxy does.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::support::authority::Authority;

/// A running front. Its thread ends with the test process.
pub struct TlsFront {
    pub authority: Authority,
    pub address: SocketAddr,
}

impl TlsFront {
    /// Starts a front of the server at `behind`.
    pub fn start(behind: SocketAddr) -> Self {
        Self::listen(behind, false)
    }

    /// Starts a front that requires a client certificate of its authority.
    pub fn requiring_certificates(behind: SocketAddr) -> Self {
        Self::listen(behind, true)
    }

    fn listen(behind: SocketAddr, requires_certificates: bool) -> Self {
        let authority = Authority::new();
        let config = server_config(&authority, requires_certificates);
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("a socket");
        let address = listener.local_addr().expect("a port");
        thread::spawn(move || {
            crate::block_on(async {
                let listener = TcpListener::from_std(listener).expect("a socket");
                loop {
                    let (stream, _) = listener.accept().await.expect("a connection");
                    tokio::spawn(relay(acceptor.clone(), stream, behind));
                }
            });
        });
        Self { authority, address }
    }

    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }
}

/// Relays a connection. Its errors, such as a refused handshake, are the client's to report.
async fn relay(acceptor: TlsAcceptor, stream: TcpStream, behind: SocketAddr) {
    let Ok(mut secured) = acceptor.accept(stream).await else {
        return;
    };
    let mut plain = TcpStream::connect(behind).await.expect("the server");
    let _ = copy_bidirectional(&mut secured, &mut plain).await;
}

fn server_config(authority: &Authority, requires_certificates: bool) -> ServerConfig {
    let identity = authority.issue("front");
    let certificate = CertificateDer::from_pem_file(&identity.cert_file).expect("a certificate");
    let key = PrivateKeyDer::from_pem_file(&identity.key_file).expect("a key");
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_safe_default_protocol_versions();
    let builder = builder.expect("versions of TLS");
    let builder = if requires_certificates {
        let mut roots = RootCertStore::empty();
        let ca = CertificateDer::from_pem_file(authority.ca_file()).expect("a certificate");
        roots.add(ca).expect("an authority");
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
        builder.with_client_cert_verifier(verifier.build().expect("a verifier"))
    } else {
        builder.with_no_client_auth()
    };
    let config = builder.with_single_cert(vec![certificate], key);
    config.expect("a certificate and its key")
}
