//! Headers of an image's data, as a header map for responses that hyper writes
//! ([`representation`]), and as finished lines for the fast path of HEAD ([`head_lines`]). Both
//! state the same; a test compares them.

use std::fmt::{Display, Write};
use std::time::{Duration, UNIX_EPOCH};

use http::header::{
    ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue,
    LAST_MODIFIED,
};
use httpdate::HttpDate;

use super::content_md5::{CONTENT_MD5, write_content_md5};
use super::meta_headers::{FieldName, FieldSink, PROPERTY_PREFIX, write_fields};
use crate::image::{Image, Validators};

/// End of the year 9999, the latest HTTP date, in seconds since 1970.
const LATEST_DATE_S: i64 = 253_402_300_799;

/// The headers of an image's data (RFC 9110, section 8). An image without data has only the entity
/// tag.
pub struct Representation {
    /// `ETag`, as Glance writes it: without quotes.
    pub etag: Option<HeaderValue>,
    /// The rest, for an image whose data can be downloaded.
    pub data: Option<DataHeaders>,
}

/// The headers of data that can be downloaded.
pub struct DataHeaders {
    /// Length of all data, in bytes.
    pub size_bytes: u64,
    /// `Last-Modified`, never later than the time of the response (RFC 9110, 8.8.2.1).
    pub last_modified: HeaderValue,
    /// `Content-MD5` of all data (RFC 1864).
    pub content_md5: Option<HeaderValue>,
}

/// Returns the headers of an image's data at the time `now_s`, in seconds since 1970.
pub fn representation(image: &Image, now_s: i64) -> Representation {
    let checksum = image.checksum.as_ref().map(|sum| sum.as_str());
    Representation {
        etag: checksum.and_then(|tag| HeaderValue::from_bytes(tag.as_bytes()).ok()),
        data: image.served_bytes().and_then(|size_bytes| {
            Some(DataHeaders {
                size_bytes,
                last_modified: last_modified(image, now_s)?,
                content_md5: content_md5(image),
            })
        }),
    }
}

impl DataHeaders {
    /// Adds the headers that apply to the whole data and to any range of them.
    pub fn add_to(&self, headers: &mut HeaderMap) {
        let octets = HeaderValue::from_static("application/octet-stream");
        headers.insert(CONTENT_TYPE, octets);
        headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        self.add_last_modified_to(headers);
    }

    /// Adds `Last-Modified` alone.
    pub fn add_last_modified_to(&self, headers: &mut HeaderMap) {
        headers.insert(LAST_MODIFIED, self.last_modified.clone());
    }

    /// Adds `Content-MD5`, which applies to a body of all data only.
    pub fn add_md5_to(&self, headers: &mut HeaderMap) {
        if let Some(md5) = &self.content_md5 {
            headers.insert(CONTENT_MD5.clone(), md5.clone());
        }
    }

    /// Adds the length that a GET would have, for the response to HEAD.
    pub fn add_length_to(&self, headers: &mut HeaderMap) {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(self.size_bytes));
    }
}

fn last_modified(image: &Image, now_s: i64) -> Option<HeaderValue> {
    let modified_s = Validators::of(image).modified_s.min(now_s);
    let modified_s = modified_s.clamp(0, LATEST_DATE_S);
    let since_epoch = Duration::from_secs(modified_s.unsigned_abs());
    let date = HttpDate::from(UNIX_EPOCH + since_epoch);
    HeaderValue::try_from(date.to_string()).ok()
}

fn content_md5(image: &Image) -> Option<HeaderValue> {
    let data = image.data.as_ref()?;
    let digest = data.checksum.as_ref()?.digest()?;
    write_content_md5(&digest)
}

/// Renders the header lines of a response to HEAD: the metadata with underscores and without `uri`,
/// and the headers of [`representation`]. Before the image's `updated_at` (clocks differ) the
/// lines would state a future time.
pub fn head_lines(image: &Image) -> Box<[u8]> {
    let mut lines = LineSink(String::with_capacity(1024));
    write_fields(image, None, &mut lines);
    let mut headers = HeaderMap::new();
    let representation = representation(image, i64::MAX);
    if let Some(etag) = representation.etag {
        headers.insert(ETAG, etag);
    }
    match representation.data {
        Some(data) => {
            data.add_to(&mut headers);
            data.add_md5_to(&mut headers);
            data.add_length_to(&mut headers);
        }
        None => add_no_data(&mut headers),
    }
    let mut lines = lines.0.into_bytes();
    for (name, value) in &headers {
        lines.extend_from_slice(title_case(name.as_str()).as_bytes());
        lines.extend_from_slice(b": ");
        lines.extend_from_slice(value.as_bytes());
        lines.extend_from_slice(b"\r\n");
    }
    lines.into_boxed_slice()
}

/// Adds the headers that Glance sends with the metadata of an image without data.
pub fn add_no_data(headers: &mut HeaderMap) {
    let html = HeaderValue::from_static("text/html; charset=UTF-8");
    headers.insert(CONTENT_TYPE, html);
    headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
}

/// Returns a header name with capital letters at the start and after each dash, as Glance sends
/// them. hyper's `title_case_headers` does the same for the other responses.
pub fn title_case(name: &str) -> String {
    let mut begins_word = true;
    let letters = name.chars().map(|letter| {
        let cased = if begins_word {
            letter.to_ascii_uppercase()
        } else {
            letter
        };
        begins_word = letter == '-';
        cased
    });
    letters.collect()
}

