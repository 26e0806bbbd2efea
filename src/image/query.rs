//! Queries of lists: which images match, and their order. Registries evaluate them; API servers
//! send them to a registry server in this form.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use super::{Image, ImageId, Timestamp};

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Query {
    /// The images to choose from, by owner and visibility.
    #[serde(rename = "visibility")]
    pub scope: ListScope,
    /// Conditions; all must hold.
    pub filters: Vec<Filter>,
    /// Only images changed after this time, including deleted and killed ones; without it, lists
    /// show neither.
    pub changes_since: Option<Timestamp>,
    /// The keys to sort by, most significant first. See [`Query::order`] for ties.
    #[serde(flatten, with = "sort_fields")]
    pub sort_keys: Vec<(SortKey, SortDirection)>,
    /// The last image of the previous page: this page starts after it.
    pub marker: Option<ImageId>,
    /// Most images on the page.
    pub limit: usize,
}

/// The images that a list chooses from, by owner and visibility.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ListScope {
    /// Public images, and those of this tenant or shared with it.
    Tenant(Option<String>),
    /// Every image that is not public, of any owner; for administrators only.
    NotPublic,
    /// Every image; for administrators only.
    All,
}

/// One condition of a query.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Filter {
    /// The identifier is one of these.
    Id(Vec<String>),
    /// The name is one of these, with case.
    Name(Vec<String>),
    /// The status is one of these words.
    Status(Vec<String>),
    /// The disk format is one of these.
    DiskFormat(Vec<String>),
    /// The container format is one of these.
    ContainerFormat(Vec<String>),
    /// Exactly this many GB.
    MinDisk(u64),
    /// Exactly this many MB.
    MinRam(u64),
    /// At least this many bytes.
    SizeMin(u64),
    /// At most this many bytes.
    SizeMax(u64),
    /// Protected or not.
    Protected(bool),
    /// The property has this value.
    Property(String, String),
    /// Shared with this tenant.
    Member(String),
}

/// A field that lists can be sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SortKey {
    Name,
    Status,
    ContainerFormat,
    DiskFormat,
    Size,
    Id,
    CreatedAt,
    UpdatedAt,
}

/// The value of a sort key. An absent value precedes all others. Values of different keys have no
/// meaningful order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SortValue<'a> {
    Text(Option<&'a str>),
    Number(u64),
    Time(Timestamp),
    Id(&'a ImageId),
}

/// The direction of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SortDirection {
    Ascending,
    Descending,
}

impl Query {
    /// Returns a query for all images, including deleted ones, by identifier, with pages of `limit`
    /// images.
    pub fn everything(limit: usize) -> Self {
        Self {
            scope: ListScope::All,
            filters: Vec::new(),
            changes_since: Some(Timestamp::from_micros(i64::MIN)),
            sort_keys: vec![(SortKey::Id, SortDirection::Ascending)],
            marker: None,
            limit,
        }
    }

    /// Returns true if the image belongs to the list, on any page.
    pub fn matches(&self, image: &Image) -> bool {
        self.admits_age(image)
            && self.scope.admits(image)
            && self.filters.iter().all(|filter| filter.admits(image))
    }

    fn admits_age(&self, image: &Image) -> bool {
        match self.changes_since {
            Some(since) => image.updated_at > since,
            None => image.status.is_listed(),
        }
    }

    /// Compares two images in the order of the list.
    ///
    /// The order is total: images that are equal by every sort key are ordered by creation time
    /// and then by identifier, in the direction of the last sort key (ascending without any).
    /// An absent value comes first in ascending order and last in descending order.
    pub fn order(&self, a: &Image, b: &Image) -> Ordering {
        let by_key = |(key, direction): &(SortKey, SortDirection)| {
            direction.apply(key.value(a).cmp(&key.value(b)))
        };
        let by_keys = self.sort_keys.iter().map(by_key);
        let mut differing = by_keys.filter(|order| order.is_ne());
        differing.next().unwrap_or_else(|| {
            let ties = (a.created_at, a.id).cmp(&(b.created_at, b.id));
            self.last_direction().apply(ties)
        })
    }

    fn last_direction(&self) -> SortDirection {
        let last = self.sort_keys.last();
        last.map_or(SortDirection::Ascending, |(_, direction)| *direction)
    }
}

impl SortDirection {
    /// Turns an ascending order into an order of this direction.
    pub fn apply(self, ascending: Ordering) -> Ordering {
        match self {
            SortDirection::Ascending => ascending,
            SortDirection::Descending => ascending.reverse(),
        }
    }
}

/// The stored form of the sort keys. A single key is written as `sort_key` and `sort_direction`,
/// as in the releases that knew one key only. Several are written as `sort_keys`, which such a
/// release refuses because `sort_key` is missing; it must not sort by a part of the keys.
mod sort_fields {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::{SortDirection, SortKey};

    type SortKeys = Vec<(SortKey, SortDirection)>;

