//! Requests to one account of Swift, with its token.
//!
//! A token that Swift refuses is renewed once per request. A request that fails for a reason that
//! passes is repeated, which is safe because every request of this store is idempotent.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, response};

use super::login::{AccountAccess, Login, LoginError, SwiftEndpoint};
use super::swift_error::{SwiftError, SwiftResult};
use crate::http_client::{ExpiringCell, HttpClient, HttpClientError, StreamStart, empty, full};
use crate::transfer::RangeBody;

/// The most attempts of a request that gets no response, or that Swift is too busy for.
const MAX_ATTEMPTS: u32 = 3;

/// The wait before the second attempt; doubled before each further one.
const FIRST_WAIT: Duration = Duration::from_millis(250);

/// The longest response that is read; a page of a listing has about 250 KiB.
const MAX_RESPONSE_BYTES: usize = 4 << 20;

/// An account and its login.
pub(super) struct AccountClient {
    client: HttpClient,
    login: Login,
    endpoint: SwiftEndpoint,
    access: ExpiringCell<AccountAccess, LoginError>,
}

/// An account together with the URL to use: that of its login, or another account's at the same
/// host.
#[derive(Clone)]
pub(super) struct Session {
    account: Arc<AccountClient>,
    url: Option<Arc<str>>,
}

/// A request to an account.
#[derive(Debug, Clone)]
pub(super) struct SwiftRequest {
    /// Description of the operation, for the log.
    pub(super) what: &'static str,
    pub(super) method: Method,
    /// Encoded path below the account's URL.
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl SwiftRequest {
    pub(super) fn new(what: &'static str, method: Method, path: impl Into<String>) -> Self {
        Self {
            what,
            method,
            path: path.into(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
        }
    }

    fn request<B>(
        &self,
        url: &str,
        access: &AccountAccess,
        body: B,
    ) -> Result<Request<B>, HttpClientError> {
        let uri = format!("{url}{}", self.path).parse::<Uri>();
        let mut request = Request::new(body);
        *request.uri_mut() = uri.map_err(|_| HttpClientError::Address)?;
        *request.method_mut() = self.method.clone();
        request.headers_mut().extend(self.headers.clone());
        let token = access.token.clone();
        request.headers_mut().insert("x-auth-token", token);
        Ok(request)
    }
}

/// A response of any kind.
trait HasStatus {
    /// Returns the status, or `None` if the server accepts the body and will respond later.
    fn status(&self) -> Option<StatusCode>;
}

impl HasStatus for Response<Bytes> {
    fn status(&self) -> Option<StatusCode> {
        Some(self.status())
    }
}

impl HasStatus for (response::Parts, RangeBody) {
    fn status(&self) -> Option<StatusCode> {
        Some(self.0.status)
    }
}

impl HasStatus for StreamStart {
    fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Wanted(_) => None,
            Self::Answered(response) => Some(response.status()),
        }
    }
}

impl AccountClient {
    pub(super) fn new(client: HttpClient, login: Login, endpoint: SwiftEndpoint) -> Self {
        Self {
            client,
            login,
            endpoint,
            access: ExpiringCell::new(),
        }
    }

    /// Returns the account's URL, without a trailing slash.
    pub(super) async fn url(&self) -> SwiftResult<String> {
        Ok(self.access().await?.storage_url.clone())
    }

    /// Sends a GET request without a token.
    pub(super) async fn get_without_token(
        &self,
        uri: Uri,
    ) -> Result<Response<Bytes>, HttpClientError> {
        let mut request = Request::new(empty());
        *request.uri_mut() = uri;
        self.client.fetch(request, MAX_RESPONSE_BYTES).await
    }

    async fn access(&self) -> SwiftResult<Arc<AccountAccess>> {
        let access = self.access.get(self.login.log_in(&self.endpoint));
        access.await.map_err(SwiftError::Login)
    }

    async fn renewed(&self, refused: &Arc<AccountAccess>) -> SwiftResult<Arc<AccountAccess>> {
        let log_in = self.login.log_in(&self.endpoint);
        let access = self.access.replace(refused, log_in);
        access.await.map_err(SwiftError::Login)
    }
}

/// The attempts of one request: decides after each whether to repeat it, with a new token or after
/// a wait.
struct RetryState<'a> {
    what: &'static str,
    account: &'a AccountClient,
    access: Arc<AccountAccess>,
    is_renewed: bool,
    attempt: u32,
}

