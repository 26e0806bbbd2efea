//! Sieving rows without looking at the records behind them.
//!
//! A list that few images match walks over many that do not. Following a pointer to each
//! would cost a cache miss an image; so a row carries 64 bits of hints and the two numbers
//! that filters compare. Hints may say yes wrongly, never no wrongly; what passes is then
//! compared with the query itself.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use super::super::Record;
use crate::image::{Filter, Image, Query, Status, Timestamp, Visibility};

/// A record as it stands in an order.
#[derive(Clone)]
pub(super) struct Row {
    hints: u64,
    size_bytes: u64,
    updated_at: Timestamp,
    pub(super) record: Arc<Record>,
}

const PUBLIC: u64 = 1;
const PROTECTED: u64 = 1 << 1;
/// Neither deleted nor killed.
const CURRENT: u64 = 1 << 2;
const HAS_MEMBERS: u64 = 1 << 3;
/// Where the hints of the fields begin, and how many bits each has.
const STATUS: (u32, u32) = (4, 3);
const DISK_FORMAT: (u32, u32) = (8, 6);
const CONTAINER_FORMAT: (u32, u32) = (14, 6);
const NAME: (u32, u32) = (20, 12);
const OWNER: (u32, u32) = (32, 8);
/// One bit a property: a Bloom filter.
const PROPERTIES: (u32, u32) = (40, 24);

impl Row {
    pub(super) fn new(record: &Arc<Record>) -> Self {
        let image = &record.image;
        Self {
            hints: hints(image),
            size_bytes: image.size_bytes,
            updated_at: image.updated_at,
            record: Arc::clone(record),
        }
    }
}

fn hash(value: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// A few bits of a value's hash, in their place.
fn field(place: (u32, u32), value: u64) -> u64 {
    (value & mask_of(place.1)) << place.0
}

fn mask_of(bits: u32) -> u64 {
    (1 << bits) - 1
}

fn property_bit(key: &str, value: &str) -> u64 {
    1 << (PROPERTIES.0 + (hash((key, value)) % u64::from(PROPERTIES.1)) as u32)
}

fn hints(image: &Image) -> u64 {
    let flag = |bit, set| if set { bit } else { 0 };
    let is_current = !image.status.is_gone() && image.status != Status::Killed;
    let mut hints = flag(PUBLIC, image.is_public)
        | flag(PROTECTED, image.protected)
        | flag(CURRENT, is_current)
        | flag(HAS_MEMBERS, !image.members.is_empty())
        | field(STATUS, hash(image.status.as_str()))
        | field(DISK_FORMAT, hash(image.disk_format.as_deref()))
        | field(CONTAINER_FORMAT, hash(image.container_format.as_deref()))
        | field(NAME, hash(image.name.as_deref()))
        | field(OWNER, hash(image.owner.as_deref()));
    for (key, value) in &image.properties {
        if let Some(value) = value {
            hints |= property_bit(key, value);
        }
    }
    hints
}

/// A query as a row's hints can be held against it.
#[derive(Debug)]
pub(super) struct Sieve {
    mask: u64,
    value: u64,
    size_min: u64,
    size_max: u64,
    changed_after: Option<Timestamp>,
    /// Hints of the owner whose private images count too.
    tenant: Option<u64>,
}

impl Sieve {
    pub(super) fn new(query: &Query) -> Self {
        let mut sieve = Self {
            mask: 0,
            value: 0,
            size_min: 0,
            size_max: u64::MAX,
            changed_after: query.changes_since,
            tenant: None,
        };
        if query.changes_since.is_none() {
            sieve.want(CURRENT, CURRENT);
        }
        match &query.visibility {
            Visibility::All => {}
            Visibility::NotPublic => sieve.want(PUBLIC, 0),
            Visibility::Tenant(None) => sieve.want(PUBLIC, PUBLIC),
            Visibility::Tenant(tenant) => {
                sieve.tenant = Some(field(OWNER, hash(tenant.as_deref())));
            }
        }
        for filter in &query.filters {
            sieve.add(filter);
        }
        sieve
    }

    fn want(&mut self, mask: u64, value: u64) {
        self.mask |= mask;
        self.value |= value;
    }

    fn want_field(&mut self, place: (u32, u32), words: &[String]) {
        if let [word] = words {
            let mask = mask_of(place.1) << place.0;
            self.want(mask, field(place, hash(Some(word.as_str()))));
        }
    }

    fn add(&mut self, filter: &Filter) {
        match filter {
            Filter::Name(words) => self.want_field(NAME, words),
            Filter::DiskFormat(words) => self.want_field(DISK_FORMAT, words),
            Filter::ContainerFormat(words) => self.want_field(CONTAINER_FORMAT, words),
            Filter::Status(words) => {
                if let [word] = words.as_slice() {
                    let mask = mask_of(STATUS.1) << STATUS.0;
                    self.want(mask, field(STATUS, hash(word.as_str())));
                }
            }
            Filter::Protected(true) => self.want(PROTECTED, PROTECTED),
            Filter::Protected(false) => self.want(PROTECTED, 0),
            Filter::Property(key, value) => {
                let bit = property_bit(key, value);
                self.want(bit, bit);
            }
            Filter::Member(_) => self.want(HAS_MEMBERS, HAS_MEMBERS),
            Filter::SizeMin(bytes) => self.size_min = self.size_min.max(*bytes),
            Filter::SizeMax(bytes) => self.size_max = self.size_max.min(*bytes),
            Filter::Id(_) | Filter::MinDisk(_) | Filter::MinRam(_) => {}
        }
    }

    pub(super) fn admits(&self, row: &Row) -> bool {
        let owner_mask = mask_of(OWNER.1) << OWNER.0;
        row.hints & self.mask == self.value
            && (self.size_min..=self.size_max).contains(&row.size_bytes)
            && self.changed_after.is_none_or(|time| row.updated_at > time)
            && self.tenant.is_none_or(|owner| {
                row.hints & (PUBLIC | HAS_MEMBERS) != 0 || row.hints & owner_mask == owner
            })
    }
}
