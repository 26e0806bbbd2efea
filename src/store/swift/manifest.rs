//! Joins the segments of a large object with a static or a dynamic manifest.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, Uri};
use serde::Deserialize;
use serde_json::json;

use super::account_client::{AccountClient, Session, SwiftRequest};
use super::account_set::origin_of;
use super::names::{encode, object_path, segment, segment_prefix};
use super::object_reader::length_of;
use super::swift_error::{SwiftError, SwiftResult};
use super::upload_mark::{UploadMark, put_marked};
use crate::config::SwiftManifest;

/// Attempts to read a dynamic object with all segments, and the wait between them. Swift finds the
/// segments in a container listing, which is eventually consistent.
const MAX_LISTING_ATTEMPTS: u32 = 20;
const LISTING_WAIT: Duration = Duration::from_millis(500);

/// A segment that Swift has stored.
#[derive(Debug, Clone)]
pub(super) struct Segment {
    pub(super) etag: String,
    pub(super) size_bytes: u64,
}

/// The response to `GET /info`.
#[derive(Deserialize)]
struct Info {
    slo: Option<SloInfo>,
}

#[derive(Deserialize)]
struct SloInfo {
    max_manifest_segments: usize,
}

/// An object to be joined from its segments, which are numbered from 1.
pub(super) struct LargeObject<'a> {
    pub(super) session: &'a Session,
    pub(super) container: &'a str,
    pub(super) mark: &'a UploadMark,
    pub(super) object: &'a str,
    pub(super) segments: &'a [Segment],
}

/// Returns the most segments of a static large object at this account's cluster, or `None` if it
/// does not support them or does not report it.
///
/// # Errors
/// [`SwiftError`] if the cluster does not respond.
pub(super) async fn max_static_segments(account: &AccountClient) -> SwiftResult<Option<usize>> {
    let what = "requesting the cluster's features";
    let Some((scheme, host, port)) = origin_of(&account.url().await?) else {
        return Ok(None);
    };
    let uri = format!("{scheme}://{host}:{port}/info").parse::<Uri>();
    let uri = uri.map_err(|error| SwiftError::malformed(what, error.to_string()))?;
    let asked = account.get_without_token(uri).await;
    let response = asked.map_err(|cause| SwiftError::Outgoing { what, cause })?;
    if response.status().is_server_error() {
        return Err(SwiftError::status(
            what,
            response.status(),
            response.headers(),
        ));
    }
    let info = serde_json::from_slice::<Info>(response.body());
    let static_objects = info.ok().and_then(|info| info.slo);
    Ok(static_objects.map(|slo| slo.max_manifest_segments))
}

impl LargeObject<'_> {
    /// Creates the object. `max_static` is the result of [`max_static_segments`].
    pub(super) async fn write(
        &self,
        wanted: SwiftManifest,
        max_static: Option<usize>,
    ) -> SwiftResult<()> {
        let fits = max_static.is_some_and(|most| self.segments.len() <= most);
        match wanted {
            SwiftManifest::Static => self.write_static().await,
            SwiftManifest::Auto if fits => self.write_static().await,
            SwiftManifest::Auto | SwiftManifest::Dynamic => self.write_dynamic().await,
        }
    }

    /// Creates a static manifest. Swift compares every ETag and length with the stored segment.
    async fn write_static(&self) -> SwiftResult<()> {
        let container = self.container;
        let entry = |(number, one): (u32, &Segment)| {
            let path = format!("/{container}/{}", segment(self.object, number));
            json!({ "path": path, "etag": one.etag, "size_bytes": one.size_bytes })
        };
        let entries: Vec<_> = (1..).zip(self.segments).map(entry).collect();
        let path = object_path(container, self.object);
        let path = format!("{path}?multipart-manifest=put");
        let mut request = SwiftRequest::new("joining segments", Method::PUT, path);
        request.body = Bytes::from(serde_json::Value::from(entries).to_string());
        self.mark.guard(&mut request);
        put_marked(
            self.session,
            self.mark,
            (self.container, self.object),
            &request,
        )
        .await
    }

    /// Creates a dynamic manifest, and waits until Swift finds all segments: it looks them up in a
    /// listing, which may lag behind.
    async fn write_dynamic(&self) -> SwiftResult<()> {
        let (session, name) = (self.session, self.container);
        let path = object_path(name, self.object);
        let mut request = SwiftRequest::new("joining segments", Method::PUT, path.clone());
        let prefix = encode(&segment_prefix(self.object));
        let manifest = format!("{}/{prefix}", encode(name));
        let manifest = HeaderValue::from_str(&manifest).map_err(|_| {
            SwiftError::malformed(
                request.what,
                "the name of the container is not a valid header value",
            )
        })?;
        request.headers.insert("x-object-manifest", manifest);
        self.mark.guard(&mut request);
        put_marked(
            self.session,
            self.mark,
            (self.container, self.object),
            &request,
        )
        .await?;
        let size_bytes: u64 = self.segments.iter().map(|one| one.size_bytes).sum();
        let head = SwiftRequest::new("checking the joined segments", Method::HEAD, path);
        for _ in 0..MAX_LISTING_ATTEMPTS {
            let response = session.send(&head).await?;
            if response.status() == StatusCode::OK
                && length_of(response.headers()) == Some(size_bytes)
            {
                return Ok(());
            }
            tokio::time::sleep(LISTING_WAIT).await;
        }
        let problem = "Swift's listing does not contain all segments yet";
        Err(SwiftError::malformed(head.what, problem))
    }
}
