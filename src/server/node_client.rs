//! Asking a running node, over its operator's listener.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use http::{Request, StatusCode};

use super::operator_token;
use crate::api::{OPERATOR_TOKEN, ScrubReport};
use crate::config::Config;
use crate::http_client::{
    AddressPolicy, HttpClient, HttpClientError, HttpClientOptions, TlsError, TlsOptions,
    client_config, empty,
};
use crate::image::ImageId;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A round takes as long as it takes.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(86_400);
const MOST_ANSWER_BYTES: usize = 64 << 10;

/// A node that has the registry open.
pub(super) struct NodeClient {
    client: HttpClient,
    address: SocketAddr,
    registry_dir: PathBuf,
}

/// Why a node did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    #[error("a node has the registry open and cannot be asked: admin_bind_port is 0")]
    NoListener,
    #[error("the token of the node cannot be read from {}: {cause}", registry_dir.display())]
    Token {
        registry_dir: PathBuf,
        #[source]
        cause: std::io::Error,
    },
    #[error("the node cannot be asked at {address}: {cause}")]
    Unreachable {
        address: SocketAddr,
        #[source]
        cause: HttpClientError,
    },
    #[error("the node at {address} answered {status}: {detail}")]
    Refused {
        address: SocketAddr,
        status: StatusCode,
        detail: String,
    },
    #[error("the node at {0} gave an answer of another release")]
    Answer(SocketAddr),
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl NodeClient {
    /// The node of a configuration.
    pub(super) fn new(config: &Config) -> Result<Self, AskError> {
        let address = config.listen.admin_address().ok_or(AskError::NoListener)?;
        Ok(Self {
            client: HttpClient::new(HttpClientOptions {
                connect_timeout: CONNECT_TIMEOUT,
                answer_timeout: ANSWER_TIMEOUT,
                idle_timeout: CONNECT_TIMEOUT,
                reach: AddressPolicy::Any,
                tls: client_config(&TlsOptions {
                    ca_file: None,
                    insecure: false,
                })?,
            }),
            address: reachable(address),
            registry_dir: config.registry.registry_dir.clone(),
        })
    }

    /// Has the node do a round of scrubbing.
    pub(super) async fn scrub(&self) -> Result<ScrubReport, AskError> {
        let body = self.post("/scrub").await?;
        serde_json::from_slice(&body).map_err(|_| AskError::Answer(self.address))
    }

    /// Has the node restore an image.
    pub(super) async fn restore(&self, id: &ImageId) -> Result<(), AskError> {
        self.post(&format!("/restore/{id}")).await.map(drop)
    }

    async fn post(&self, path: &str) -> Result<bytes::Bytes, AskError> {
        let token = operator_token::read(&self.registry_dir).map_err(|cause| AskError::Token {
            registry_dir: self.registry_dir.clone(),
            cause,
        })?;
        let address = self.address;
        let unreachable = |cause| AskError::Unreachable { address, cause };
        let request = Request::post(format!("http://{address}{path}"))
            .header(OPERATOR_TOKEN, token)
            .body(empty())
            .map_err(|_| unreachable(HttpClientError::Address))?;
        let answer = self.client.fetch(request, MOST_ANSWER_BYTES).await;
        let (head, body) = answer.map_err(unreachable)?.into_parts();
        if head.status.is_success() {
            return Ok(body);
        }
        let text = String::from_utf8_lossy(&body);
        // The last line of an error in plain text says what is wrong.
        let detail = text.trim().lines().last().unwrap_or_default().trim();
        Err(AskError::Refused {
            address,
            status: head.status,
            detail: detail.to_owned(),
        })
    }
}

/// Who listens on every address is asked on this machine's own.
fn reachable(address: SocketAddr) -> SocketAddr {
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
    fn every_address_is_this_machines_own() {
        for (bound, asked) in [
            ("0.0.0.0:1", "127.0.0.1:1"),
            ("[::]:2", "[::1]:2"),
            ("10.0.0.1:3", "10.0.0.1:3"),
        ] {
            assert_eq!(reachable(bound.parse().unwrap()).to_string(), asked);
        }
    }
}