    #[derive(Serialize, Deserialize)]
    struct Fields {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sort_key: Option<SortKey>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sort_direction: Option<SortDirection>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        sort_keys: SortKeys,
    }

    pub(super) fn serialize<S: Serializer>(keys: &SortKeys, to: S) -> Result<S::Ok, S::Error> {
        let fields = match keys.as_slice() {
            [(key, direction)] => Fields {
                sort_key: Some(*key),
                sort_direction: Some(*direction),
                sort_keys: Vec::new(),
            },
            several => Fields {
                sort_key: None,
                sort_direction: None,
                sort_keys: several.to_vec(),
            },
        };
        fields.serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<SortKeys, D::Error> {
        let fields = Fields::deserialize(from)?;
        let single = fields.sort_key.zip(fields.sort_direction);
        Ok(single.map_or(fields.sort_keys, |single| vec![single]))
    }
}

impl ListScope {
    /// Returns true if the image is in the scope.
    pub fn admits(&self, image: &Image) -> bool {
        match self {
            ListScope::All => true,
            ListScope::NotPublic => !image.visibility.is_public(),
            ListScope::Tenant(_) if image.visibility.is_public() => true,
            ListScope::Tenant(None) => false,
            ListScope::Tenant(Some(tenant)) => {
                image.owner.as_ref() == Some(tenant) || image.is_member(tenant)
            }
        }
    }
}

impl Filter {
    /// Returns true if the image meets the condition.
    pub fn admits(&self, image: &Image) -> bool {
        let one_of = |words: &[String], value: Option<&str>| {
            value.is_some_and(|value| words.iter().any(|word| word == value))
        };
        match self {
            Filter::Id(words) => one_of(words, Some(image.id.as_str())),
            Filter::Name(words) => one_of(words, image.name.as_deref()),
            Filter::Status(words) => one_of(words, Some(image.status.as_str())),
            Filter::DiskFormat(words) => one_of(words, image.disk_format.as_deref()),
            Filter::ContainerFormat(words) => one_of(words, image.container_format.as_deref()),
            Filter::MinDisk(gb) => u64::from(image.min_disk_gb) == *gb,
            Filter::MinRam(mb) => u64::from(image.min_ram_mb) == *mb,
            Filter::SizeMin(bytes) => image.size_bytes >= *bytes,
            Filter::SizeMax(bytes) => image.size_bytes <= *bytes,
            Filter::Protected(protected) => image.protected == *protected,
            Filter::Property(key, value) => image
                .properties
                .get(key)
                .is_some_and(|held| held.as_ref() == Some(value)),
            Filter::Member(tenant) => image.is_member(tenant),
        }
    }
}

impl SortKey {
    /// Every key, in the order of declaration.
    pub const ALL: [SortKey; 8] = [
        SortKey::Name,
        SortKey::Status,
        SortKey::ContainerFormat,
        SortKey::DiskFormat,
        SortKey::Size,
        SortKey::Id,
        SortKey::CreatedAt,
        SortKey::UpdatedAt,
    ];

    /// Returns the word that clients use.
    pub fn as_str(self) -> &'static str {
        match self {
            SortKey::Name => "name",
            SortKey::Status => "status",
            SortKey::ContainerFormat => "container_format",
            SortKey::DiskFormat => "disk_format",
            SortKey::Size => "size",
            SortKey::Id => "id",
            SortKey::CreatedAt => "created_at",
            SortKey::UpdatedAt => "updated_at",
        }
    }

