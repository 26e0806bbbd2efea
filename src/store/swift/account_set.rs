//! Finds the account of a location, and decides which hosts may receive which credentials.
//!
//! An address in a location may be a user's text. It is dialled with the unfiltered client only if
//! the operator has configured its host. The operator's token is sent only to the host that the
//! operator's own login returned.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::Uri;
use http::uri::{Authority, Scheme};

use super::account_client::{AccountClient, Session};
use super::location::{Credentials, LocationAccount};
use super::login::{Login, SwiftEndpoint, V1};
use super::swift_error::{SwiftError, SwiftResult};
use crate::config::{DomainOption, SwiftAccount, SwiftAuth};
use crate::http_client::HttpClient;
use crate::keystone::{self, Domain, Keystone, Project, User};

/// The most cached accounts of locations. If there are more, the cache is cleared.
const MAX_UNTRUSTED: usize = 256;

/// The configured accounts, and those of locations.
pub(super) struct AccountSet {
    options: AccountSetOptions,
    named: HashMap<String, Arc<AccountClient>>,
    untrusted: Mutex<HashMap<Credentials, Arc<AccountClient>>>,
}

/// Options of the accounts.
pub(super) struct AccountSetOptions {
    pub(super) accounts: Vec<SwiftAccount>,
    pub(super) default_reference: String,
    pub(super) endpoint: SwiftEndpoint,
    pub(super) renew_before: Duration,
    /// For hosts that the operator has configured.
    pub(super) client: HttpClient,
    /// For hosts that only a location names; filters addresses.
    pub(super) untrusted: HttpClient,
}

impl AccountSet {
    pub(super) fn new(options: AccountSetOptions) -> SwiftResult<Self> {
        let mut named = HashMap::new();
        for account in &options.accounts {
            let login = options.login(account, &options.client)?;
            let endpoint = options.endpoint.clone();
            let own = Arc::new(AccountClient::new(options.client.clone(), login, endpoint));
            named.insert(account.reference.clone(), own);
        }
        Ok(Self {
            options,
            named,
            untrusted: Mutex::default(),
        })
    }

    /// Returns the account of new images.
    pub(super) fn default(&self) -> SwiftResult<&Arc<AccountClient>> {
        self.named(&self.options.default_reference)
    }

    /// Returns a session that can read a location's object.
    pub(super) async fn session_of(&self, account: &LocationAccount) -> SwiftResult<Session> {
        match account {
            LocationAccount::Reference(reference) => {
                let account = self.named(reference)?;
                Ok(Session::new(Arc::clone(account), None))
            }
            LocationAccount::Login(credentials) => {
                Ok(Session::new(self.by_login(credentials)?, None))
            }
            LocationAccount::Url(url) => self.by_url(url).await,
        }
    }

    fn named(&self, reference: &str) -> SwiftResult<&Arc<AccountClient>> {
        let account = self.named.get(reference);
        account.ok_or(SwiftError::Address(
            "no configured account has its reference",
        ))
    }

    /// Returns a session for another account's URL with the token of the default account. The URL
    /// must be at the same host; Swift decides what the token permits there.
    async fn by_url(&self, url: &str) -> SwiftResult<Session> {
        let account = self.default()?;
        let own = account.url().await?;
        if origin_of(url).is_none() || origin_of(url) != origin_of(&own) {
            return Err(SwiftError::Address(
                "it has no login, and is not at the Swift of the store's own account",
            ));
        }
        Ok(Session::new(Arc::clone(account), Some(url)))
    }

    fn by_login(&self, credentials: &Credentials) -> SwiftResult<Arc<AccountClient>> {
        let own = self.options.accounts.iter();
        let mut own = own.filter(|own| is_same(own, credentials));
        if let Some(own) = own.next() {
            return self.named(&own.reference).cloned();
        }
        let mut untrusted = self
            .untrusted
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = untrusted.get(credentials) {
            return Ok(Arc::clone(known));
        }
        let account = Arc::new(self.options.untrusted_account(credentials)?);
        if untrusted.len() >= MAX_UNTRUSTED {
            untrusted.clear();
        }
        untrusted.insert(credentials.clone(), Arc::clone(&account));
        Ok(account)
    }
}

