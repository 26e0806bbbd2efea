//! Everything that an embedded registry stores, and the part of it that readers see.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::super::codec::{self, CodecError};
use super::super::documents::{self, Document, DocumentMap};
use super::super::index::{Index, Snapshot};
use super::super::{Record, Version};
use super::key::Key;

/// All records and documents at one moment. Cloning is cheap.
#[derive(Clone)]
pub(super) struct Stored {
    pub(super) images: Snapshot,
    pub(super) documents: DocumentMap,
}

/// One record or document.
pub(super) enum Item<'a> {
    Record(&'a Arc<Record>),
    Document(&'a Arc<Document>),
}

/// The state that readers on every thread see, as the last durable commit has left it.
pub(super) struct Published {
    pub(super) index: Index,
    documents: ArcSwap<DocumentMap>,
}

impl Stored {
    pub(super) fn get(&self, key: &Key) -> Option<Item<'_>> {
        match key {
            Key::Image(id) => self.images.get(id).map(Item::Record),
            Key::Document(key) => self.documents.get(key).map(Item::Document),
        }
    }

    /// Returns all items, in no particular order.
    pub(super) fn items(&self) -> impl Iterator<Item = Item<'_>> {
        let records = self.images.records().map(Item::Record);
        records.chain(self.documents.iter().map(Item::Document))
    }
}

impl Item<'_> {
    pub(super) fn key(&self) -> Key {
        match self {
            Self::Record(record) => Key::Image(record.image.id),
            Self::Document(document) => Key::Document(document.key.clone()),
        }
    }

    pub(super) fn version(&self) -> Version {
        match self {
            Self::Record(record) => record.version,
            Self::Document(document) => document.version,
        }
    }

    pub(super) fn encode(&self) -> Result<Vec<u8>, CodecError> {
        match self {
            Self::Record(record) => codec::encode(record),
            Self::Document(document) => documents::encode(document),
        }
    }
}

impl Published {
    pub(super) fn new(stored: Stored) -> Self {
        Self {
            index: Index::new(stored.images),
            documents: ArcSwap::from_pointee(stored.documents),
        }
    }

    /// Makes a state visible to readers. Only the commit thread calls this.
    pub(super) fn publish(&self, stored: Stored) {
        self.index.publish(stored.images);
        self.documents.store(Arc::new(stored.documents));
    }

    /// Returns the current state. Images and documents may be of different commits, which does no
    /// harm: no write concerns both.
    pub(super) fn snapshot(&self) -> Stored {
        Stored {
            images: self.index.snapshot(),
            documents: DocumentMap::clone(&self.documents()),
        }
    }

    pub(super) fn documents(&self) -> Arc<DocumentMap> {
        self.documents.load_full()
    }
}
