//! The inverted index: which images have which value of an attribute.
//!
//! A posting combines a value's term and an image's slot in one number, and all postings are in one
//! sorted sequence. So the images with a value are adjacent, and so are those with any other value
//! of the same attribute.

use std::hash::{BuildHasher, Hash, RandomState};
use std::ops::Range;

use super::sequence::{Position, Sequence};
use super::slot_range::{Partition, Posting, SlotRange};
use super::table::{Slot, Table};
use crate::image::Image;

/// A property of which an image has exactly one value.
#[derive(Debug, Clone, Copy)]
pub(super) enum Attribute {
    Name,
    Status,
    DiskFormat,
    ContainerFormat,
    Owner,
    IsPublic,
    Protected,
    MinDisk,
    MinRam,
}

/// A property of which an image has any number of values.
#[derive(Debug, Clone, Copy)]
pub(super) enum Collection {
    /// Pairs of key and value. Properties without a value have no posting.
    Properties = 0x80,
    /// Tenants with whom the image is shared.
    Members,
}

/// An attribute in the upper byte, the hash of a value in the others. Values with equal hashes cost
/// reads of records that do not match; they never hide a match.
type Term = u32;

const HASH_BITS: u32 = 24;

/// The inverted index. Cloning is cheap.
#[derive(Clone)]
pub(super) struct Facets {
    postings: Sequence<Posting>,
    /// Random keys of this process, so that clients cannot construct values with equal hashes.
    hashing: RandomState,
}

fn posting(term: Term, slot: Slot) -> Posting {
    Posting::from(term) << Slot::BITS | Posting::from(slot)
}

impl Facets {
    /// Returns the postings of all images of a table.
    pub(super) fn of(table: &Table) -> Self {
        let mut facets = Self {
            postings: Sequence::from_sorted(&[]),
            hashing: RandomState::new(),
        };
        let mut postings = Vec::new();
        for (slot, record) in (0..).zip(table.records()) {
            let terms = facets.terms(&record.image);
            postings.extend(terms.into_iter().map(|term| posting(term, slot)));
        }
        postings.sort_unstable();
        facets.postings = Sequence::from_sorted(&postings);
        facets
    }

    /// Adds a new image, or updates one that changes.
    pub(super) fn put(&mut self, slot: Slot, old: Option<&Image>, new: &Image) {
        // Only the difference is written: most changes concern one or two of a dozen terms.
        let old = old.map(|image| self.terms(image)).unwrap_or_default();
        let new = self.terms(new);
        for term in old.iter().filter(|term| new.binary_search(term).is_err()) {
            let position = self.position(posting(*term, slot));
            self.postings.remove(position);
        }
        for term in new.iter().filter(|term| old.binary_search(term).is_err()) {
            let posting = posting(*term, slot);
            self.postings.insert(self.position(posting), posting);
        }
    }

    /// Removes an image.
    pub(super) fn remove(&mut self, slot: Slot, old: &Image) {
        for term in self.terms(old) {
            let position = self.position(posting(term, slot));
            self.postings.remove(position);
        }
    }

    /// Returns the images that have any of these values of an attribute, and all others.
    pub(super) fn split<V: Hash>(
        &self,
        attribute: Attribute,
        values: impl IntoIterator<Item = V>,
    ) -> Partition<'_> {
        let term = |value| self.term(attribute as u8, value);
        let mut terms: Vec<Term> = values.into_iter().map(term).collect();
        terms.sort_unstable();
        terms.dedup();
        let matching: Vec<_> = terms.into_iter().map(|term| self.range(term)).collect();
        let first = Term::from(attribute as u8) << HASH_BITS;
        let mut from = self.position(posting(first, 0));
        let mut others = Vec::with_capacity(matching.len() + 1);
        for range in &matching {
            others.push(from..range.start);
            from = range.end;
        }
        others.push(from..self.position(posting(first + (1 << HASH_BITS), 0)));
        let slot_range = |range| SlotRange::Postings(&self.postings, range);
        Partition {
            matching: matching.into_iter().map(slot_range).collect(),
            others: others.into_iter().map(slot_range).collect(),
        }
    }

    /// Returns the images that have a value in a collection.
    pub(super) fn holding(&self, collection: Collection, value: impl Hash) -> SlotRange<'_> {
        let term = self.term(collection as u8, value);
        SlotRange::Postings(&self.postings, self.range(term))
    }

    fn position(&self, posting: Posting) -> Position {
        self.postings.position(|other| *other < posting)
    }

    fn range(&self, term: Term) -> Range<Position> {
        self.position(posting(term, 0))..self.position(posting(term + 1, 0))
    }

    fn term(&self, tag: u8, value: impl Hash) -> Term {
        let hash = self.hashing.hash_one(value) as Term >> (Term::BITS - HASH_BITS);
        Term::from(tag) << HASH_BITS | hash
    }

    /// Returns all terms of an image in ascending order.
    fn terms(&self, image: &Image) -> Vec<Term> {
        let text = |attribute: Attribute, text: Option<&str>| self.term(attribute as u8, text);
        let flag = |attribute: Attribute, flag: bool| self.term(attribute as u8, flag);
        let number =
            |attribute: Attribute, number: u32| self.term(attribute as u8, u64::from(number));
        let mut terms = vec![
            text(Attribute::Name, image.name.as_deref()),
            text(Attribute::Status, Some(image.status.as_str())),
            text(Attribute::DiskFormat, image.disk_format.as_deref()),
            text(
                Attribute::ContainerFormat,
                image.container_format.as_deref(),
            ),
            text(Attribute::Owner, image.owner.as_deref()),
            flag(Attribute::IsPublic, image.visibility.is_public()),
            flag(Attribute::Protected, image.protected),
            number(Attribute::MinDisk, image.min_disk_gb),
            number(Attribute::MinRam, image.min_ram_mb),
        ];
        for (key, value) in &image.properties {
            let pair = value.as_deref().map(|value| (key.as_str(), value));
            terms.extend(pair.map(|pair| self.term(Collection::Properties as u8, pair)));
        }
        for member in image.effective_members() {
            terms.push(self.term(Collection::Members as u8, member.id.as_str()));
        }
        terms.sort_unstable();
        terms.dedup();
        terms
    }
}