impl AccountSetOptions {
    fn login(&self, account: &SwiftAccount, client: &HttpClient) -> SwiftResult<Login> {
        if account.auth == SwiftAuth::V1 {
            return Ok(Login::V1(V1 {
                client: client.clone(),
                address: account.auth_address.clone(),
                user: account.user.clone(),
                key: account.key.clone(),
                renew_before: self.renew_before,
            }));
        }
        let keystone = Keystone::new(client.clone(), &account.auth_address, self.renew_before);
        let keystone = keystone
            .map_err(|_| SwiftError::Address("the login address is not an http or https URL"))?;
        let (project, user) = account.user.split_once(':').ok_or(SwiftError::Address(
            "its user is not project:user, as Keystone requires",
        ))?;
        let user = User::Name {
            name: user.to_owned(),
            domain: domain(&account.user_domain),
        };
        let project = Project::Name {
            name: project.to_owned(),
            domain: domain(&account.project_domain),
        };
        let login = keystone::Login::by_password(user, account.key.clone(), project);
        Ok(Login::V3 { keystone, login })
    }

    /// Creates an account from the credentials of a location. Settings that a location does not
    /// have are those of the configured account at the same host, otherwise those of the default
    /// account.
    fn untrusted_account(&self, credentials: &Credentials) -> SwiftResult<AccountClient> {
        let origin = origin_of(&credentials.auth_address).ok_or(SwiftError::Address(
            "the login address is not an http or https URL",
        ))?;
        let at_origin =
            |own: &&SwiftAccount| origin_of(&own.auth_address).as_ref() == Some(&origin);
        let neighbour = self.accounts.iter().find(at_origin);
        let is_default = |own: &&SwiftAccount| own.reference == self.default_reference;
        let like = neighbour.or_else(|| self.accounts.iter().find(is_default));
        let default_domain = DomainOption::Id("default".to_owned());
        let account = SwiftAccount {
            reference: String::new(),
            auth_address: credentials.auth_address.clone(),
            auth: auth_at(&credentials.auth_address, like),
            user: credentials.user.clone(),
            key: credentials.key.clone(),
            user_domain: like.map_or(default_domain.clone(), |like| like.user_domain.clone()),
            project_domain: like.map_or(default_domain, |like| like.project_domain.clone()),
        };
        let client = match neighbour {
            Some(_) => &self.client,
            None => &self.untrusted,
        };
        let endpoint = SwiftEndpoint {
            // The configured URL belongs to another account.
            url: None,
            ..self.endpoint.clone()
        };
        let login = self.login(&account, client)?;
        Ok(AccountClient::new(client.clone(), login, endpoint))
    }
}

/// Returns how to log in at an address: by the version at its end, otherwise as `like`.
fn auth_at(address: &str, like: Option<&SwiftAccount>) -> SwiftAuth {
    let last = address.trim_end_matches('/').rsplit('/').next();
    match last {
        Some("v1.0" | "v1" | "v1.1") => SwiftAuth::V1,
        Some("v3" | "v2.0") => SwiftAuth::V3,
        _ => like.map_or(SwiftAuth::V3, |like| like.auth),
    }
}

fn is_same(own: &SwiftAccount, credentials: &Credentials) -> bool {
    let address = |address: &str| address.trim_end_matches('/').to_owned();
    address(&own.auth_address) == address(&credentials.auth_address)
        && own.user == credentials.user
        && own.key == credentials.key
}

/// Returns scheme, host in lower case, and port of a URL.
pub(super) fn origin_of(url: &str) -> Option<(Scheme, String, u16)> {
    let uri: Uri = url.parse().ok()?;
    let scheme = uri.scheme()?.clone();
    let is_tls = scheme == Scheme::HTTPS;
    if !is_tls && scheme != Scheme::HTTP {
        return None;
    }
    let authority = uri
        .authority()
        .filter(|authority| has_no_login(authority))?;
    let port = match authority.port() {
        Some(port) => port.as_str().parse().ok()?,
        None if is_tls => 443,
        None => 80,
    };
    Some((scheme, authority.host().to_ascii_lowercase(), port))
}

fn has_no_login(authority: &Authority) -> bool {
    !authority.as_str().contains('@')
}

fn domain(option: &DomainOption) -> Domain {
    match option {
        DomainOption::Id(id) => Domain::Id(id.clone()),
        DomainOption::Name(name) => Domain::Name(name.clone()),
    }
}
