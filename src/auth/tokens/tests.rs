//! Tests with a simulated Keystone, which counts requests and injects faults. `tests/api` runs
//! against a real one.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Mutex;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{sleep, timeout};

use super::*;
use crate::auth::CallerRules;
use crate::config::Secret;
use crate::http_client::{AddressPolicy, HttpClient, HttpClientOptions, TlsOptions, client_config};
use crate::keystone::{Domain, Project, User};

/// The state of the simulated Keystone.
#[derive(Default)]
struct Peer {
    address: Option<SocketAddr>,
    /// The issued tokens: roles, and whether the token has expired.
    tokens: HashMap<&'static str, (&'static str, bool)>,
    /// Error statuses to send instead of responses, last one first.
    faults: Vec<StatusCode>,
    logins: usize,
    validations: usize,
    /// Number of the last login; tokens of earlier logins are not valid.
    own: usize,
    slow: Duration,
}

type Shared = Arc<Mutex<Peer>>;

fn with<T>(peer: &Shared, look: impl FnOnce(&mut Peer) -> T) -> T {
    look(&mut peer.lock().unwrap())
}

async fn answer(peer: Shared, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let slow = with(&peer, |peer| peer.slow);
    sleep(slow).await;
    with(&peer, |peer| {
        if let Some(fault) = peer.faults.pop() {
            peer.validations += usize::from(request.method() == Method::GET);
            return plain(fault);
        }
        match *request.method() {
            Method::POST => peer.log_in(),
            _ => peer.tell(&request),
        }
    })
}

fn plain(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}

fn token(roles: &str) -> Bytes {
    let body = serde_json::json!({"token": {
        "user": {"id": "u"}, "project": {"id": "p"},
        "roles": [{"name": roles}],
        "issued_at": "2001-01-01T00:00:00Z", "expires_at": "2101-01-01T00:00:00Z",
    }});
    body.to_string().into()
}

impl Peer {
    fn log_in(&mut self) -> Response<Full<Bytes>> {
        self.logins += 1;
        self.own = self.logins;
        let mut response = Response::new(Full::new(token("service")));
        *response.status_mut() = StatusCode::CREATED;
        let own = HeaderValue::from_str(&format!("own-{}", self.own)).unwrap();
        response.headers_mut().insert("x-subject-token", own);
        response
    }

    fn tell(&mut self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        self.validations += 1;
        let own = format!("own-{}", self.own);
        if request.headers()["x-auth-token"] != own.as_str() {
            return plain(StatusCode::UNAUTHORIZED);
        }
        let query = request.uri().query().unwrap_or_default();
        let expired_too = query.contains("allow_expired=1");
        let shown = request.headers()["x-subject-token"].to_str().unwrap();
        match self.tokens.get(shown) {
            Some((roles, expired)) if expired_too || !expired => {
                Response::new(Full::new(token(roles)))
            }
            _ => plain(StatusCode::NOT_FOUND),
        }
    }
}

async fn start() -> Shared {
    let peer = Shared::default();
    serve(&peer, SocketAddr::from(([127, 0, 0, 1], 0))).await;
    peer
}

/// Starts the server. Aborting the returned task closes the listener and its connections.
async fn serve(peer: &Shared, address: SocketAddr) -> tokio::task::JoinHandle<()> {
    let listener = TcpListener::bind(address).await.unwrap();
    let address = listener.local_addr().unwrap();
    with(peer, |peer| peer.address = Some(address));
    let peer = Arc::clone(peer);
    spawn_local(async move {
        let mut connections = tokio::task::JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let peer = Arc::clone(&peer);
            let service = hyper::service::service_fn(move |request| {
                let answer = answer(Arc::clone(&peer), request);
                async move { Ok::<_, Infallible>(answer.await) }
            });
            let http = hyper::server::conn::http1::Builder::new();
            connections.spawn_local(http.serve_connection(TokioIo::new(stream), service));
        }
    })
}

