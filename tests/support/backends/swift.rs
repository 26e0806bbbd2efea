//! Starts OpenStack Swift, which also provides S3.

use std::ops::Deref;
use std::path::Path;
use std::sync::OnceLock;

use serde::Deserialize;

use super::Program;
use super::keystone::Keystone;

/// A running Swift with a single replica.
#[derive(Debug)]
pub struct Swift {
    pub handle: SwiftHandle,
    program: Program,
}

/// Addresses and users of a Swift.
#[derive(Debug, Clone, Deserialize)]
pub struct SwiftHandle {
    /// URL of the proxy: the endpoint for S3 and the base of Swift's URLs.
    pub url: String,
    /// URL of the v1 authentication.
    pub auth_url: String,
    pub s3_region: String,
    /// Largest object; a larger one is answered with 413. 64 MiB here, 5 GiB by default.
    pub max_object_bytes: u64,
    /// An account and its only user.
    pub account: Account,
    /// A second account, whose user has no rights in the first.
    pub other: Account,
    /// A third account, whose key differs in every encoding and contains `CANARY`.
    pub odd: Account,
}

/// A user of v1 authentication, which owns its account.
#[derive(Debug, Clone, Deserialize)]
pub struct Account {
    /// `account:user`, which is also the access key of S3.
    pub user: String,
    /// The key, which is also the secret key of S3.
    pub key: String,
    /// Value of `X-Storage-Url`.
    pub storage_url: String,
}

impl Swift {
    /// Returns the one that all tests of this binary share. It does not use Keystone.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Swift> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// Starts a Swift for one test.
    pub fn start() -> Self {
        let (program, handle) = Program::start("run_swift.py", &[]);
        Self { handle, program }
    }

    /// Starts a Swift that also accepts the tokens of a Keystone and is in its catalogue.
    pub fn start_with(keystone: &Keystone) -> Self {
        let file = keystone.file().display().to_string();
        let (program, handle) = Program::start("run_swift.py", &["--keystone", &file]);
        Self { handle, program }
    }

    /// Returns the folder that contains all of its files.
    pub fn folder(&self) -> &Path {
        &self.program.folder
    }

    /// Returns its log so far: one line for each request and each server process that handled it.
    pub fn log(&self) -> String {
        self.program.read("swift.log")
    }
}

impl Deref for Swift {
    type Target = SwiftHandle;

    fn deref(&self) -> &SwiftHandle {
        &self.handle
    }
}
