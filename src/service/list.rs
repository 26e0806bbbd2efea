//! Lists of images, one page a request.

use std::sync::Arc;

use super::authorization::redact;
use super::catalog::Catalog;
use super::errors::invalid;
use crate::error::Result;
use crate::image::{
    Caller, Filter, Image, ImageId, Query, SortDirection, SortKey, Timestamp, can_see, list_scope,
};
use crate::policy::{AccessRules, Action};
use crate::registry::Record;

/// The parameters of a list request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListRequest {
    /// Conditions that every image of the list meets.
    pub filters: Vec<Filter>,
    /// `Some(Some(true))`: public images only. `Some(Some(false))`: all others only. `Some(None)`:
    /// both. `None`: the request does not filter by publicity.
    pub is_public: Option<Option<bool>>,
    /// Only images that changed after this time, including deleted ones.
    pub changes_since: Option<Timestamp>,
    /// The keys to sort by, most significant first.
    pub sort_keys: Vec<(SortKey, SortDirection)>,
    /// The last image of the previous page.
    pub marker: Option<ImageId>,
    /// Most images on the page; `None` for the default page size.
    pub limit: Option<usize>,
}

impl Catalog {
    /// Returns one page of the images that the caller may see in lists.
    ///
    /// # Errors
    /// `Invalid` if the marker is not an image that the caller can see; `Forbidden` by the policy.
    pub async fn list(&self, caller: &Arc<Caller>, request: ListRequest) -> Result<Page> {
        self.authorization
            .enforce(Action::GetImages, caller, None)?;
        if let Some(marker) = &request.marker {
            let record = self.registry.get(marker).await?;
            if !record.is_some_and(|record| can_see(caller, &record.image)) {
                return Err(invalid("Invalid marker. Image could not be found."));
            }
        }
        let mut filters = request.filters.iter();
        if !filters.all(|filter| self.authorization.may_filter(caller, filter)) {
            // An empty page tells the caller nothing about a property it may not read.
            return Ok(self.page(caller, Vec::new()));
        }
        let limit = request.limit.unwrap_or(self.limits.default_page);
        let query = Query {
            scope: list_scope(caller, request.is_public),
            filters: request.filters,
            changes_since: request.changes_since,
            sort_keys: request.sort_keys,
            marker: request.marker,
            limit: limit.min(self.limits.largest_page),
        };
        let records = self.registry.list(&query).await?;
        Ok(self.page(caller, records))
    }

    fn page(&self, caller: &Arc<Caller>, records: Vec<Arc<Record>>) -> Page {
        Page {
            records: records.into_iter(),
            caller: Arc::clone(caller),
            rules: self.authorization.rules(),
        }
    }
}

/// One page of a list, in order. Each record is redacted when the iterator reaches it: a page may
/// be long, and a redacted record is a copy.
#[derive(Debug)]
pub struct Page {
    records: std::vec::IntoIter<Arc<Record>>,
    caller: Arc<Caller>,
    rules: Arc<AccessRules>,
}

/// A record without the properties that the caller may not read.
#[derive(Debug)]
pub struct RedactedRecord(Arc<Record>);

impl AsRef<Image> for RedactedRecord {
    fn as_ref(&self) -> &Image {
        &self.0.image
    }
}

impl Iterator for Page {
    type Item = RedactedRecord;

    fn next(&mut self) -> Option<RedactedRecord> {
        let record = self.records.next()?;
        Some(RedactedRecord(redact(&self.rules, &self.caller, record)))
    }
}