fn tokens(peer: &Shared, change: impl FnOnce(&mut TokenOptions)) -> TokenAuthenticator {
    let limit = Duration::from_secs(2);
    let client = HttpClient::new(HttpClientOptions {
        connect_timeout: limit,
        answer_timeout: limit,
        idle_timeout: limit,
        address_policy: AddressPolicy::Any,
        tls: client_config(&TlsOptions::default()).unwrap(),
    });
    let address = with(peer, |peer| peer.address.unwrap());
    let domain = Domain::Id("default".to_owned());
    let keystone = Keystone::new(client, &format!("http://{address}/v3"), limit).unwrap();
    let mut options = TokenOptions {
        keystone,
        login: Login::by_password(
            User::Id("glance".to_owned()),
            Secret::new("secret"),
            Project::Name {
                name: "service".to_owned(),
                domain,
            },
        ),
        keep: Duration::from_secs(300),
        keep_refusals: Duration::from_secs(300),
        max_cached: 100,
        max_validations: 10,
        retries: 0,
        limit: Duration::from_secs(15),
        service_roles: vec!["service".to_owned()],
        service_roles_required: false,
        rules: CallerRules {
            admin_role: "admin".to_owned(),
            owner_is_tenant: true,
        },
    };
    change(&mut options);
    TokenAuthenticator::new(options)
}

async fn ask(tokens: &TokenAuthenticator, headers: &[(&str, &str)]) -> Result<Option<Arc<Caller>>> {
    let headers = headers
        .iter()
        .map(|(name, value)| (*name, value.as_bytes()));
    tokens.caller(&IdentityHeaders::read(headers)).await
}

async fn show(tokens: &TokenAuthenticator, token: &str) -> Result<Arc<Caller>> {
    let caller = ask(tokens, &[("X-Auth-Token", token)]).await?;
    Ok(caller.expect("the request has a token"))
}

fn try_caller(tokens: &TokenAuthenticator, token: &str) -> bool {
    let headers = [("x-auth-token", token.as_bytes())].into_iter();
    tokens.try_caller(&IdentityHeaders::read(headers)).is_some()
}

fn validations(peer: &Shared) -> usize {
    with(peer, |peer| peer.validations)
}

#[track_caller]
fn is_refused(result: Result<Arc<Caller>>) {
    assert_eq!(result.unwrap_err().kind(), Kind::Unauthenticated);
}

#[track_caller]
fn is_unavailable(result: Result<Arc<Caller>>) {
    assert!(matches!(
        result.unwrap_err().kind(),
        Kind::Unavailable { .. }
    ));
}

fn run(test: impl Future<Output = ()>) {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().build().unwrap();
    let test = async { timeout(Duration::from_secs(20), test).await };
    LocalSet::new()
        .block_on(&runtime, test)
        .expect("the test ends in time");
}

#[test]
fn concurrent_requests_cause_one_validation() {
    run(async {
        let peer = start().await;
        with(&peer, |peer| {
            peer.tokens.insert("good", ("Admin", false));
            peer.slow = Duration::from_millis(20);
        });
        let tokens = tokens(&peer, |_| {});
        assert!(!try_caller(&tokens, "good"));
        let all = futures_of(20, || show(&tokens, "good"));
        for caller in all.await {
            let caller = caller.unwrap();
            assert_eq!(caller.tenant.as_deref(), Some("p"));
            assert!(caller.is_admin);
        }
        assert!(try_caller(&tokens, "good"));
        show(&tokens, "good").await.unwrap();
        assert_eq!(
            (validations(&peer), with(&peer, |peer| peer.logins)),
            (1, 1)
        );
    });
}

/// Runs `count` futures concurrently and returns their results.
async fn futures_of<T, F: Future<Output = T>>(count: usize, make: impl Fn() -> F) -> Vec<T> {
    let mut all: Vec<_> = (0..count).map(|_| Box::pin(make())).collect();
    let mut done: Vec<Option<T>> = (0..count).map(|_| None).collect();
    std::future::poll_fn(|cx| {
        for (future, done) in all.iter_mut().zip(&mut done) {
            if done.is_none()
                && let std::task::Poll::Ready(value) = future.as_mut().poll(cx)
            {
                *done = Some(value);
            }
        }
        match done.iter().all(Option::is_some) {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        }
    })
    .await;
    done.into_iter().flatten().collect()
}

