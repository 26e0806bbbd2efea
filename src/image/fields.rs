//! The metadata of a v1 create or update request, parsed.

use super::{Checksum, ImageId, Properties};

/// The change that a request makes to one field.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Change<T> {
    /// The request does not name the field.
    #[default]
    Keep,
    /// The request names the field with an empty value.
    Clear,
    /// The request gives a value.
    Set(T),
}

impl<T> Change<T> {
    /// Returns the given value, if there is one.
    pub fn value(&self) -> Option<&T> {
        match self {
            Change::Set(value) => Some(value),
            _ => None,
        }
    }

    /// Applies the change to an optional field.
    pub fn apply(self, field: &mut Option<T>) {
        match self {
            Change::Keep => {}
            Change::Clear => *field = None,
            Change::Set(value) => *field = Some(value),
        }
    }
}

/// The metadata of one create or update request, parsed and valid.
///
/// Fields that no client can set (`deleted` and the three times) are validated while parsing and
/// then dropped.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fields {
    /// The identifier the client chose; on an update it must be the image's own.
    pub id: Option<ImageId>,
    /// At most 255 characters.
    pub name: Change<String>,
    /// The status that the client sent. A create ignores it; an update refuses any but the image's
    /// own (CVE-2015-5251).
    pub status: Option<String>,
    /// The stated size in bytes.
    pub size_bytes: Option<u64>,
    /// The stated virtual size in bytes.
    pub virtual_size_bytes: Change<u64>,
    /// A name from `disk_formats`.
    pub disk_format: Change<String>,
    /// A name from `container_formats`.
    pub container_format: Change<String>,
    /// The stated MD5 of the data.
    pub checksum: Change<Checksum>,
    /// The owning tenant; only administrators can set it.
    pub owner: Change<String>,
    /// True if the image is to be public.
    pub is_public: Option<bool>,
    /// True if the image is to be protected from deletion.
    pub protected: Option<bool>,
    /// Smallest disk to boot from, GB.
    pub min_disk_gb: Option<u32>,
    /// Smallest memory to boot with, MB.
    pub min_ram_mb: Option<u32>,
    /// Free-form properties.
    pub properties: Properties,
    /// The scheme of the store for the data.
    pub store: Option<String>,
    /// The location of data that exist already.
    pub location: Option<String>,
    /// The source that the data are copied from (`x-glance-api-copy-from`).
    pub copy_from: Option<String>,
}
