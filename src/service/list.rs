//! Lists of images.

use std::sync::Arc;

use super::authorization::redact;
use super::{Service, invalid};
use crate::error::Result;
use crate::image::{
    Caller, Filter, Image, ImageId, Query, SortDirection, SortKey, Timestamp, can_see, list_scope,
};
use crate::policy::{Action, Rules};
use crate::registry::Record;

/// A list as a client asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListRequest {
    /// Conditions; all must hold.
    pub filters: Vec<Filter>,
    /// What is said about publicity: public ones, all others, or (`Some(None)`) both.
    pub is_public: Option<Option<bool>>,
    /// Only what changed after this moment, deleted images included.
    pub changes_since: Option<Timestamp>,
    /// The keys to sort by, most significant first.
    pub sort_keys: Vec<(SortKey, SortDirection)>,
    /// The last image of the page before.
    pub marker: Option<ImageId>,
    /// Images wanted on the page.
    pub limit: Option<usize>,
}

impl Service {
    /// One page of the images that the caller may see in lists.
    ///
    /// # Errors
    /// `Invalid` when the marker is no image the caller may see; `Forbidden` by the policy.
    pub async fn list(&self, caller: &Arc<Caller>, request: ListRequest) -> Result<Page> {
        self.enforce(Action::GetImages, caller, None)?;
        if let Some(marker) = &request.marker {
            let record = self.registry.get(marker).await?;
            if !record.is_some_and(|record| can_see(caller, &record.image)) {
                return Err(invalid("Invalid marker. Image could not be found."));
            }
        }
        let mut filters = request.filters.iter();
        if !filters.all(|filter| self.may_filter(caller, filter)) {
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
            rules: self.rules.load_full(),
        }
    }
}

/// A page of a list: its records in order, each made for the caller when it is asked for. A page
/// may be long, and the records as the caller sees them are copies where properties are
/// protected.
#[derive(Debug)]
pub struct Page {
    records: std::vec::IntoIter<Arc<Record>>,
    caller: Arc<Caller>,
    rules: Arc<Rules>,
}

/// A record as one caller may see it.
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
