//! The SDK's clients of one account. Every setting is explicit, so that the SDK reads nothing from
//! the environment, from files, or from the instance metadata service.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    BehaviorVersion, Builder, Credentials, IdentityCache, Region, RequestChecksumCalculation,
    ResponseChecksumValidation, SharedHttpClient, StalledStreamProtectionConfig,
};

use super::options::{BucketUrl, Checksums, S3StoreOptions};
use super::region::{is_amazon, region_of};
use crate::config::Secret;

/// Longest time of one attempt of a request without image data.
const CALL_LIMIT: Duration = Duration::from_secs(60);

/// Longest time for joining the parts of an object, which may take minutes.
const COMPLETE_LIMIT: Duration = Duration::from_secs(600);

/// Longest time that a response may make too little progress before the SDK gives it up.
const STALL_GRACE: Duration = Duration::from_secs(60);

/// The most attempts of a request.
const ATTEMPTS: u32 = 3;

/// MemoryState whose clients are kept; those of old locations are few.
const MAX_ACCOUNTS: usize = 16;

/// A service and the keys of an account there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct S3Account {
    /// The service's URL.
    pub(super) endpoint: String,
    pub(super) access_key: Secret,
    pub(super) secret_key: Secret,
}

/// The clients of one account. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct AccountClients {
    /// For short requests.
    pub(super) calls: Client,
    /// For image data, without a time limit: the HTTP client limits the time without progress.
    pub(super) data: Client,
    /// For joining parts, whose response is slow.
    pub(super) completion: Client,
    /// The region that requests are signed for.
    pub(super) region: String,
}

/// Creates and caches the clients of accounts.
#[derive(Debug)]
pub(super) struct ClientCache {
    http: SharedHttpClient,
    region: String,
    bucket_url: BucketUrl,
    checksums: Checksums,
    known: Mutex<Vec<(S3Account, AccountClients)>>,
}

impl ClientCache {
    pub(super) fn new(options: &S3StoreOptions, http: SharedHttpClient) -> Self {
        Self {
            http,
            region: options.region.clone(),
            bucket_url: options.bucket_url,
            checksums: options.checksums,
            known: Mutex::default(),
        }
    }

    /// Returns the clients of an account.
    pub(super) fn of(&self, account: S3Account) -> AccountClients {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, clients)) = known.iter().find(|(other, _)| *other == account) {
            return clients.clone();
        }
        if known.len() >= MAX_ACCOUNTS {
            known.remove(0);
        }
        let clients = self.connect(&account);
        known.push((account, clients.clone()));
        clients
    }

    fn connect(&self, account: &S3Account) -> AccountClients {
        let region = match self.region.as_str() {
            "" => region_of(&account.endpoint),
            region => region,
        };
        let common = self.settings(account, region);
        let short = TimeoutConfig::builder().operation_attempt_timeout(CALL_LIMIT);
        let long = TimeoutConfig::builder().operation_timeout(COMPLETE_LIMIT);
        let client = |settings: Builder| Client::from_conf(settings.build());
        AccountClients {
            calls: client(common.clone().timeout_config(short.build())),
            data: client(common.clone().timeout_config(TimeoutConfig::disabled())),
            completion: client(
                common
                    .timeout_config(long.build())
                    .stalled_stream_protection(StalledStreamProtectionConfig::disabled()),
            ),
            region: region.to_owned(),
        }
    }

    fn settings(&self, account: &S3Account, region: &str) -> Builder {
        let host = account.endpoint.as_str();
        let path_style = match self.bucket_url {
            BucketUrl::Auto => !is_amazon(host),
            BucketUrl::Path => true,
            BucketUrl::Virtual => false,
        };
        let (requests, responses) = match self.checksums {
            Checksums::WhenRequired => (
                RequestChecksumCalculation::WhenRequired,
                ResponseChecksumValidation::WhenRequired,
            ),
            Checksums::WhenSupported => (
                RequestChecksumCalculation::WhenSupported,
                ResponseChecksumValidation::WhenSupported,
            ),
        };
        Builder::new()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .http_client(self.http.clone())
            .endpoint_url(host)
            .region(Region::new(region.to_owned()))
            .credentials_provider(credentials(account))
            // Static keys need no cache.
            .identity_cache(IdentityCache::no_cache())
            .force_path_style(path_style)
            .request_checksum_calculation(requests)
            .response_checksum_validation(responses)
            // The HTTP client limits the time without progress of uploads.
            .stalled_stream_protection(
                StalledStreamProtectionConfig::enabled()
                    .upload_enabled(false)
                    .grace_period(STALL_GRACE)
                    .build(),
            )
            .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
    }
}

fn credentials(account: &S3Account) -> Credentials {
    Credentials::new(
        account.access_key.expose(),
        account.secret_key.expose(),
        None,
        None,
        "glance",
    )
}