    /// Returns the key of a word, compared with case.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|key| key.as_str() == word)
    }

    /// Returns the value of an image.
    pub fn value(self, image: &Image) -> SortValue<'_> {
        match self {
            SortKey::Name => SortValue::Text(image.name.as_deref()),
            SortKey::Status => SortValue::Text(Some(image.status.as_str())),
            SortKey::ContainerFormat => SortValue::Text(image.container_format.as_deref()),
            SortKey::DiskFormat => SortValue::Text(image.disk_format.as_deref()),
            SortKey::Size => SortValue::Number(image.size_bytes),
            SortKey::Id => SortValue::Id(&image.id),
            SortKey::CreatedAt => SortValue::Time(image.created_at),
            SortKey::UpdatedAt => SortValue::Time(image.updated_at),
        }
    }

    /// Compares two images by this key in ascending order, then by creation time and identifier,
    /// so that two images are never equal.
    pub fn order(self, a: &Image, b: &Image) -> Ordering {
        let by_value = self.value(a).cmp(&self.value(b));
        by_value
            .then_with(|| a.created_at.cmp(&b.created_at))
            .then_with(|| a.id.cmp(&b.id))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Member, Status, Visibility};
    use super::*;

    fn image(name: &str, created_micros: i64) -> Image {
        let mut image = Image::queued(ImageId::random(), Timestamp::from_micros(created_micros));
        image.name = Some(name.to_owned());
        image.visibility = Visibility::Public;
        image
    }

    fn query(filters: Vec<Filter>) -> Query {
        Query {
            scope: ListScope::Tenant(None),
            filters,
            changes_since: None,
            sort_keys: vec![(SortKey::CreatedAt, SortDirection::Descending)],
            marker: None,
            limit: 25,
        }
    }

    #[test]
    fn deleted_and_killed_images_need_changes_since() {
        let mut image = image("a", 5);
        for status in [Status::Deleted, Status::PendingDelete, Status::Killed] {
            image.status = status;
            assert!(!query(vec![]).matches(&image));
            let mut changes = query(vec![]);
            changes.changes_since = Some(Timestamp::from_micros(4));
            assert!(changes.matches(&image));
            changes.changes_since = Some(Timestamp::from_micros(5));
            assert!(!changes.matches(&image), "strictly later");
        }
    }

    #[test]
    fn scope_follows_owner_members_and_visibility() {
        let mut image = image("a", 1);
        image.visibility = Visibility::Shared;
        let b = ListScope::Tenant(Some("b".to_owned()));
        assert!(!b.admits(&image) && !ListScope::Tenant(None).admits(&image));
        assert!(ListScope::NotPublic.admits(&image) && ListScope::All.admits(&image));
        let now = Timestamp::from_micros(2);
        image.members.push(Member::new("b", false, now));
        assert!(b.admits(&image));
    }

    #[test]
    fn all_filters_must_match_exactly() {
        let mut image = image("Ubuntu", 1);
        image.size_bytes = 10;
        image.properties.insert("os".into(), Some("linux".into()));
        image.properties.insert("empty".into(), None);
        let name = |name: &str| Filter::Name(vec!["x".into(), name.into()]);
        assert!(query(vec![name("Ubuntu"), Filter::SizeMin(10)]).matches(&image));
        assert!(!query(vec![name("ubuntu")]).matches(&image));
        assert!(!query(vec![name("Ubuntu"), Filter::SizeMax(9)]).matches(&image));
        assert!(query(vec![Filter::Property("os".into(), "linux".into())]).matches(&image));
        assert!(!query(vec![Filter::Property("empty".into(), String::new())]).matches(&image));
    }

    #[test]
    fn ties_break_by_age_then_id_in_the_direction_of_the_last_key() {
        let (older, newer) = (image("same", 1), image("same", 2));
        let mut by_name = query(vec![]);
        by_name.sort_keys = vec![(SortKey::Name, SortDirection::Descending)];
        assert_eq!(by_name.order(&newer, &older), Ordering::Less);
        by_name.sort_keys = vec![(SortKey::Name, SortDirection::Ascending)];
        assert_eq!(by_name.order(&newer, &older), Ordering::Greater);
        by_name
            .sort_keys
            .push((SortKey::Size, SortDirection::Descending));
        assert_eq!(by_name.order(&newer, &older), Ordering::Less);
        by_name.sort_keys.clear();
        assert_eq!(by_name.order(&older, &newer), Ordering::Less);
    }

    #[test]
    fn later_keys_order_what_earlier_keys_leave_equal() {
        let sized = |name: Option<&str>, size_bytes| {
            let mut image = image("", 1);
            image.name = name.map(str::to_owned);
            image.size_bytes = size_bytes;
            image
        };
        let mut images = [
            sized(Some("b"), 1),
            sized(None, 2),
            sized(Some("a"), 3),
            sized(Some("a"), 4),
        ];
        let mut by_name = query(vec![]);
        by_name.sort_keys = vec![
            (SortKey::Name, SortDirection::Ascending),
            (SortKey::Size, SortDirection::Descending),
        ];
        images.sort_by(|a, b| by_name.order(a, b));
        assert_eq!(
            images.each_ref().map(|image| image.size_bytes),
            [2, 4, 3, 1]
        );
        by_name.sort_keys[0].1 = SortDirection::Descending;
        images.sort_by(|a, b| by_name.order(a, b));
        assert_eq!(
            images.each_ref().map(|image| image.size_bytes),
            [1, 4, 3, 2]
        );
    }

    #[test]
    fn one_sort_key_is_stored_as_by_earlier_releases() {
        let mut stored = query(vec![]);
        let json = serde_json::to_value(&stored).unwrap();
        assert_eq!(json["sort_key"], "created_at");
        assert_eq!(json["sort_direction"], "descending");
        assert!(json.get("sort_keys").is_none());
        assert_eq!(serde_json::from_value::<Query>(json).unwrap(), stored);
        stored
            .sort_keys
            .push((SortKey::Id, SortDirection::Ascending));
        let json = serde_json::to_value(&stored).unwrap();
        assert!(
            json.get("sort_key").is_none(),
            "an earlier release refuses it"
        );
        assert_eq!(serde_json::from_value::<Query>(json).unwrap(), stored);
    }
}