#[test]
fn invalid_token_is_refused_and_cached() {
    run(async {
        let peer = start().await;
        let tokens = tokens(&peer, |_| {});
        is_refused(show(&tokens, "bad").await);
        is_refused(show(&tokens, "bad").await);
        assert_eq!(validations(&peer), 1);
        assert!(!try_caller(&tokens, "bad"));
        for odd in ["a b", "ü", "\u{7f}"] {
            is_refused(show(&tokens, odd).await);
        }
        assert_eq!(
            validations(&peer),
            1,
            "malformed tokens are not sent to Keystone"
        );
        assert_eq!(ask(&tokens, &[]).await.unwrap(), None);
        let twice = [("x-auth-token", "a"), ("x-auth-token", "b")];
        assert_eq!(
            ask(&tokens, &twice).await.unwrap_err().kind(),
            Kind::Invalid
        );
    });
}

/// PKI tokens of old Keystones.
#[test]
fn long_token_is_validated() {
    run(async {
        let peer = start().await;
        let long = "M".repeat(12 * 1024);
        let known: &'static str = long.clone().leak();
        with(&peer, |peer| peer.tokens.insert(known, ("member", false)));
        let tokens = tokens(&peer, |_| {});
        show(&tokens, &long).await.unwrap();
        is_refused(show(&tokens, &format!("{long}x")).await);
        assert_eq!(validations(&peer), 2);
    });
}

#[test]
fn one_time_limit_covers_all_validations_of_a_request() {
    run(async {
        let peer = start().await;
        with(&peer, |peer| {
            peer.tokens.insert("user", ("member", false));
            peer.tokens.insert("nova", ("service", false));
            peer.slow = Duration::from_secs(60);
        });
        let limit = Duration::from_millis(100);
        let tokens = tokens(&peer, |options| {
            options.retries = 100;
            options.limit = limit;
        });
        let began = Instant::now();
        is_unavailable(show(&tokens, "user").await);
        let both = [("x-auth-token", "user"), ("x-service-token", "nova")];
        let late = ask(&tokens, &both).await.unwrap_err();
        assert!(matches!(late.kind(), Kind::Unavailable { .. }));
        // The client alone would wait two seconds for each answer.
        assert!(
            began.elapsed() < Duration::from_secs(2),
            "{:?}",
            began.elapsed()
        );
        with(&peer, |peer| peer.slow = Duration::ZERO);
        while show(&tokens, "user").await.is_err() {}
    });
}

#[test]
fn revoked_token_works_until_its_cache_time_ends() {
    run(async {
        let peer = start().await;
        with(&peer, |peer| peer.tokens.insert("good", ("member", false)));
        let kept = Duration::from_millis(200);
        let tokens = tokens(&peer, |options| {
            options.keep = kept;
            options.keep_refusals = Duration::ZERO;
        });
        show(&tokens, "good").await.unwrap();
        with(&peer, |peer| peer.tokens.clear());
        show(&tokens, "good").await.unwrap();
        sleep(kept).await;
        assert!(!try_caller(&tokens, "good"));
        is_refused(show(&tokens, "good").await);
        with(&peer, |peer| peer.tokens.insert("good", ("member", false)));
        show(&tokens, "good").await.unwrap();
    });
}

#[test]
fn own_token_is_renewed_when_refused() {
    run(async {
        let peer = start().await;
        with(&peer, |peer| {
            peer.tokens.insert("a", ("member", false));
            peer.tokens.insert("b", ("member", false));
        });
        let tokens = tokens(&peer, |_| {});
        show(&tokens, "a").await.unwrap();
        // Keystone has revoked the token of this server.
        with(&peer, |peer| peer.own = 0);
        show(&tokens, "b").await.unwrap();
        assert_eq!(
            (validations(&peer), with(&peer, |peer| peer.logins)),
            (3, 2)
        );
    });
}

