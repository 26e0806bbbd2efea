//! The orders in which images can be listed.

use std::sync::Arc;

use crate::image::{Image, ImageId, SortKey, Timestamp};

/// The orders that are kept, one a sort key.
pub(super) const ORDERS: [SortKey; 8] = [
    SortKey::CreatedAt,
    SortKey::UpdatedAt,
    SortKey::Name,
    SortKey::Size,
    SortKey::Id,
    SortKey::Status,
    SortKey::DiskFormat,
    SortKey::ContainerFormat,
];

/// Where an image stands in one order: by the sort key, then by age, then by identifier.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct OrderKey {
    primary: Primary,
    created_at: Timestamp,
    id: ImageId,
}

/// The value of a sort key; what is absent comes first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Primary {
    Absent,
    Word(&'static str),
    Text(Arc<str>),
    Number(u64),
    Time(Timestamp),
    Id(ImageId),
}

impl OrderKey {
    pub(super) fn new(key: SortKey, image: &Image) -> Self {
        let text = |text: &Option<String>| match text {
            Some(text) => Primary::Text(text.as_str().into()),
            None => Primary::Absent,
        };
        Self {
            primary: match key {
                SortKey::CreatedAt => Primary::Absent,
                SortKey::UpdatedAt => Primary::Time(image.updated_at),
                SortKey::Name => text(&image.name),
                SortKey::Size => Primary::Number(image.size_bytes),
                SortKey::Id => Primary::Id(image.id),
                SortKey::Status => Primary::Word(image.status.as_str()),
                SortKey::DiskFormat => text(&image.disk_format),
                SortKey::ContainerFormat => text(&image.container_format),
            },
            created_at: image.created_at,
            id: image.id,
        }
    }
}
