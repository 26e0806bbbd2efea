//! What clients were told, and what they asked for without being told.

use std::collections::BTreeMap;

/// What an image is, as far as a client can tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Never registered.
    Absent,
    Queued {
        name: String,
    },
    Active {
        name: String,
        data: Data,
    },
    /// Registered, and its data refused or cut off.
    Killed,
    Deleted,
}

/// The bytes of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Data {
    pub size_bytes: u64,
    pub md5: String,
}

/// One image.
#[derive(Debug, Clone)]
pub struct Entry {
    /// What the last answer said.
    pub known: State,
    /// What else it may be by now: the outcomes of a request without an answer.
    pub possible: Vec<State>,
}

/// Every image that was ever named.
#[derive(Debug, Default)]
pub struct Ledger {
    pub entries: BTreeMap<String, Entry>,
    acknowledged: u64,
}

impl Ledger {
    /// Takes over what a worker knows at its end.
    pub fn merge(&mut self, entries: BTreeMap<String, Entry>, acknowledged: u64) {
        self.entries.extend(entries);
        self.acknowledged += acknowledged;
    }

    /// Changes acknowledged since this was last asked.
    pub fn take_acknowledged(&mut self) -> u64 {
        std::mem::take(&mut self.acknowledged)
    }

    /// Requests that got no answer.
    pub fn under_way(&self) -> u64 {
        let open = self
            .entries
            .values()
            .filter(|entry| !entry.possible.is_empty());
        open.count() as u64
    }
}

impl Entry {
    pub fn new() -> Self {
        Self {
            known: State::Absent,
            possible: Vec::new(),
        }
    }

    /// Whether the image may be this now.
    pub fn allows(&self, state: &State) -> bool {
        self.known == *state || self.possible.contains(state)
    }
}

impl State {
    pub fn data(&self) -> Option<&Data> {
        match self {
            State::Active { data, .. } => Some(data),
            _ => None,
        }
    }
}
