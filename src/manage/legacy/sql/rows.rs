//! Rows of the old tables, as text.

use std::collections::BTreeMap;

use crate::image::Timestamp;

/// Columns of a row that are not null.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Columns(BTreeMap<&'static str, String>);

impl Columns {
    pub(super) fn set(&mut self, column: &'static str, value: Option<String>) {
        if let Some(value) = value {
            self.0.insert(column, value);
        }
    }

    /// A column that is neither null nor empty.
    pub(super) fn text(&self, column: &str) -> Option<&str> {
        let value = self.0.get(column).map(String::as_str);
        value.filter(|value| !value.is_empty())
    }

    /// 1 of SQLite and MySQL, true of PostgreSQL.
    pub(super) fn is(&self, column: &str) -> bool {
        matches!(
            self.text(column),
            Some("1" | "t" | "true" | "TRUE" | "True")
        )
    }

    pub(super) fn take(&mut self, column: &str) -> Option<String> {
        self.0.remove(column)
    }

    /// When the row was deleted; `None` when it was not.
    pub(super) fn deletion(&self) -> Option<Deletion> {
        let at = self.text("deleted_at").and_then(Timestamp::parse);
        self.is("deleted").then_some(Deletion { at })
    }
}

/// That a row was deleted. Glance keeps such rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Deletion {
    /// When, if that can be read.
    pub(super) at: Option<Timestamp>,
}

/// A property of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OldProperty {
    pub(super) name: String,
    pub(super) value: Option<String>,
    pub(super) deletion: Option<Deletion>,
}

/// A member of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OldMember {
    pub(super) id: String,
    pub(super) can_share: bool,
    pub(super) deletion: Option<Deletion>,
}

/// A place where an image's data are, or were.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OldLocation {
    pub(super) value: String,
    /// Identifier of the store, of several of one kind (`enabled_backends`, since 2018).
    pub(super) store: Option<String>,
    /// Since 2014: active, pending_delete or deleted.
    pub(super) status: Option<String>,
    pub(super) deletion: Option<Deletion>,
}

/// An image, with the rows of other tables that are its own.
#[derive(Debug, Clone, Default)]
pub(super) struct Old {
    pub(super) row: Columns,
    pub(super) properties: Vec<OldProperty>,
    pub(super) members: Vec<OldMember>,
    /// In the order in which they were added.
    pub(super) locations: Vec<OldLocation>,
    pub(super) tags: usize,
}

impl Old {
    /// One that has no other rows yet.
    pub(super) fn of(row: Columns) -> Self {
        Self {
            row,
            ..Self::default()
        }
    }
}
