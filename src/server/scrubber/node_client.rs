//! A client of the admin listener of a running server.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use http::{Request, StatusCode};

use crate::api::{OPERATOR_TOKEN, ScrubReport};
use crate::config::Config;
use crate::http_client::{
    AddressPolicy, HttpClient, HttpClientError, HttpClientOptions, TlsError, TlsOptions,
    client_config, empty,
};
use crate::image::ImageId;
use crate::server::operator_token;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Long, because a pass takes as long as there are images to remove.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(86_400);
const MAX_RESPONSE_BYTES: usize = 64 << 10;

/// Sends commands to the server that has the registry open.
pub(in crate::server) struct NodeClient {
    client: HttpClient,
    address: SocketAddr,
    registry_dir: PathBuf,
}

/// A server did not execute a command.
#[derive(Debug, thiserror::Error)]
pub(in crate::server) enum NodeClientError {
    #[error("a server has the registry open, and it has no admin listener: admin_bind_port is 0")]
    NoListener,
    #[error("cannot read the operator token of the server from {}: {cause}", registry_dir.display())]
    Token {
        registry_dir: PathBuf,
        #[source]
        cause: std::io::Error,
    },
    #[error("cannot reach the admin listener of the server at {address}: {cause}")]
    Unreachable {
        address: SocketAddr,
        #[source]
        cause: HttpClientError,
    },
    #[error("the server at {address} refused the command ({status}): {detail}")]
    Refused {
        address: SocketAddr,
        status: StatusCode,
        detail: String,
    },
    #[error("the server at {0} sent an unexpected response; is it another release?")]
    UnexpectedResponse(SocketAddr),
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl NodeClient {
    /// Returns a client of the server that uses this configuration.
    ///
    /// # Errors
    /// When the configuration disables the admin listener, or TLS cannot be set up.
    pub(in crate::server) fn new(config: &Config) -> Result<Self, NodeClientError> {
        let address = config
            .listen
            .admin_address()
            .ok_or(NodeClientError::NoListener)?;
        Ok(Self {
            client: HttpClient::new(HttpClientOptions {
                connect_timeout: CONNECT_TIMEOUT,
                answer_timeout: RESPONSE_TIMEOUT,
                idle_timeout: CONNECT_TIMEOUT,
                address_policy: AddressPolicy::Any,
                tls: client_config(&TlsOptions {
                    ca_file: None,
                    insecure: false,
                })?,
            }),
            address: connectable(address),
            registry_dir: config.registry.registry_dir.clone(),
        })
    }

    /// Requests a pass of the scrubber and waits for its end.
    ///
    /// # Errors
    /// [`NodeClientError`].
    pub(in crate::server) async fn scrub(&self) -> Result<ScrubReport, NodeClientError> {
        let body = self.post("/scrub").await?;
        serde_json::from_slice(&body).map_err(|_| NodeClientError::UnexpectedResponse(self.address))
    }

    /// Requests the restoration of an image.
    ///
    /// # Errors
    /// [`NodeClientError`].
    pub(in crate::server) async fn restore(&self, id: &ImageId) -> Result<(), NodeClientError> {
        self.post(&format!("/restore/{id}")).await.map(drop)
    }

    async fn post(&self, path: &str) -> Result<bytes::Bytes, NodeClientError> {
        let token =
            operator_token::read(&self.registry_dir).map_err(|cause| NodeClientError::Token {
                registry_dir: self.registry_dir.clone(),
                cause,
            })?;
        let address = self.address;
        let unreachable = |cause| NodeClientError::Unreachable { address, cause };
        let request = Request::post(format!("http://{address}{path}"))
            .header(OPERATOR_TOKEN, token)
            .body(empty())
            .map_err(|_| unreachable(HttpClientError::Address))?;
        let response = self.client.fetch(request, MAX_RESPONSE_BYTES).await;
        let (head, body) = response.map_err(unreachable)?.into_parts();
        if head.status.is_success() {
            return Ok(body);
        }
        let text = String::from_utf8_lossy(&body);
        // The last line of the server's plain-text error is the message.
        let detail = text.trim().lines().last().unwrap_or_default().trim();
        Err(NodeClientError::Refused {
            address,
            status: head.status,
            detail: detail.to_owned(),
        })
    }
}

/// Replaces the unspecified address, which a server binds but a client cannot connect to, by the
/// loopback address.
fn connectable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unspecified_address_becomes_loopback() {
        for (bound, expected) in [
            ("0.0.0.0:1", "127.0.0.1:1"),
            ("[::]:2", "[::1]:2"),
            ("10.0.0.1:3", "10.0.0.1:3"),
        ] {
            assert_eq!(connectable(bound.parse().unwrap()).to_string(), expected);
        }
    }
}
