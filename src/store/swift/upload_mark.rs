//! The mark of an upload: object metadata with the upload's identifier.
//!
//! The mark decides whether an object may be removed when an upload is discarded, since an object
//! of the same name may belong to another upload. `If-None-Match: *` prevents an upload from
//! replacing an existing object.

use http::header::IF_NONE_MATCH;
use http::{HeaderName, HeaderValue, Method, StatusCode};
use uuid::Uuid;

use super::account_client::{Session, SwiftRequest};
use super::listing::{ListedObject, for_each_object, remove};
use super::names::object_path;
use super::swift_error::{SwiftError, SwiftResult};

static MARK: HeaderName = HeaderName::from_static("x-object-meta-glance-upload");

/// The mark of one upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct UploadMark(HeaderValue);

/// The result of looking up an object's mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum MarkLookup {
    /// The object does not exist.
    Absent,
    /// The object was written by this upload.
    Marked(UploadMark),
    /// The object has no mark, e.g. because Glance wrote it.
    Unmarked,
}

impl UploadMark {
    pub(super) fn of(upload: Uuid) -> SwiftResult<Self> {
        let value = HeaderValue::try_from(upload.to_string());
        let value = value.map_err(|error| SwiftError::malformed("marking", error.to_string()))?;
        Ok(Self(value))
    }

    /// Makes a request create an object with this mark, and fail if the object exists.
    pub(super) fn guard(&self, request: &mut SwiftRequest) {
        let any = HeaderValue::from_static("*");
        request.headers.insert(IF_NONE_MATCH, any);
        request.headers.insert(MARK.clone(), self.0.clone());
    }

    /// Removes an object if it has this mark.
    pub(super) async fn remove(
        &self,
        session: &Session,
        container: &str,
        object: &str,
    ) -> SwiftResult<()> {
        match find_mark(session, container, object).await? {
            MarkLookup::Marked(mark) if mark == *self => remove(session, container, object).await,
            _ => Ok(()),
        }
    }

    /// Removes the objects with this mark whose names begin with `prefix`.
    pub(super) async fn remove_all(
        &self,
        session: &Session,
        container: &str,
        prefix: &str,
    ) -> SwiftResult<()> {
        let remove_marked =
            async |object: ListedObject| self.remove(session, container, &object.name).await;
        for_each_object(session, container, prefix, remove_marked).await
    }
}

/// Looks up an object and its mark.
pub(super) async fn find_mark(
    session: &Session,
    container: &str,
    object: &str,
) -> SwiftResult<MarkLookup> {
    let what = "looking up an object";
    let request = SwiftRequest::new(what, Method::HEAD, object_path(container, object));
    let response = session.send(&request).await?;
    match response.status() {
        StatusCode::NOT_FOUND => Ok(MarkLookup::Absent),
        status if status.is_success() => Ok(match response.headers().get(&MARK) {
            Some(mark) => MarkLookup::Marked(UploadMark(mark.clone())),
            None => MarkLookup::Unmarked,
        }),
        status => Err(SwiftError::status(what, status, response.headers())),
    }
}

/// Creates an object of an upload from bytes in memory. The object may exist already: if the
/// response to an earlier attempt was lost, the object has the upload's own mark, which is a
/// success.
pub(super) async fn put_marked(
    session: &Session,
    mark: &UploadMark,
    (container, object): (&str, &str),
    request: &SwiftRequest,
) -> SwiftResult<()> {
    let response = session.send(request).await?;
    match response.status() {
        StatusCode::CREATED => Ok(()),
        StatusCode::PRECONDITION_FAILED => match find_mark(session, container, object).await? {
            MarkLookup::Marked(own) if own == *mark => Ok(()),
            _ => Err(SwiftError::Occupied {
                container: container.to_owned(),
                object: object.to_owned(),
            }),
        },
        status => Err(SwiftError::status(request.what, status, response.headers())),
    }
}
