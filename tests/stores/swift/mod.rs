//! The Swift store with a real Swift, with logins by v1.0 and by Keystone.

mod conformance;
pub(crate) mod container;
mod faults;
mod locations;
mod node;
mod objects;
mod tokens;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use glance::config::{DomainOption, Secret, SwiftAccount, SwiftAuth, SwiftManifest};
use glance::http_client::{
    AddressFilter, AddressPolicy, HttpClient, HttpClientOptions, TlsOptions, client_config,
};
use glance::image::{ImageId, Location, Timestamp, Upload};
use glance::keystone::Interface;
use glance::md5::HashEngine;
use glance::store::{
    ObjectRange, Store, SwiftEndpoint, SwiftOptions, SwiftResources, SwiftStore, Writer,
};
use glance::transfer::Payload;
use uuid::Uuid;

use crate::support::backends::swift::{Account, SwiftHandle};
use crate::support::backends::{Cloud, address_of};
use crate::support::http::{Connection, Request, Response};
use crate::support::unique;

const MIB: u64 = 1 << 20;

/// Timeout for a Swift that works, which a busy machine does not exceed.
const PATIENCE: Duration = Duration::from_secs(30);

/// Timeout for a Swift that falls silent, in the tests of faults.
const SILENCE: Duration = Duration::from_secs(10);

/// The account of v1 auth, under the reference `ref1`.
fn by_v1(auth_url: &str, account: &Account) -> SwiftAccount {
    SwiftAccount {
        reference: "ref1".to_owned(),
        auth_address: auth_url.to_owned(),
        auth: SwiftAuth::V1,
        user: account.user.clone(),
        key: Secret::new(&account.key),
        user_domain: DomainOption::Id("default".to_owned()),
        project_domain: DomainOption::Id("default".to_owned()),
    }
}

/// A user of Keystone's, under the reference `ref1`.
fn by_keystone(cloud: &Cloud, user: &str) -> SwiftAccount {
    let user = cloud.keystone.user(user);
    let domain = || DomainOption::Id(cloud.keystone.domain_id.clone());
    SwiftAccount {
        reference: "ref1".to_owned(),
        auth_address: cloud.keystone.auth_url.clone(),
        auth: SwiftAuth::V3,
        user: format!("{}:{}", user.project, user.name),
        key: Secret::new(&user.password),
        user_domain: domain(),
        project_domain: domain(),
    }
}

/// A container of its own, which is created; segments of 1 MiB from 4 MiB on.
fn options(account: SwiftAccount) -> SwiftOptions {
    SwiftOptions {
        accounts: vec![account],
        default_reference: "ref1".to_owned(),
        endpoint: SwiftEndpoint {
            service_type: "object-store".to_owned(),
            region: None,
            interface: Interface::Public,
            url: None,
        },
        renew_before: Duration::from_secs(60),
        container: unique("glance"),
        make_container: true,
        containers_seed: 0,
        large_object_bytes: 4 * MIB,
        segment_bytes: MIB,
        manifest: SwiftManifest::Auto,
        verify_segments: true,
        most_resumes: 3,
        stall: PATIENCE,
    }
}

fn store(options: &SwiftOptions) -> SwiftStore {
    let tls = client_config(&TlsOptions::default()).expect("TLS");
    let client = |reach| {
        HttpClient::new(HttpClientOptions {
            connect_timeout: options.stall,
            answer_timeout: options.stall,
            idle_timeout: Duration::from_secs(30),
            address_policy: reach,
            tls: Arc::clone(&tls),
        })
    };
    let parts = SwiftResources {
        client: client(AddressPolicy::Any),
        untrusted: client(AddressPolicy::Filtered(AddressFilter::default())),
        hashes: HashEngine::start(1).expect("a thread"),
    };
    SwiftStore::new(options.clone(), parts).expect("a store")
}

/// Runs on a worker like those of the `threads` engine.
fn on_worker<T>(future: impl Future<Output = T>) -> T {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().build().expect("a runtime");
    tokio::task::LocalSet::new().block_on(&runtime, future)
}

