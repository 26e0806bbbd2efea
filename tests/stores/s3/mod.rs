//! The S3 store with Swift's S3 API.
//!
//! * `store`: the store alone, on both kinds of runtime.
//! * `node`: the program with images in S3, seen by clients and in the bucket.
//! * `faults`: a backend that stalls, cuts and refuses.

mod faults;
mod node;
mod scrub;
mod store;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use glance::config::Secret;
use glance::http_client::TlsOptions;
use glance::store::{BucketUrl, Checksums, S3StoreOptions};
use serde::Deserialize;

use crate::support::backends::swift::{Account, Swift, SwiftHandle};
use crate::support::backends::{address_of, tool};
use crate::support::gate::Gate;
use crate::support::http::{Connection, Request, Response};
use crate::support::server::Setup;

const MIB: u64 = 1 << 20;

/// A bucket and its account.
#[derive(Clone)]
pub(crate) struct Bucket {
    pub(crate) service: SwiftHandle,
    pub(crate) name: String,
}

/// The contents of a bucket.
#[derive(Debug, Deserialize, PartialEq, Eq)]
pub(crate) struct Contents {
    pub(crate) objects: BTreeMap<String, Stored>,
    /// Keys of running multipart uploads.
    pub(crate) uploads: Vec<String>,
}

#[derive(Debug, Deserialize, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) size: u64,
    pub(crate) parts: u64,
}

impl Bucket {
    /// Returns a bucket with a unique name; the first image creates it.
    pub(crate) fn new(word: &str) -> Self {
        Self {
            service: Swift::shared().handle.clone(),
            name: crate::support::unique(word),
        }
    }

    /// The same name in an account with a secret of its own.
    pub(crate) fn of_other_account(mut self) -> Self {
        self.service.account = self.service.other.clone();
        self
    }

    pub(crate) fn account(&self) -> &Account {
        &self.service.account
    }

    /// The same name in the account whose key is different in every encoding.
    pub(crate) fn of_odd_account(mut self) -> Self {
        self.service.account = self.service.odd.clone();
        self
    }

    /// Small parts, so that little data has several.
    fn options(&self) -> S3StoreOptions {
        S3StoreOptions {
            endpoint: self.service.url.clone(),
            region: self.service.s3_region.clone(),
            access_key: Secret::new(self.account().user.as_str()),
            secret_key: Secret::new(self.account().key.as_str()),
            bucket: self.name.clone(),
            bucket_url: BucketUrl::Auto,
            creates_bucket: true,
            single_put_bytes: MIB,
            part_bytes: 5 * MIB,
            parts_at_once: 4,
            upload_memory_bytes: 64 * MIB,
            checksums: Checksums::WhenRequired,
            verify_uploads: true,
            tls: TlsOptions::default(),
            connect_timeout: Duration::from_secs(3),
            response_timeout: Duration::from_secs(30),
            stall_timeout: Duration::from_secs(60),
        }
    }

    /// A node that stores all images in the bucket.
    pub(crate) fn node(&self) -> Setup {
        self.node_at(&self.service.url)
    }

    /// A gate in front of S3.
    pub(crate) fn gate(&self) -> Gate {
        Gate::before(address_of(&self.service.url))
    }

    /// A node that reaches S3 through a gate.
    pub(crate) fn node_behind(&self, gate: &Gate) -> Setup {
        self.node_at(&gate.url(&self.service.url))
    }

    fn node_at(&self, url: &str) -> Setup {
        let account = self.account();
        [
            ("stores", "s3"),
            ("default_store", "s3"),
            ("s3_store_host", url),
            ("s3_store_region_name", &self.service.s3_region),
            ("s3_store_access_key", &account.user),
            ("s3_store_secret_key", &account.key),
            ("s3_store_bucket", &self.name),
            ("s3_store_create_bucket_on_put", "True"),
            ("s3_store_large_object_size", "1"),
            ("s3_store_large_object_chunk_size", "5"),
        ]
        .into_iter()
        .fold(Setup::new(), |setup, (name, value)| {
            setup.option_in("glance_store", name, value)
        })
    }

    /// Returns the parts of all multipart uploads, running, completed or abandoned, by Swift's own
    /// listing.
    #[track_caller]
    pub(crate) fn segments(&self) -> Vec<String> {
        let path = format!("/{}%2Bsegments", self.name);
        let listing = self.swift("GET", &path, None);
        match listing.status {
            404 => Vec::new(),
            _ => listing.text().lines().map(str::to_owned).collect(),
        }
    }

    /// Replaces an object's bytes directly in S3.
    #[track_caller]
    pub(crate) fn overwrite(&self, key: &str, bytes: &[u8]) {
        let path = format!("/{}/{key}", self.name);
        self.swift("PUT", &path, Some(bytes)).expect(201);
    }

    /// Removes an object directly from S3.
    #[track_caller]
    pub(crate) fn remove(&self, key: &str) {
        let path = format!("/{}/{key}", self.name);
        self.swift("DELETE", &path, None).expect(204);
    }

    /// Sends a request to Swift itself.
    fn swift(&self, method: &str, path: &str, body: Option<&[u8]>) -> Response {
        let mut connection = Connection::open(address_of(&self.service.url)).expect("Swift");
        let auth = Request::get("/auth/v1.0")
            .header("X-Auth-User", &self.account().user)
            .header("X-Auth-Key", &self.account().key);
        let answer = connection.request(&auth).expect(200);
        let token = answer.header("x-auth-token").expect("a token").to_owned();
        let storage = self.account().storage_url.as_str();
        let storage = storage.strip_prefix(&self.service.url).expect("a path");
        let request = Request::new(method, &format!("{storage}{path}"));
        let request = request.header("X-Auth-Token", token);
        connection.request(&match body {
            Some(bytes) => request.body(bytes),
            None => request,
        })
    }

    /// Lists the bucket with another client.
    #[track_caller]
    pub(crate) fn contents(&self) -> Contents {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stores/s3/list.py");
        let account = self.account();
        let mut command = tool("python");
        command
            .arg(script)
            .args([&self.service.url, &self.service.s3_region])
            .args([&account.user, &account.key, &self.name]);
        let output = command.output().expect("started");
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words}");
        serde_json::from_slice(&output.stdout).expect("the contents of the bucket")
    }
}