impl<'a> RetryState<'a> {
    async fn begin(what: &'static str, account: &'a AccountClient) -> SwiftResult<Self> {
        Ok(Self {
            what,
            account,
            access: account.access().await?,
            is_renewed: false,
            attempt: 1,
        })
    }

    /// Returns the response if it is final. Otherwise waits until the request should be repeated,
    /// and returns `None`.
    async fn check<T: HasStatus>(
        &mut self,
        sent: Result<T, HttpClientError>,
    ) -> SwiftResult<Option<T>> {
        let status = sent.as_ref().ok().and_then(HasStatus::status);
        if status == Some(StatusCode::UNAUTHORIZED) && !self.is_renewed {
            // Once per request: if the new token is refused too, the credentials are at fault.
            self.is_renewed = true;
            self.access = self.account.renewed(&self.access).await?;
            return Ok(None);
        }
        let may_repeat = match &sent {
            Ok(_) => status.is_some_and(is_transient),
            Err(error) => failed_quickly(error),
        };
        if !may_repeat || self.attempt == MAX_ATTEMPTS {
            let what = self.what;
            return sent
                .map(Some)
                .map_err(|cause| SwiftError::Outgoing { what, cause });
        }
        tracing::warn!(
            what = self.what,
            status = status.map(|status| status.as_u16()),
            error = sent.err().map(|error| error.to_string()),
            "repeating a request to Swift"
        );
        tokio::time::sleep(FIRST_WAIT * 2_u32.pow(self.attempt - 1)).await;
        self.attempt += 1;
        Ok(None)
    }
}

impl Session {
    pub(super) fn new(account: Arc<AccountClient>, url: Option<&str>) -> Self {
        Self {
            account,
            url: url.map(Arc::from),
        }
    }

    /// Sends a request and reads the whole response, whatever its status.
    pub(super) async fn send(&self, call: &SwiftRequest) -> SwiftResult<Response<Bytes>> {
        let mut attempts = RetryState::begin(call.what, &self.account).await?;
        loop {
            let mut request = self.request(call, &attempts.access, full(call.body.clone()))?;
            if call.method == Method::PUT {
                // Swift requires the header for an empty body too; the HTTP library omits it.
                let length = call.body.len().into();
                request.headers_mut().insert(CONTENT_LENGTH, length);
            }
            let sent = self.account.client.fetch(request, MAX_RESPONSE_BYTES).await;
            if let Some(response) = attempts.check(sent).await? {
                return Ok(response);
            }
        }
    }

    /// Opens an object.
    pub(super) async fn open(
        &self,
        call: &SwiftRequest,
    ) -> SwiftResult<(response::Parts, RangeBody)> {
        let mut attempts = RetryState::begin(call.what, &self.account).await?;
        loop {
            let request = self.request(call, &attempts.access, ())?;
            let sent = self.account.client.open(request).await;
            if let Some(response) = attempts.check(sent).await? {
                return Ok(response);
            }
        }
    }

    /// Starts to send an object. No byte is taken from the caller before Swift has accepted the
    /// request, so that it can be repeated until then.
    pub(super) async fn put(
        &self,
        call: &SwiftRequest,
        length_bytes: Option<u64>,
        capacity: usize,
    ) -> SwiftResult<StreamStart> {
        let mut attempts = RetryState::begin(call.what, &self.account).await?;
        loop {
            let request = self.request(call, &attempts.access, ())?;
            let sent = self
                .account
                .client
                .start_streaming(request, length_bytes, capacity)
                .await;
            if let Some(begun) = attempts.check(sent).await? {
                return Ok(begun);
            }
        }
    }

    fn request<B>(
        &self,
        call: &SwiftRequest,
        access: &AccountAccess,
        body: B,
    ) -> SwiftResult<Request<B>> {
        let url = self.url.as_deref().unwrap_or(&access.storage_url);
        let request = call.request(url, access, body);
        request.map_err(|cause| SwiftError::Outgoing {
            what: call.what,
            cause,
        })
    }
}

/// Returns true if a status describes a condition that will pass.
fn is_transient(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::INTERNAL_SERVER_ERROR
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
            | StatusCode::TOO_MANY_REQUESTS
    )
}

/// Returns true if an attempt failed without a long wait. After a timeout the request is not
/// repeated, because the client has waited long enough.
fn failed_quickly(error: &HttpClientError) -> bool {
    match error {
        HttpClientError::Connect(cause) => cause.kind() != std::io::ErrorKind::TimedOut,
        HttpClientError::Closed | HttpClientError::Http(_) => true,
        _ => false,
    }
}
