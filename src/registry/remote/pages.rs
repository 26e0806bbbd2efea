//! Reads the list of a server with the legacy protocol page by page.
//!
//! Responses are limited in size. If a page is longer, smaller pages are requested, down to a
//! single image. A single image that is too long is skipped and reported as unreadable.

use http::{Method, StatusCode};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::super::refusals::unavailable;
use super::endpoint::{RegistryResponse, ServerEndpoint};
use crate::error::Result;
use crate::image::Timestamp;
use crate::wire::registry::{
    ListedImage, MAX_LIST_RECORDS, TARGET_LIST_BYTES, read_legacy_ids, read_legacy_list,
};

/// Pages below this size let the page length grow again.
const SMALL_PAGE_BYTES: usize = TARGET_LIST_BYTES / 4;

/// Divisor of the page length after a page that was too long. Such a page is read up to the limit
/// before it is rejected, so there should be few of them.
const SHRINKING: usize = 8;

/// The images that have changed since a point in time.
pub(super) struct Changes {
    pub(super) listed: Vec<ListedImage>,
    /// The time of the response by the server's clock.
    pub(super) began: Option<Timestamp>,
}

/// Reads lists, and remembers how many images fit into one response.
pub(super) struct Pages {
    page_len: usize,
}

impl Pages {
    pub(super) fn new() -> Self {
        Self {
            page_len: MAX_LIST_RECORDS,
        }
    }

    /// Reads every image that has changed since a point in time, including deleted images.
    ///
    /// # Errors
    /// `Unavailable` if the server cannot be reached or its response is not a list.
    pub(super) async fn read_since(
        &mut self,
        endpoint: &ServerEndpoint,
        since: Timestamp,
    ) -> Result<Changes> {
        let query = format!(
            "is_public=None&sort_key=id&sort_dir=asc&changes-since={}Z",
            since.format().as_str()
        );
        let mut changes = Changes {
            listed: Vec::new(),
            began: None,
        };
        let mut marker = None;
        while let Some(page) = self.page(endpoint, &query, marker.as_deref()).await? {
            changes.began = changes.began.or(page.began);
            let last = page.listed.iter().rev().find(|entry| !entry.id.is_empty());
            let last = last.map(|entry| entry.id.clone());
            if last.is_none() || last == marker {
                let cause = "its list has images without identifiers, or repeats its last page";
                return Err(unavailable("The registry server cannot be used.", cause));
            }
            marker = last;
            changes.listed.extend(page.listed);
        }
        Ok(changes)
    }

    /// Reads the next page; `None` after the last one. The server may return fewer images than
    /// requested, so only an empty page is the end.
    async fn page(
        &mut self,
        endpoint: &ServerEndpoint,
        query: &str,
        marker: Option<&str>,
    ) -> Result<Option<Changes>> {
        loop {
            let path = path(true, query, self.page_len, marker);
            let response = match endpoint
                .request_legacy("list", Method::GET, &path, None)
                .await
            {
                Ok(response) => response,
                Err(failure) if failure.is_too_long() && self.page_len > 1 => {
                    self.page_len = (self.page_len / SHRINKING).max(1);
                    continue;
                }
                Err(failure) if failure.is_too_long() => {
                    return too_long(endpoint, query, marker).await;
                }
                Err(failure) => return Err(failure.into()),
            };
            check(&response)?;
            let listed = read_legacy_list(response.body())?;
            if response.body().len() < SMALL_PAGE_BYTES {
                self.page_len = (self.page_len * 2).min(MAX_LIST_RECORDS);
            }
            return Ok((!listed.is_empty()).then(|| Changes {
                listed,
                began: response.date(),
            }));
        }
    }
}

/// Reads the identifier of the next image only, because the image itself is too long.
async fn too_long(
    endpoint: &ServerEndpoint,
    query: &str,
    marker: Option<&str>,
) -> Result<Option<Changes>> {
    let path = path(false, query, 1, marker);
    let response = endpoint
        .request_legacy("list", Method::GET, &path, None)
        .await?;
    check(&response)?;
    let ids = read_legacy_ids(response.body())?;
    let listed = ids.into_iter().map(|id| ListedImage {
        id,
        image: Err("it is longer than the limit of a response".to_owned()),
    });
    let listed: Vec<_> = listed.collect();
    Ok((!listed.is_empty()).then(|| Changes {
        listed,
        began: response.date(),
    }))
}

fn check(response: &RegistryResponse) -> Result<()> {
    match response.status {
        StatusCode::OK => Ok(()),
        _ => Err(response.refusal()),
    }
}

fn path(has_details: bool, query: &str, limit: usize, marker: Option<&str>) -> String {
    let list = if has_details {
        "/images/detail"
    } else {
        "/images"
    };
    let marker = marker.map(|id| format!("&marker={}", utf8_percent_encode(id, NON_ALPHANUMERIC)));
    format!("{list}?{query}&limit={limit}{}", marker.unwrap_or_default())
}
