//! The upload that an object was written by, as metadata of the object.

use http::header::IF_NONE_MATCH;
use http::{HeaderName, HeaderValue, Method, StatusCode};
use uuid::Uuid;

use super::account_client::{Session, SwiftRequest};
use super::listing::{names, remove};
use super::names::object_path;
use super::swift_error::{SwiftError, SwiftResult};

static MARK: HeaderName = HeaderName::from_static("x-object-meta-glance-upload");

/// An upload's mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct UploadMark(HeaderValue);

/// An object as far as its mark tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum MarkLookup {
    Absent,
    Marked(UploadMark),
    Unmarked,
}

impl UploadMark {
    pub(super) fn of(upload: Uuid) -> SwiftResult<Self> {
        let value = HeaderValue::try_from(upload.to_string());
        let value = value.map_err(|error| SwiftError::answer("marking", error.to_string()))?;
        Ok(Self(value))
    }

    /// Has a request make a new object with this mark, and replace none.
    pub(super) fn guard(&self, call: &mut SwiftRequest) {
        let any = HeaderValue::from_static("*");
        call.headers.insert(IF_NONE_MATCH, any);
        call.headers.insert(MARK.clone(), self.0.clone());
    }

    /// Removes an object if it has this mark.
    pub(super) async fn remove(
        &self,
        session: &Session,
        container: &str,
        object: &str,
    ) -> SwiftResult<()> {
        match find(session, container, object).await? {
            MarkLookup::Marked(mark) if mark == *self => remove(session, container, object).await,
            _ => Ok(()),
        }
    }

    /// Removes the objects of a container that have this mark and names with a prefix.
    pub(super) async fn remove_all(
        &self,
        session: &Session,
        container: &str,
        prefix: &str,
    ) -> SwiftResult<()> {
        let mut marker = String::new();
        loop {
            let page = names(session, container, prefix, &marker).await?;
            for name in &page {
                self.remove(session, container, name).await?;
            }
            match page.into_iter().next_back() {
                Some(last) => marker = last,
                None => return Ok(()),
            }
        }
    }
}

/// Looks at an object.
pub(super) async fn find(
    session: &Session,
    container: &str,
    object: &str,
) -> SwiftResult<MarkLookup> {
    let what = "looking at an object's mark";
    let call = SwiftRequest::new(what, Method::HEAD, object_path(container, object));
    let answer = session.call(&call).await?;
    match answer.status() {
        StatusCode::NOT_FOUND => Ok(MarkLookup::Absent),
        status if status.is_success() => Ok(match answer.headers().get(&MARK) {
            Some(mark) => MarkLookup::Marked(UploadMark(mark.clone())),
            None => MarkLookup::Unmarked,
        }),
        status => Err(SwiftError::status(what, status, answer.headers())),
    }
}

/// Makes an object of an upload out of what is in memory. It may be there when the answer to
/// an earlier attempt was lost.
pub(super) async fn put(
    session: &Session,
    mark: &UploadMark,
    (container, object): (&str, &str),
    call: &SwiftRequest,
) -> SwiftResult<()> {
    let answer = session.call(call).await?;
    match answer.status() {
        StatusCode::CREATED => Ok(()),
        StatusCode::PRECONDITION_FAILED => match find(session, container, object).await? {
            MarkLookup::Marked(own) if own == *mark => Ok(()),
            _ => Err(SwiftError::Occupied {
                container: container.to_owned(),
                object: object.to_owned(),
            }),
        },
        status => Err(SwiftError::status(call.what, status, answer.headers())),
    }
}
