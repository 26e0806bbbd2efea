//! What a list is to hold, and reading a list page by page.

use super::api_client::Client;
use super::endpoint::escape;
use super::error::{ClientError, Result};
use crate::wire::ImageMeta;

/// Images asked for at a time. Well below what any server cuts a page to.
pub const DEFAULT_PAGE_SIZE: u32 = 100;
/// Largest page: what Glance cuts a page to (`api_limit_max`).
const MAX_PAGE_SIZE: u32 = 1000;

/// What a list of images is to hold. Everything left out is left to the server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListOptions {
    /// Conditions of the API, by its names: `name`, `status`, `size_min`, `is_public`…
    pub filters: Vec<(String, String)>,
    /// Conditions on properties: key and value.
    pub properties: Vec<(String, String)>,
    /// The id of the image after which the list begins.
    pub marker: Option<String>,
    /// How many images at most.
    pub limit: Option<u32>,
    /// The field the list is sorted by.
    pub sort_key: Option<String>,
    /// `asc` or `desc`.
    pub sort_dir: Option<String>,
}

impl ListOptions {
    /// Adds a condition.
    pub fn filter(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.filters.push((name.into(), value.into()));
        self
    }

    /// The query of the request, with its question mark; empty when there is none.
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

/// A list that is read page by page, to its end or to the limit of its options.
#[derive(Debug)]
pub struct Pages<'a> {
    client: &'a Client,
    options: ListOptions,
    page_size: u32,
    detailed: bool,
    /// Images still wanted; none for all.
    wanted: Option<u32>,
    is_over: bool,
}

impl Client {
    /// The list of images, page by page.
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

    /// The detailed list of images, page by page.
    pub fn pages_detailed(&self, options: ListOptions) -> Pages<'_> {
        Pages {
            detailed: true,
            ..self.pages(options)
        }
    }
}

impl Pages<'_> {
    /// Asks for so many images at a time, 1 to 1000.
    pub fn with_page_size(mut self, images: u32) -> Self {
        self.page_size = images.clamp(1, MAX_PAGE_SIZE);
        self
    }

    /// The next page; none after the last, which is the first that is not full.
    ///
    /// # Errors
    /// Any [`ClientError`]; [`ClientError::Protocol`] when the server repeats a page.
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
        if page
            .iter()
            .any(|image| Some(&image.id) == self.options.marker.as_ref())
        {
            return Err(ClientError::Protocol(
                "the list does not go on after its marker".to_owned(),
            ));
        }
        self.options.marker = Some(last.id.clone());
        Ok(Some(page))
    }

    /// All the pages in one.
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
