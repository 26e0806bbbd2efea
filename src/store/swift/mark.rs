//! The upload that an object was written by, as metadata of the object.

use http::{HeaderName, HeaderValue, Method, StatusCode};
use uuid::Uuid;

use super::account::{Call, Session};
use super::errors::{SwiftError, SwiftResult};
use super::listing::{names, remove};
use super::names::object_path;

static MARK: HeaderName = HeaderName::from_static("x-object-meta-glance-upload");

/// An upload's mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark(HeaderValue);

/// An object as far as its mark tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    Nothing,
    Marked(Mark),
    Unmarked,
}

impl Mark {
    pub(super) fn of(upload: Uuid) -> SwiftResult<Self> {
        let value = HeaderValue::try_from(upload.to_string());
        let value = value.map_err(|error| SwiftError::answer("marking", error.to_string()))?;
        Ok(Self(value))
    }

    /// Marks the object of a request.
    pub(super) fn add_to(&self, call: &mut Call) {
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
            Found::Marked(mark) if mark == *self => remove(session, container, object).await,
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
pub(super) async fn find(session: &Session, container: &str, object: &str) -> SwiftResult<Found> {
    let what = "looking at an object's mark";
    let call = Call::new(what, Method::HEAD, object_path(container, object));
    let answer = session.call(&call).await?;
    match answer.status() {
        StatusCode::NOT_FOUND => Ok(Found::Nothing),
        status if status.is_success() => Ok(match answer.headers().get(&MARK) {
            Some(mark) => Found::Marked(Mark(mark.clone())),
            None => Found::Unmarked,
        }),
        status => Err(SwiftError::status(what, status, answer.headers())),
    }
}
