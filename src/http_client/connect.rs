//! Opens connections: resolves the host name once, checks every address against the policy, and
//! connects only to addresses that were checked.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::address_policy::AddressPolicy;
use super::error::HttpClientError;
use super::options::HttpClientOptions;
use super::proxy::Proxies;
use super::target::Target;

/// Opens connections.
#[derive(Clone)]
pub(super) struct Connector {
    policy: AddressPolicy,
    pub(super) proxies: Proxies,
    connect_timeout: Duration,
    tls: TlsConnector,
}

/// A connection to another server.
pub(super) enum Socket {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Connector {
    pub(super) fn new(options: &HttpClientOptions) -> Self {
        Self {
            policy: options.address_policy.clone(),
            proxies: Proxies::default(),
            connect_timeout: options.connect_timeout,
            tls: TlsConnector::from(Arc::clone(&options.tls)),
        }
    }

    /// Connects to the first address that accepts, TLS included, within the timeout for all
    /// addresses together.
    pub(super) async fn connect(&self, target: &Target) -> Result<Socket, HttpClientError> {
        let until = Instant::now() + self.connect_timeout;
        let connecting = async {
            let proxy = self.proxies.for_target(target);
            // The proxy resolves the server's name; it may be unknown here.
            let (host, port) = match proxy {
                Some(proxy) => (&proxy.host, proxy.port),
                None => (&target.host, target.port),
            };
            let addresses = self.resolve(host, port).await?;
            let mut stream = self.connect_tcp(&addresses, until).await?;
            if let Some(proxy) = proxy.filter(|_| target.is_tls) {
                proxy.open_tunnel(&mut stream, target).await?;
            }
            if target.is_tls {
                self.secure(stream, &target.host).await
            } else {
                Ok(Socket::Plain(stream))
            }
        };
        let dialled = tokio::time::timeout_at(until, connecting).await;
        dialled.unwrap_or_else(|_| Err(HttpClientError::Connect(io::ErrorKind::TimedOut.into())))
    }

    async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, HttpClientError> {
        let found = lookup_host((host, port)).await;
        let addresses: Vec<_> = found.map_err(HttpClientError::Resolve)?.collect();
        // All addresses must be allowed, not only the one that is used: an attacker's name can
        // resolve to a public and a private address, and the resolver decides the order.
        if addresses.iter().all(|address| self.policy.allows(*address)) {
            Ok(addresses)
        } else {
            Err(HttpClientError::Forbidden)
        }
    }

    async fn connect_tcp(
        &self,
        addresses: &[SocketAddr],
        until: Instant,
    ) -> Result<TcpStream, HttpClientError> {
        let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for (tried, address) in addresses.iter().enumerate() {
            // The remaining time is divided, so that an address that drops all packets leaves
            // time for the others.
            let others = u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
            let limit = until.saturating_duration_since(Instant::now()) / others;
            match timeout(limit, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    set_options(&stream).map_err(HttpClientError::Connect)?;
                    return Ok(stream);
                }
                Ok(Err(error)) => failure = error,
                Err(_) => failure = io::ErrorKind::TimedOut.into(),
            }
        }
        Err(HttpClientError::Connect(failure))
    }

    async fn secure(&self, stream: TcpStream, host: &str) -> Result<Socket, HttpClientError> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| HttpClientError::Address)?;
        let secured = self.tls.connect(name, stream).await;
        Ok(Socket::Tls(Box::new(
            secured.map_err(HttpClientError::Tls)?,
        )))
    }
}

fn set_options(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    // Closing the socket discards unsent bytes and resets the connection. Otherwise the kernel
    // would still deliver the rest of a cancelled request, and the server could create an object
    // after the cleanup has removed it. After a complete response nothing is left to send.
    stream.set_zero_linger()
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(cx),
        }
    }
}