/// Collects fields as header lines.
struct LineSink(String);

impl FieldSink for LineSink {
    fn put(&mut self, name: &FieldName, value: Option<impl Display>) {
        if let Some(value) = value {
            self.put_line(name.underscored.as_str(), value);
        }
    }

    fn put_property(&mut self, key: &str, value: &str) {
        let name = format!("{PROPERTY_PREFIX}{key}");
        // Parsing refuses names that no header can have and lower-cases the others.
        if let Ok(name) = HeaderName::from_bytes(name.as_bytes()) {
            self.put_line(name.as_str(), value);
        }
    }
}

impl LineSink {
    /// Adds a line, unless its value has a control character, which could inject another header.
    fn put_line(&mut self, name: &str, value: impl Display) {
        let line_start = self.0.len();
        // Writing to a string cannot fail.
        let _ = write!(self.0, "{}: ", title_case(name));
        let value_start = self.0.len();
        let _ = write!(self.0, "{value}\r\n");
        let value = &self.0[value_start..self.0.len() - 2];
        if HeaderValue::from_bytes(value.as_bytes()).is_err() {
            self.0.truncate(line_start);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{Checksum, ImageData, ImageId, Location, Status, Timestamp};
    use crate::wire::{Spelling, write_meta};

    const UPDATED_S: i64 = 784_111_777;

    fn image() -> Image {
        let updated_at = Timestamp::from_micros(UPDATED_S * 1_000_000 + 999_999);
        let mut image = Image::queued(ImageId::random(), updated_at);
        image.name = Some("München".to_owned());
        image.disk_format = Some("raw".to_owned());
        let mut set = |key: &str, value: &str| {
            image.properties.insert(key.into(), Some(value.into()));
        };
        set("os_version", "10.04 LTS");
        set("line", "a\r\nb: c");
        set("two words", "x");
        image
    }

    fn with_data(mut image: Image) -> Image {
        let checksum = Some(Checksum::of(&[0x11; 16]));
        image.status = Status::Active;
        image.size_bytes = 7;
        image.checksum = checksum.clone();
        image.data = Some(ImageData::new(
            Location::parse("file:///x").unwrap(),
            7,
            checksum,
        ));
        image
    }

    fn lines_of(image: &Image) -> Vec<(String, String)> {
        let lines = String::from_utf8(head_lines(image).into()).unwrap();
        let mut lines: Vec<_> = lines
            .split_terminator("\r\n")
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        lines.sort_unstable();
        lines
    }

    #[test]
    fn lines_equal_headers() {
        let image = with_data(image());
        let mut headers = HeaderMap::new();
        write_meta(&image, Spelling::Underscores, None, &mut headers);
        let representation = representation(&image, i64::MAX);
        headers.insert(ETAG, representation.etag.unwrap());
        let data = representation.data.unwrap();
        data.add_to(&mut headers);
        data.add_md5_to(&mut headers);
        data.add_length_to(&mut headers);
        let mut wanted: Vec<(String, String)> = headers
            .iter()
            .map(|(name, value)| {
                let value = String::from_utf8(value.as_bytes().to_vec()).unwrap();
                (title_case(name.as_str()), value)
            })
            .collect();
        wanted.sort_unstable();
        assert_eq!(lines_of(&image), wanted);
    }

    #[test]
    fn head_describes_data_as_get_does() {
        let lines = lines_of(&with_data(image()));
        let value = |wanted: &str| {
            let found = lines.iter().find(|(name, _)| name == wanted);
            found.map(|(_, value)| value.as_str())
        };
        assert_eq!(value("Content-Length"), Some("7"));
        assert_eq!(value("Content-Type"), Some("application/octet-stream"));
        assert_eq!(value("Accept-Ranges"), Some("bytes"));
        assert_eq!(value("Content-Md5"), Some("EREREREREREREREREREREQ=="));
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        assert_eq!(value("Last-Modified"), Some(date));
        assert_eq!(value("X-Image-Meta-Disk_format"), Some("raw"));
        assert_eq!(value("X-Image-Meta-Property-Os_version"), Some("10.04 LTS"));
        assert_eq!(value("X-Image-Meta-Property-Line"), None);
    }

    #[test]
    fn image_without_data_has_neither_length_nor_date() {
        let lines = lines_of(&image());
        let has = |name: &str| lines.iter().any(|(own, _)| own == name);
        assert!(lines.contains(&("Content-Length".to_owned(), "0".to_owned())));
        assert!(!has("Last-Modified") && !has("Accept-Ranges") && !has("Etag"));
    }

    #[test]
    fn last_modified_is_never_in_the_future() {
        let image = with_data(image());
        let at = |now_s| representation(&image, now_s).data.unwrap().last_modified;
        assert_eq!(at(UPDATED_S - 1), "Sun, 06 Nov 1994 08:49:36 GMT");
        assert_eq!(at(UPDATED_S + 9), "Sun, 06 Nov 1994 08:49:37 GMT");
    }

    #[test]
    fn names_are_in_title_case() {
        assert_eq!(
            title_case("x-image-meta-disk_format"),
            "X-Image-Meta-Disk_format"
        );
        assert_eq!(title_case("etag"), "Etag");
    }
}
