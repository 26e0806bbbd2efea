//! One object being sent: a whole image, or a segment of one.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, ETAG};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};

use super::account_client::{Session, SwiftRequest};
use super::manifest::Segment;
use super::names::{container_path, object_path};
use super::swift_error::{SwiftError, SwiftResult};
use super::upload_mark::{UploadMark, put};
use crate::http_client::{SentRequest, StreamStart, StreamingRequest};
use crate::image::Checksum;
use crate::md5::Md5Stream;
use crate::transfer::{BLOCK_BYTES, HttpBody};

const WHAT: &str = "sending an object";

/// Bytes of an object that wait for the socket; as many again are with the HTTP library.
const WAITING_BYTES: usize = 512 * 1024;

/// A container, and whether to make it when it is not there.
#[derive(Clone)]
pub(super) struct Container {
    pub(super) session: Session,
    pub(super) name: String,
    pub(super) make: bool,
    /// Of the upload whose objects it takes.
    pub(super) mark: UploadMark,
}

/// An object that Swift wants the bytes of.
pub(super) struct ObjectWriter {
    sending: StreamingRequest,
    hash: Option<Md5Stream>,
    size_bytes: u64,
}

/// An object whose bytes have all been sent.
pub(super) struct SentObject {
    ended: SentRequest,
    hash: Option<Md5Stream>,
    size_bytes: u64,
}

impl Container {
    /// Begins to send an object, when Swift has said that it wants it and has none of that
    /// name. With `hash` its MD5 is compared with what Swift has.
    pub(super) async fn begin(
        &self,
        object: &str,
        length_bytes: Option<u64>,
        hash: Option<Md5Stream>,
    ) -> SwiftResult<ObjectWriter> {
        let call = self.call(object);
        let mut is_made = false;
        loop {
            let room = WAITING_BYTES / BLOCK_BYTES;
            match self.session.put(&call, length_bytes, room).await? {
                StreamStart::Wanted(sending) => {
                    return Ok(ObjectWriter {
                        sending,
                        hash,
                        size_bytes: 0,
                    });
                }
                StreamStart::Answered(answer)
                    if answer.status() == StatusCode::NOT_FOUND && !is_made =>
                {
                    self.make_container().await?;
                    is_made = true;
                }
                StreamStart::Answered(answer)
                    if answer.status() == StatusCode::PRECONDITION_FAILED =>
                {
                    return Err(SwiftError::Occupied {
                        container: self.name.clone(),
                        object: object.to_owned(),
                    });
                }
                StreamStart::Answered(answer) => return Err(refused(&answer)),
            }
        }
    }

    /// Makes an object without bytes.
    pub(super) async fn put_empty(&self, object: &str) -> SwiftResult<()> {
        let call = self.call(object);
        let place = (self.name.as_str(), object);
        match put(&self.session, &self.mark, place, &call).await {
            Err(error) if error.is_not_found() => {
                self.make_container().await?;
                put(&self.session, &self.mark, place, &call).await
            }
            result => result,
        }
    }

    fn call(&self, object: &str) -> SwiftRequest {
        let mut call = SwiftRequest::new(WHAT, Method::PUT, object_path(&self.name, object));
        let octets = HeaderValue::from_static("application/octet-stream");
        call.headers.insert(CONTENT_TYPE, octets);
        self.mark.guard(&mut call);
        call
    }

    async fn make_container(&self) -> SwiftResult<()> {
        if !self.make {
            return Err(SwiftError::NoContainer {
                container: self.name.clone(),
            });
        }
        let what = "making a container";
        let call = SwiftRequest::new(what, Method::PUT, container_path(&self.name));
        let answer = self.session.call(&call).await?;
        if !answer.status().is_success() {
            return Err(SwiftError::status(what, answer.status(), answer.headers()));
        }
        tracing::info!(container = self.name, "container made in Swift");
        Ok(())
    }
}

impl ObjectWriter {
    /// Bytes so far.
    pub(super) fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Takes the next bytes; returns when there is room for more.
    pub(super) async fn push(&mut self, piece: Bytes) -> SwiftResult<()> {
        self.size_bytes += piece.len() as u64;
        match self.sending.push(piece.clone()).await {
            Ok(None) => {}
            Ok(Some(answer)) => return Err(refused(&answer)),
            Err(cause) => return Err(SwiftError::Outgoing { what: WHAT, cause }),
        }
        if let Some(hash) = &mut self.hash {
            hash.push(piece).await;
        }
        Ok(())
    }

    /// Sends what there is, and no more.
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
    /// Waits until Swift has it.
    pub(super) async fn done(self) -> SwiftResult<Segment> {
        let answer = self.ended.answer().await;
        let answer = answer.map_err(|cause| SwiftError::Outgoing { what: WHAT, cause })?;
        if answer.status() != StatusCode::CREATED {
            return Err(refused(&answer));
        }
        let etag = etag_of(answer.headers()).ok_or(SwiftError::answer(WHAT, "no ETag"))?;
        let segment = Segment {
            etag,
            size_bytes: self.size_bytes,
        };
        if let Some(hash) = self.hash {
            let digest = hash.finish().await;
            let digest = digest.map_err(|lost| SwiftError::answer(WHAT, lost.to_string()))?;
            segment.compare(&Checksum::of(&digest))?;
        }
        Ok(segment)
    }
}

impl Segment {
    /// Compares what Swift has with what was sent.
    pub(super) fn compare(&self, sent: &Checksum) -> SwiftResult<()> {
        if self.etag == sent.as_str() {
            return Ok(());
        }
        let problem = format!("Swift has MD5 {}, and {sent} was sent", self.etag);
        Err(SwiftError::answer(WHAT, problem))
    }
}

fn refused(answer: &Response<HttpBody>) -> SwiftError {
    SwiftError::status(WHAT, answer.status(), answer.headers())
}

/// The ETag of a plain object, which is its MD5; some gateways put it in quotes.
fn etag_of(headers: &HeaderMap) -> Option<String> {
    let etag = headers.get(ETAG)?.to_str().ok()?;
    Some(etag.trim_matches('"').to_ascii_lowercase())
}
