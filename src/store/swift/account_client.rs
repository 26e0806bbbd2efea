//! An account of Swift, and requests to it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, response};

use super::login::{AccountAccess, Login, LoginError, SwiftEndpoint};
use super::swift_error::{SwiftError, SwiftResult};
use crate::http_client::{ExpiringCell, HttpClient, HttpClientError, StreamStart, empty, full};
use crate::transfer::RangeBody;

/// Times a request is sent that Swift does not answer, or for which it is too busy.
const MOST_TRIES: u32 = 3;

/// The wait before the second of them; doubled before each further one.
const FIRST_WAIT: Duration = Duration::from_millis(250);

/// The longest answer that is read; a page of a listing has 250 KiB.
const MOST_ANSWER_BYTES: usize = 4 << 20;

/// An account, and whoever logs in to it.
pub(super) struct AccountClient {
    client: HttpClient,
    login: Login,
    endpoint: SwiftEndpoint,
    access: ExpiringCell<AccountAccess, LoginError>,
}

/// An account as one that is used: with the URL that its login tells, or with another at
/// the same host.
#[derive(Clone)]
pub(super) struct Session {
    account: Arc<AccountClient>,
    url: Option<Arc<str>>,
}

/// A request to an account. Sent again when that may help: all of them may be repeated.
#[derive(Debug, Clone)]
pub(super) struct SwiftRequest {
    /// For the log.
    pub(super) what: &'static str,
    pub(super) method: Method,
    /// Below the account, encoded.
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

/// An answer of any kind.
trait HasStatus {
    /// `None` as long as there is none to be judged.
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

    /// The account's URL, without a slash at its end.
    pub(super) async fn url(&self) -> SwiftResult<String> {
        Ok(self.access().await?.storage_url.clone())
    }

    /// Sends a request without a token.
    pub(super) async fn get_without_token(
        &self,
        uri: Uri,
    ) -> Result<Response<Bytes>, HttpClientError> {
        let mut request = Request::new(empty());
        *request.uri_mut() = uri;
        self.client.fetch(request, MOST_ANSWER_BYTES).await
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

/// A request on its way to an answer that may be final: with another token when one is
/// refused, and again after a while when Swift is away or too busy.
struct RetryState<'a> {
    what: &'static str,
    account: &'a AccountClient,
    access: Arc<AccountAccess>,
    is_renewed: bool,
    tries: u32,
}

impl<'a> RetryState<'a> {
    async fn begin(what: &'static str, account: &'a AccountClient) -> SwiftResult<Self> {
        Ok(Self {
            what,
            account,
            access: account.access().await?,
            is_renewed: false,
            tries: 1,
        })
    }

    /// The answer, if it may be final. Otherwise waits until it is right to send the request
    /// again.
    async fn judge<T: HasStatus>(
        &mut self,
        sent: Result<T, HttpClientError>,
    ) -> SwiftResult<Option<T>> {
        let status = sent.as_ref().ok().and_then(HasStatus::status);
        if status == Some(StatusCode::UNAUTHORIZED) && !self.is_renewed {
            self.is_renewed = true;
            self.access = self.account.renewed(&self.access).await?;
            return Ok(None);
        }
        let may_help = match &sent {
            Ok(_) => status.is_some_and(is_passing),
            Err(error) => is_quick(error),
        };
        if !may_help || self.tries == MOST_TRIES {
            let what = self.what;
            return sent
                .map(Some)
                .map_err(|cause| SwiftError::Outgoing { what, cause });
        }
        tracing::warn!(
            what = self.what,
            status = status.map(|status| status.as_u16()),
            error = sent.err().map(|error| error.to_string()),
            "Swift is asked again"
        );
        tokio::time::sleep(FIRST_WAIT * 2_u32.pow(self.tries - 1)).await;
        self.tries += 1;
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

    /// Sends a request and reads the whole answer, good or bad.
    pub(super) async fn call(&self, call: &SwiftRequest) -> SwiftResult<Response<Bytes>> {
        let mut attempts = RetryState::begin(call.what, &self.account).await?;
        loop {
            let mut request = self.request(call, &attempts.access, full(call.body.clone()))?;
            if call.method == Method::PUT {
                // Swift wants it for no bytes too, where the HTTP library has none.
                let length = call.body.len().into();
                request.headers_mut().insert(CONTENT_LENGTH, length);
            }
            let sent = self.account.client.fetch(request, MOST_ANSWER_BYTES).await;
            if let Some(answer) = attempts.judge(sent).await? {
                return Ok(answer);
            }
        }
    }

    /// Asks for an object.
    pub(super) async fn open(
        &self,
        call: &SwiftRequest,
    ) -> SwiftResult<(response::Parts, RangeBody)> {
        let mut attempts = RetryState::begin(call.what, &self.account).await?;
        loop {
            let request = self.request(call, &attempts.access, ())?;
            let sent = self.account.client.open(request).await;
            if let Some(answer) = attempts.judge(sent).await? {
                return Ok(answer);
            }
        }
    }

    /// Begins to send an object. No byte of it is taken by anybody before Swift wants them.
    pub(super) async fn put(
        &self,
        call: &SwiftRequest,
        length_bytes: Option<u64>,
        room: usize,
    ) -> SwiftResult<StreamStart> {
        let mut attempts = RetryState::begin(call.what, &self.account).await?;
        loop {
            let request = self.request(call, &attempts.access, ())?;
            let sent = self.account.client.put(request, length_bytes, room).await;
            if let Some(begun) = attempts.judge(sent).await? {
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

/// Whether an answer speaks of a state that will pass.
fn is_passing(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::INTERNAL_SERVER_ERROR
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
            | StatusCode::TOO_MANY_REQUESTS
    )
}

/// Whether a failure is one that cost no time: after a long silence nobody waits for another.
fn is_quick(error: &HttpClientError) -> bool {
    match error {
        HttpClientError::Connect(cause) => cause.kind() != std::io::ErrorKind::TimedOut,
        HttpClientError::Closed | HttpClientError::Http(_) => true,
        _ => false,
    }
}
