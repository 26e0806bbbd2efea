//! Names of containers, objects and segments, and their encoding in URLs.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::image::ImageId;

/// Characters to encode: all but the unreserved ones (RFC 3986, section 2.3).
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The most segments of one object: their numbers have five digits, as in Glance.
pub(super) const MOST_SEGMENTS: u32 = 99_999;

/// Encodes one component of a path or query.
pub(super) fn encode(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

/// Returns the path of a container below its account.
pub(super) fn container_path(container: &str) -> String {
    format!("/{}", encode(container))
}

/// Returns the path of an object below its account.
pub(super) fn object_path(container: &str, object: &str) -> String {
    format!("/{}/{}", encode(container), encode(object))
}

/// Returns the name of an object's segment; numbers start at 1.
pub(super) fn segment(object: &str, number: u32) -> String {
    format!("{object}-{number:05}")
}

/// Returns the common prefix of the names of an object's segments.
pub(super) fn segment_prefix(object: &str) -> String {
    format!("{object}-")
}

/// Returns the container of an image: `container`, or with a `seed` also that many first digits of
/// the image's identifier, dashes not counted.
pub(super) fn container_of(container: &str, seed: usize, image: &ImageId) -> String {
    if seed == 0 {
        return container.to_owned();
    }
    let id = image.as_str().to_ascii_lowercase();
    // Glance extends the prefix by the dashes among the first `seed` characters, but not by those
    // in the extension.
    let dashes = id.chars().take(seed).filter(|c| *c == '-').count();
    let digits: String = id.chars().take(seed + dashes).collect();
    format!("{container}_{digits}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_encoded() {
        assert_eq!(
            object_path("my images", "a/b?é"),
            "/my%20images/a%2Fb%3F%C3%A9"
        );
        assert_eq!(container_path("glance"), "/glance");
    }

    #[test]
    fn segment_names_equal_those_of_glance() {
        assert_eq!(segment("id", 1), "id-00001");
        assert_eq!(segment("id", MOST_SEGMENTS), "id-99999");
    }

    #[test]
    fn container_names_equal_those_of_glance() {
        let image: ImageId = "3A1b2c3d-d94f-49cd-a114-e12490b328d9".parse().unwrap();
        for (seed, container) in [
            (0, "glance"),
            (1, "glance_3"),
            (3, "glance_3a1"),
            (8, "glance_3a1b2c3d"),
            (9, "glance_3a1b2c3d-d"),
            (32, "glance_3a1b2c3d-d94f-49cd-a114-e12490b328d9"),
        ] {
            assert_eq!(container_of("glance", seed, &image), container);
        }
    }
}
