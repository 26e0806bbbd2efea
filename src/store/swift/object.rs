//! Sends one object: a whole image, or a segment of one.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, ETAG};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};

use super::account_client::{Session, SwiftRequest};
use super::manifest::Segment;
use super::names::{container_path, object_path};
use super::swift_error::{SwiftError, SwiftResult};
use super::upload_mark::{UploadMark, put_marked};
use crate::http_client::{SentRequest, StreamStart, StreamingRequest};
use crate::image::Checksum;
use crate::md5::Md5Stream;
use crate::transfer::{BLOCK_BYTES, HttpBody};

const WHAT: &str = "sending an object";

/// Bytes of an object that wait for the connection; the HTTP library holds as many again.
const WAITING_BYTES: usize = 512 * 1024;

/// The container that an upload writes to.
#[derive(Clone)]
pub(super) struct Container {
    pub(super) session: Session,
    pub(super) name: String,
    /// True if a missing container is created.
    pub(super) create_if_missing: bool,
    /// The mark of the upload's objects.
    pub(super) mark: UploadMark,
}

/// An object whose bytes are being sent.
pub(super) struct ObjectWriter {
    sending: StreamingRequest,
    hash: Option<Md5Stream>,
    size_bytes: u64,
}

/// An object whose bytes were sent, and to which Swift has not responded yet.
pub(super) struct SentObject {
    ended: SentRequest,
    hash: Option<Md5Stream>,
    size_bytes: u64,
}

impl Container {
    /// Starts to send an object. Waits until Swift has accepted the head of the request, i.e. it
    /// has no object of that name. With `hash` the object's MD5 is compared with Swift's.
    pub(super) async fn begin(
        &self,
        object: &str,
        length_bytes: Option<u64>,
        hash: Option<Md5Stream>,
    ) -> SwiftResult<ObjectWriter> {
        let request = self.put_request(object);
        let mut is_created = false;
        loop {
            let capacity = WAITING_BYTES / BLOCK_BYTES;
            match self.session.put(&request, length_bytes, capacity).await? {
                StreamStart::Wanted(sending) => {
                    return Ok(ObjectWriter {
                        sending,
                        hash,
                        size_bytes: 0,
                    });
                }
                StreamStart::Answered(response)
                    if response.status() == StatusCode::NOT_FOUND && !is_created =>
                {
                    self.create_container().await?;
                    is_created = true;
                }
                StreamStart::Answered(response)
                    if response.status() == StatusCode::PRECONDITION_FAILED =>
                {
                    return Err(SwiftError::Occupied {
                        container: self.name.clone(),
                        object: object.to_owned(),
                    });
                }
                StreamStart::Answered(response) => return Err(refused(&response)),
            }
        }
    }

    /// Creates an object without bytes.
    pub(super) async fn put_empty(&self, object: &str) -> SwiftResult<()> {
        let request = self.put_request(object);
        let name = (self.name.as_str(), object);
        match put_marked(&self.session, &self.mark, name, &request).await {
            Err(error) if error.is_not_found() => {
                self.create_container().await?;
                put_marked(&self.session, &self.mark, name, &request).await
            }
            result => result,
        }
    }

    fn put_request(&self, object: &str) -> SwiftRequest {
        let mut request = SwiftRequest::new(WHAT, Method::PUT, object_path(&self.name, object));
        let octets = HeaderValue::from_static("application/octet-stream");
        request.headers.insert(CONTENT_TYPE, octets);
        self.mark.guard(&mut request);
        request
    }

    async fn create_container(&self) -> SwiftResult<()> {
        if !self.create_if_missing {
            return Err(SwiftError::NoContainer {
                container: self.name.clone(),
            });
        }
        let what = "creating a container";
        let request = SwiftRequest::new(what, Method::PUT, container_path(&self.name));
        let response = self.session.send(&request).await?;
        if !response.status().is_success() {
            return Err(SwiftError::status(
                what,
                response.status(),
                response.headers(),
            ));
        }
        tracing::info!(container = self.name, "created a container in Swift");
        Ok(())
    }
}

impl ObjectWriter {
    /// Returns the number of bytes so far.
    pub(super) fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Takes the next bytes; returns when more can be taken.
    pub(super) async fn push(&mut self, chunk: Bytes) -> SwiftResult<()> {
        self.size_bytes += chunk.len() as u64;
        match self.sending.push(chunk.clone()).await {
            Ok(None) => {}
            Ok(Some(response)) => return Err(refused(&response)),
            Err(cause) => return Err(SwiftError::Outgoing { what: WHAT, cause }),
        }
        if let Some(hash) = &mut self.hash {
            hash.push(chunk).await;
        }
        Ok(())
    }

    /// Ends the object.
    pub(super) async fn end(self) -> SwiftResult<SentObject> {
        let ended = self.sending.end().await;
        Ok(SentObject {
            ended: ended.map_err(|cause| SwiftError::Outgoing { what: WHAT, cause })?,
            hash: self.hash,
            size_bytes: self.size_bytes,
        })
    }
}

impl SentObject {
    /// Waits until Swift has stored the object.
    pub(super) async fn finish(self) -> SwiftResult<Segment> {
        let response = self.ended.answer().await;
        let response = response.map_err(|cause| SwiftError::Outgoing { what: WHAT, cause })?;
        if response.status() != StatusCode::CREATED {
            return Err(refused(&response));
        }
        let etag = etag_of(response.headers()).ok_or(SwiftError::malformed(WHAT, "no ETag"))?;
        let segment = Segment {
            etag,
            size_bytes: self.size_bytes,
        };
        if let Some(hash) = self.hash {
            let digest = hash.finish().await;
            let digest = digest.map_err(|lost| SwiftError::malformed(WHAT, lost.to_string()))?;
            segment.compare(&Checksum::of(&digest))?;
        }
        Ok(segment)
    }
}

impl Segment {
    /// Compares Swift's MD5 with that of the sent bytes.
    pub(super) fn compare(&self, sent: &Checksum) -> SwiftResult<()> {
        if self.etag == sent.as_str() {
            return Ok(());
        }
        let problem = format!("Swift received MD5 {}, but {sent} was sent", self.etag);
        Err(SwiftError::malformed(WHAT, problem))
    }
}

fn refused(response: &Response<HttpBody>) -> SwiftError {
    SwiftError::status(WHAT, response.status(), response.headers())
}

/// Returns the ETag of a plain object, which is its MD5. Some gateways put it in quotes.
fn etag_of(headers: &HeaderMap) -> Option<String> {
    let etag = headers.get(ETAG)?.to_str().ok()?;
    Some(etag.trim_matches('"').to_ascii_lowercase())
}