#[test]
fn keystone_errors_make_requests_unavailable_not_unauthenticated() {
    run(async {
        let peer = start().await;
        with(&peer, |peer| {
            peer.tokens.insert("good", ("member", false));
            peer.faults = vec![StatusCode::INTERNAL_SERVER_ERROR, StatusCode::FORBIDDEN];
        });
        let tokens = tokens(&peer, |_| {});
        // The login is refused, then the question breaks.
        is_unavailable(show(&tokens, "good").await);
        is_unavailable(show(&tokens, "good").await);
        show(&tokens, "good").await.unwrap();
    });
}

#[test]
fn cached_tokens_work_while_keystone_is_down() {
    run(async {
        let peer = Shared::default();
        let listening = serve(&peer, SocketAddr::from(([127, 0, 0, 1], 0))).await;
        with(&peer, |peer| {
            peer.tokens.insert("known", ("member", false));
            peer.tokens.insert("new", ("member", false));
        });
        let tokens = tokens(&peer, |options| options.retries = 20);
        show(&tokens, "known").await.unwrap();
        listening.abort();
        assert!(listening.await.unwrap_err().is_cancelled());
        show(&tokens, "known").await.unwrap();
        let asking = show(&tokens, "new");
        let away = timeout(Duration::from_millis(300), asking).await;
        assert!(away.is_err(), "it retries");
        let address = with(&peer, |peer| peer.address.unwrap());
        serve(&peer, address).await;
        show(&tokens, "new").await.unwrap();
    });
}

#[test]
fn unreachable_keystone_without_retries_is_unavailable() {
    run(async {
        let peer = Shared::default();
        let listening = serve(&peer, SocketAddr::from(([127, 0, 0, 1], 0))).await;
        let tokens = tokens(&peer, |_| {});
        listening.abort();
        assert!(listening.await.unwrap_err().is_cancelled());
        is_unavailable(show(&tokens, "any").await);
    });
}

#[test]
fn validation_survives_cancelled_request() {
    run(async {
        let peer = start().await;
        with(&peer, |peer| {
            peer.tokens.insert("good", ("member", false));
            peer.slow = Duration::from_millis(50);
        });
        let tokens = tokens(&peer, |_| {});
        let gone = timeout(Duration::from_millis(10), show(&tokens, "good")).await;
        assert!(gone.is_err());
        show(&tokens, "good").await.unwrap();
        assert_eq!(validations(&peer), 1);
    });
}

#[test]
fn service_may_present_expired_user_token() {
    run(async {
        let peer = start().await;
        with(&peer, |peer| {
            peer.tokens.insert("old", ("member", true));
            peer.tokens.insert("nova", ("Service", false));
            peer.tokens.insert("user", ("member", false));
        });
        let lenient = tokens(&peer, |_| {});
        is_refused(show(&lenient, "old").await);
        let both = |service| [("x-auth-token", "old"), ("x-service-token", service)];
        let caller = ask(&lenient, &both("nova")).await.unwrap().unwrap();
        assert_eq!(caller.roles, ["member"]);
        assert_eq!(caller.service_roles, ["service"]);
        for no_service in ["user", "unknown"] {
            let refused = ask(&lenient, &both(no_service)).await.unwrap_err();
            assert_eq!(refused.kind(), Kind::Unauthenticated, "{no_service}");
        }
        let no_service = [("x-auth-token", "user"), ("x-service-token", "user")];
        assert!(ask(&lenient, &no_service).await.unwrap().is_some());
        let strict = tokens(&peer, |options| options.service_roles_required = true);
        let refused = ask(&strict, &no_service).await.unwrap_err();
        assert_eq!(refused.kind(), Kind::Unauthenticated);
        is_refused(show(&lenient, "old").await);
    });
}
