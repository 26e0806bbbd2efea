//! The names of the metrics that several files use.

pub(super) const REQUESTS: &str = "glance_http_requests_total";
pub(super) const REQUEST_DURATION: &str = "glance_http_request_duration_seconds";
pub(super) const REQUESTS_IN_FLIGHT: &str = "glance_http_requests_in_flight";
pub(super) const CONNECTIONS: &str = "glance_http_connections";
pub(super) const TRANSFER_BYTES: &str = "glance_image_transfer_bytes_total";
pub(super) const TRANSFERS_IN_FLIGHT: &str = "glance_image_transfers_in_flight";
pub(super) const FIRST_BYTE: &str = "glance_image_time_to_first_byte_seconds";
pub(super) const STORE_DURATION: &str = "glance_store_request_duration_seconds";
pub(super) const UPLOAD_FAILURES: &str = "glance_upload_failures_total";
pub(super) const CHECKSUM_MISMATCH: &str = "glance_checksum_mismatch_total";
pub(super) const INTEGRITY_FAILURES: &str = "glance_integrity_failures_total";
pub(super) const QUOTA_REJECTIONS: &str = "glance_quota_rejections_total";
pub(super) const TOKEN_CHECKS: &str = "glance_token_checks_total";
pub(super) const TOKEN_VALIDATION: &str = "glance_token_validation_duration_seconds";
pub(super) const IMAGES: &str = "glance_images";
pub(super) const IMAGE_BYTES: &str = "glance_image_bytes";
pub(super) const SCRUBBED: &str = "glance_scrubbed_images_total";
pub(super) const LAST_SCRUB: &str = "glance_last_scrub_timestamp_seconds";
pub(super) const REGISTRY_DURATION: &str = "glance_registry_request_duration_seconds";
pub(super) const REGISTRY_BEHIND: &str = "glance_registry_sled_behind_images";
pub(super) const REGISTRY_AGE: &str = "glance_registry_index_age_seconds";
pub(super) const PIPE_PAGES: &str = "glance_pipe_pages";
pub(super) const PIPE_PAGES_LIMIT: &str = "glance_pipe_pages_limit";
pub(super) const IO_BACKEND: &str = "glance_io_backend";
pub(super) const BUILD_INFO: &str = "glance_build_info";
