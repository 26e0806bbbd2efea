//! What a request says about an image.

use super::{Checksum, ImageId, Properties};

/// What a request does to one field.
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
    /// The value given, if one is.
    pub fn value(&self) -> Option<&T> {
        match self {
            Change::Set(value) => Some(value),
            _ => None,
        }
    }

    /// Applies the change to a field that may be absent.
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
/// Fields that are taken from no client (`deleted` and the three times) are checked while
/// parsing and do not appear here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fields {
    /// The identifier the client chose; on an update it must be the image's own.
    pub id: Option<ImageId>,
    /// At most 255 characters.
    pub name: Change<String>,
    /// The word the client sent; on a create it is ignored, on an update it must be the
    /// image's own (CVE-2015-5251).
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
    /// The owning tenant; honoured from administrators only.
    pub owner: Change<String>,
    /// Whether everybody may use the image.
    pub is_public: Option<bool>,
    /// Whether the image is safe from deletion.
    pub protected: Option<bool>,
    /// Smallest disk to boot from, GB.
    pub min_disk_gb: Option<u32>,
    /// Smallest memory to boot with, MB.
    pub min_ram_mb: Option<u32>,
    /// Free-form properties.
    pub properties: Properties,
    /// The scheme of the store that is to take the data.
    pub store: Option<String>,
    /// Where the data are already.
    pub location: Option<String>,
    /// Where the data are to be copied from (`x-glance-api-copy-from`).
    pub copy_from: Option<String>,
}
