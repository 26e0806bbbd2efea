//! The expected states of images, as the clients know them.

use std::collections::BTreeMap;

use crate::support::bytes::md5_hex;

/// The expected state of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    pub status: &'static str,
    pub name: String,
    /// The MD5 of its data.
    pub checksum: Option<String>,
}

impl State {
    pub fn queued(name: &str) -> Self {
        Self {
            status: "queued",
            name: name.to_owned(),
            checksum: None,
        }
    }

    pub fn with_data(&self, data: &[u8]) -> Self {
        Self {
            status: "active",
            checksum: Some(md5_hex(data)),
            ..self.clone()
        }
    }

    pub fn named(&self, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ..self.clone()
        }
    }

    pub fn deleted(&self) -> Self {
        Self {
            status: "deleted",
            ..self.clone()
        }
    }
}

/// An image of one client.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The last acknowledged state; `None` before the first acknowledgement.
    pub known: Option<State>,
    /// The possible results of a request without a response. The image is not changed any more.
    pub possible: Vec<State>,
}

#[derive(Debug, Default)]
pub struct Ledger {
    pub entries: BTreeMap<String, Entry>,
    /// The acknowledged properties of the images that all clients share.
    pub properties: Vec<String>,
    pub acknowledged: u64,
    pub unanswered: u64,
    /// Number of responses that were compared with the expected states.
    pub answers: u64,
}

impl Ledger {
    pub fn merge(&mut self, other: Self) {
        self.entries.extend(other.entries);
        self.properties.extend(other.properties);
        self.acknowledged += other.acknowledged;
        self.unanswered += other.unanswered;
        self.answers += other.answers;
    }
}
