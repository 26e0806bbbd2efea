//! Options of image lists, and reading a list page by page with the markers of the API.

use super::api_client::Client;
use super::endpoint::escape;
use super::error::{ClientError, Result};
use crate::wire::ImageMeta;

/// Default number of images per request, well below the page limit of any server.
pub const DEFAULT_PAGE_SIZE: u32 = 100;
/// Largest page: Glance's default of `api_limit_max`.
const MAX_PAGE_SIZE: u32 = 1000;

/// Filters, limits and order of a list. The server's defaults apply to everything left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListOptions {
    /// Filters of the API and their values: `name`, `status`, `size_min`, `is_public`…
    pub filters: Vec<(String, String)>,
    /// Filters on properties: key and value.
    pub properties: Vec<(String, String)>,
    /// ID of the image after which the list starts.
    pub marker: Option<String>,
    /// Maximum number of images.
    pub limit: Option<u32>,
    /// Field by which the list is sorted.
    pub sort_key: Option<String>,
    /// Sort direction, `asc` or `desc`.
    pub sort_dir: Option<String>,
}

impl ListOptions {
    /// Adds a filter.
    pub fn filter(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.filters.push((name.into(), value.into()));
        self
    }

    /// Returns the query of the request with its question mark, or an empty string.
    pub(super) fn query(&self) -> String {
        let mut query = String::new();
        let mut put = |name: &str, value: &str| {
            query.push(if query.is_empty() { '?' } else { '&' });
            query.push_str(&escape(name));
            query.push('=');
            query.push_str(&escape(value));
        };
        for (name, value) in &self.filters {
            put(name, value);
        }
        for (key, value) in &self.properties {
            put(&format!("property-{key}"), value);
        }
        let limit = self.limit.map(|limit| limit.to_string());
        let texts = [
            ("marker", &self.marker),
            ("limit", &limit),
            ("sort_key", &self.sort_key),
            ("sort_dir", &self.sort_dir),
        ];
        for (name, value) in texts {
            if let Some(value) = value {
                put(name, value);
            }
        }
        query
    }
}

/// Reads a list page by page, to its end or to the limit of its options.
#[derive(Debug)]
pub struct Pages<'a> {
    client: &'a Client,
    options: ListOptions,
    page_size: u32,
    detailed: bool,
    /// Images still to be read; `None` for all.
    wanted: Option<u32>,
    is_over: bool,
}

impl Client {
    /// Reads the list of images page by page.
    pub fn pages(&self, options: ListOptions) -> Pages<'_> {
        Pages {
            client: self,
            wanted: options.limit,
            options,
            page_size: DEFAULT_PAGE_SIZE,
            detailed: false,
            is_over: false,
        }
    }

    /// Reads the detailed list of images page by page.
    pub fn pages_detailed(&self, options: ListOptions) -> Pages<'_> {
        Pages {
            detailed: true,
            ..self.pages(options)
        }
    }
}

impl Pages<'_> {
    /// Sets the number of images per request, between 1 and 1000.
    pub fn with_page_size(mut self, images: u32) -> Self {
        self.page_size = images.clamp(1, MAX_PAGE_SIZE);
        self
    }

    /// Returns the next page, or `None` after the last one. A page that is not full is the last.
    ///
    /// # Errors
    /// Any [`ClientError`]; [`ClientError::Protocol`] if the server repeats a page.
    pub async fn next_page(&mut self) -> Result<Option<Vec<ImageMeta>>> {
        let asked = self.page_size.min(self.wanted.unwrap_or(u32::MAX));
        if self.is_over || asked == 0 {
            return Ok(None);
        }
        self.options.limit = Some(asked);
        let page = if self.detailed {
            self.client.get_images_detailed(&self.options).await?
        } else {
            self.client.get_images(&self.options).await?
        };
        let received = u32::try_from(page.len()).unwrap_or(u32::MAX);
        self.is_over = received < asked;
        self.wanted = self.wanted.map(|wanted| wanted.saturating_sub(received));
        let Some(last) = page.last() else {
            return Ok(None);
        };
        // A server that ignores the marker would send the same page for ever.
        if page
            .iter()
            .any(|image| Some(&image.id) == self.options.marker.as_ref())
        {
            return Err(ClientError::Protocol(
                "the list does not continue after its marker".to_owned(),
            ));
        }
        self.options.marker = Some(last.id.clone());
        Ok(Some(page))
    }

    /// Reads all pages into one list.
    ///
    /// # Errors
    /// As [`Pages::next_page`].
    pub async fn collect(mut self) -> Result<Vec<ImageMeta>> {
        let mut all = Vec::new();
        while let Some(page) = self.next_page().await? {
            all.extend(page);
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_escaped() {
        assert_eq!(ListOptions::default().query(), "");
        let options = ListOptions {
            properties: vec![("os".into(), "a&b=c".into())],
            marker: Some("7".into()),
            limit: Some(5),
            sort_key: Some("name".into()),
            ..ListOptions::default().filter("name", "Ubuntu 22.04+ü")
        };
        assert_eq!(
            options.query(),
            "?name=Ubuntu%2022.04%2B%C3%BC&property-os=a%26b%3Dc&marker=7&limit=5&sort_key=name"
        );
    }
}