fn an_upload() -> (ImageId, Upload) {
    let upload = Upload {
        id: Uuid::new_v4(),
        store: "swift".to_owned(),
        started_at: Timestamp::from_micros(0),
        reserved_bytes: 0,
        node: None,
        process: None,
        on_failure: Default::default(),
    };
    (ImageId::random(), upload)
}

/// Writes an image in chunks that do not align with segments.
async fn write(writer: &mut dyn Writer, data: &[u8]) -> glance::error::Result<()> {
    for piece in data.chunks(200_000) {
        writer.write(Bytes::copy_from_slice(piece)).await?;
    }
    Ok(())
}

/// Writes a whole image, and returns its id and its location.
async fn put(store: &SwiftStore, data: &[u8], is_length_known: bool) -> (ImageId, Location) {
    let (image, upload) = an_upload();
    let hint = is_length_known.then_some(data.len() as u64);
    let mut writer = store.create(&image, &upload, hint).await.expect("begun");
    write(&mut *writer, data).await.expect("written");
    (image, writer.commit().await.expect("committed"))
}

fn whole(bytes: u64) -> ObjectRange {
    ObjectRange {
        offset: 0,
        len: bytes,
        object_bytes: bytes,
    }
}

/// Reads an image of this length.
async fn read(store: &SwiftStore, location: &Location, bytes: usize) -> Vec<u8> {
    let payload = store.open(location, whole(bytes as u64)).await;
    collect(payload.expect("opened")).await.expect("read")
}

async fn collect(payload: Payload) -> glance::error::Result<Vec<u8>> {
    let Payload::Remote(mut remote) = payload else {
        panic!("{payload:?} does not come from another server");
    };
    let mut bytes = Vec::new();
    while let Some(more) = remote.next().await? {
        bytes.extend_from_slice(&more);
    }
    Ok(bytes)
}

/// Direct access to an account of Swift.
pub(crate) struct Look {
    url: String,
    token: String,
}

impl Look {
    pub(crate) fn by_v1(swift: &SwiftHandle, account: &Account) -> Self {
        let login = Request::get("/auth/v1.0")
            .header("X-Auth-User", &account.user)
            .header("X-Auth-Key", &account.key);
        let connection = Connection::open(address_of(&swift.url));
        let answer = connection.expect("Swift").request(&login).expect(200);
        Self {
            url: account.storage_url.clone(),
            token: answer.header("x-auth-token").expect("a token").to_owned(),
        }
    }

    pub(crate) fn by_keystone(cloud: &Cloud, user: &str) -> Self {
        let project = &cloud.keystone.user(user).project_id;
        Self {
            url: format!("{}/v1/AUTH_{project}", cloud.swift.url),
            token: cloud.keystone.token(user),
        }
    }

    /// Sends a request below the account.
    pub(crate) fn ask(&self, method: &str, path: &str) -> Response {
        self.ask_with(method, path, &[])
    }

    pub(crate) fn ask_with(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Response {
        self.send(self.request(method, path).headers(headers))
    }

    /// Creates or replaces an object.
    pub(crate) fn put(&self, path: &str, bytes: &[u8]) {
        self.send(self.request("PUT", path).body(bytes)).expect(201);
    }

    fn request(&self, method: &str, path: &str) -> Request {
        let account = self.url.splitn(4, '/').nth(3).expect("a path");
        let request = Request::new(method, &format!("/{account}{path}"));
        request.header("X-Auth-Token", &self.token)
    }

    fn send(&self, request: Request) -> Response {
        let connection = Connection::open(address_of(&self.url));
        connection.expect("Swift").request(&request)
    }

    /// Returns the names in a container, in their order.
    fn names(&self, container: &str) -> Vec<String> {
        let answer = self.ask("GET", &format!("/{container}"));
        assert!([200, 204].contains(&answer.status), "{answer:?}");
        answer.text().lines().map(str::to_owned).collect()
    }
}
