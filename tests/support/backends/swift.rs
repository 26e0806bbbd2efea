//! OpenStack Swift, and S3 by the same server.

use std::ops::Deref;
use std::path::Path;
use std::sync::OnceLock;

use serde::Deserialize;

use super::Program;
use super::keystone::Keystone;

/// A Swift with one replica of everything.
#[derive(Debug)]
pub struct Swift {
    pub handle: SwiftHandle,
    program: Program,
}

/// How to reach a Swift.
#[derive(Debug, Clone, Deserialize)]
pub struct SwiftHandle {
    /// The proxy: the endpoint for S3, and what the URLs of Swift begin with.
    pub url: String,
    /// Where v1 auth is.
    pub auth_url: String,
    pub s3_region: String,
    /// A larger object is refused with 413: 64 MiB here, 5 GiB elsewhere.
    pub max_object_bytes: u64,
    /// An account and its only user.
    pub account: Account,
    /// A second account, whose user may do nothing in the first.
    pub other: Account,
    /// A third one, whose key is different in every encoding. `CANARY` is in it.
    pub odd: Account,
}

/// A user of v1 auth, who owns the account.
#[derive(Debug, Clone, Deserialize)]
pub struct Account {
    /// `account:user`; for S3 the access key.
    pub user: String,
    /// The key; for S3 the secret key.
    pub key: String,
    /// What `X-Storage-Url` says.
    pub storage_url: String,
}

impl Swift {
    /// One for all tests of this binary. It knows nothing of Keystone.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Swift> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// One's own.
    pub fn start() -> Self {
        let (program, handle) = Program::start("run_swift.py", &[]);
        Self { handle, program }
    }

    /// One that takes the tokens of a Keystone too, and is in its catalogue.
    pub fn start_with(keystone: &Keystone) -> Self {
        let file = keystone.file().display().to_string();
        let (program, handle) = Program::start("run_swift.py", &["--keystone", &file]);
        Self { handle, program }
    }

    /// The folder that everything of it is in.
    pub fn folder(&self) -> &Path {
        &self.program.folder
    }

    /// What it has logged so far, one line for each request and for each server that had it.
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
