//! The states of all images as far as clients know: acknowledged changes, and changes without a
//! response.

use std::collections::BTreeMap;

/// The state of an image, as a client sees it.
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
    /// Registered; its data were rejected or aborted.
    Killed,
    Deleted,
}

/// The data of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Data {
    pub size_bytes: u64,
    pub md5: String,
}

/// One image.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The state after the last response.
    pub known: State,
    /// Other possible states: the results of a request without a response.
    pub possible: Vec<State>,
}

/// All images that were ever named.
#[derive(Debug, Default)]
pub struct Ledger {
    pub entries: BTreeMap<String, Entry>,
    acknowledged: u64,
}

impl Ledger {
    /// Adds the entries of a worker at its end.
    pub fn merge(&mut self, entries: BTreeMap<String, Entry>, acknowledged: u64) {
        self.entries.extend(entries);
        self.acknowledged += acknowledged;
    }

    /// Returns the number of changes acknowledged since the last call.
    pub fn take_acknowledged(&mut self) -> u64 {
        std::mem::take(&mut self.acknowledged)
    }

    /// Returns the number of requests without a response.
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

    /// Returns true if this is a possible state of the image.
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
