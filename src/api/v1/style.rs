//! The two forms of v1 responses, chosen by the path of the request.

/// The form of responses, which depends on how the path names the version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::api) enum Style {
    /// `/v1/...`: as the last Glance that had v1.
    Versioned,
    /// `/images...`, the paths of the first documents: with `uri`, and with dashed headers
    /// beside those with underscores.
    Unversioned,
}
