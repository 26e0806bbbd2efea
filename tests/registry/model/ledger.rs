//! What clients know of their images.

use std::collections::BTreeMap;

use crate::support::bytes::md5_hex;

/// What an image is to be.
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
    /// What was acknowledged last; `None` for an image that nobody acknowledged.
    pub known: Option<State>,
    /// What a request without an answer may have made of it. From then on it is left alone.
    pub possible: Vec<State>,
}

#[derive(Debug, Default)]
pub struct Ledger {
    pub entries: BTreeMap<String, Entry>,
    /// Properties of the image that all share which were acknowledged.
    pub properties: Vec<String>,
    pub acknowledged: u64,
    pub unanswered: u64,
    /// Answers that were compared with what is known.
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
