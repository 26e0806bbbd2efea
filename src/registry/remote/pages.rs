//! Reading the list of a registry of another make page by page.
//!
//! An answer has a largest size here. Where a page is longer, smaller pages are asked for, down
//! to a single image. A single image that is too long is passed over.

use http::{Method, StatusCode};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::super::unavailable;
use super::endpoint::{RegistryResponse, ServerEndpoint};
use crate::error::Result;
use crate::image::Timestamp;
use crate::wire::registry::{
    ListedImage, MAX_LIST_RECORDS, TARGET_LIST_BYTES, read_legacy_ids, read_legacy_list,
};

/// Pages grow again while they are smaller than this.
const SMALL_PAGE_BYTES: usize = TARGET_LIST_BYTES / 4;

/// A page that was too long is followed by one with so many times fewer images. An answer is
/// read up to its limit before it is known to be too long, so there should be few of them.
const SHRINKING: usize = 8;

/// The images that have changed since a moment.
pub(super) struct Changes {
    pub(super) listed: Vec<ListedImage>,
    /// When the registry began to answer, by its own clock.
    pub(super) began: Option<Timestamp>,
}

/// Reads lists, and remembers how many images an answer holds.
pub(super) struct Pages {
    images: usize,
}

impl Pages {
    pub(super) fn new() -> Self {
        Self {
            images: MAX_LIST_RECORDS,
        }
    }

    /// Reads every image that has changed since a moment, deleted images included.
    ///
    /// # Errors
    /// `Unavailable` when the registry cannot be asked or does not answer with a list.
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
                let cause = "its list has images without identifiers, or does not go on";
                return Err(unavailable("The registry server cannot be used.", cause));
            }
            marker = last;
            changes.listed.extend(page.listed);
        }
        Ok(changes)
    }

    /// The next page; `None` after the last one. The registry decides how many images a page
    /// has at most, so only an empty one is the end.
    async fn page(
        &mut self,
        endpoint: &ServerEndpoint,
        query: &str,
        marker: Option<&str>,
    ) -> Result<Option<Changes>> {
        loop {
            let path = path(true, query, self.images, marker);
            let response = match endpoint
                .request_legacy("list", Method::GET, &path, None)
                .await
            {
                Ok(response) => response,
                Err(failure) if failure.is_too_long() && self.images > 1 => {
                    self.images = (self.images / SHRINKING).max(1);
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
                self.images = (self.images * 2).min(MAX_LIST_RECORDS);
            }
            return Ok((!listed.is_empty()).then(|| Changes {
                listed,
                began: response.date(),
            }));
        }
    }
}

/// A page with the next image, of which only the identifier is read.
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
        image: Err("it is longer than an answer may be".to_owned()),
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

fn path(has_details: bool, query: &str, images: usize, marker: Option<&str>) -> String {
    let list = if has_details {
        "/images/detail"
    } else {
        "/images"
    };
    let marker = marker.map(|id| format!("&marker={}", utf8_percent_encode(id, NON_ALPHANUMERIC)));
    format!(
        "{list}?{query}&limit={images}{}",
        marker.unwrap_or_default()
    )
}
