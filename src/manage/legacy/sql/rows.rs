//! The rows of the old tables, as text.

use std::collections::BTreeMap;

use crate::image::Timestamp;

/// The columns of a row that are not null.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Columns(BTreeMap<&'static str, String>);

impl Columns {
    pub(super) fn set(&mut self, column: &'static str, value: Option<String>) {
        if let Some(value) = value {
            self.0.insert(column, value);
        }
    }

    /// Returns the value of a column, unless it is null or empty.
    pub(super) fn text(&self, column: &str) -> Option<&str> {
        let value = self.0.get(column).map(String::as_str);
        value.filter(|value| !value.is_empty())
    }

    /// Returns true if a column is true: `1` in SQLite and MySQL, `true` in PostgreSQL.
    pub(super) fn is(&self, column: &str) -> bool {
        matches!(
            self.text(column),
            Some("1" | "t" | "true" | "TRUE" | "True")
        )
    }

    pub(super) fn take(&mut self, column: &str) -> Option<String> {
        self.0.remove(column)
    }

    /// Returns the deletion of the row, or `None` if it was not deleted.
    pub(super) fn deletion(&self) -> Option<Deletion> {
        let at = self.text("deleted_at").and_then(Timestamp::parse);
        self.is("deleted").then_some(Deletion { at })
    }
}

/// The deletion of a row. Glance marks rows as deleted and keeps them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Deletion {
    /// The time, if it can be parsed.
    pub(super) at: Option<Timestamp>,
}

/// A property of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LegacyProperty {
    pub(super) name: String,
    pub(super) value: Option<String>,
    pub(super) deletion: Option<Deletion>,
}

/// A member of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LegacyMember {
    pub(super) id: String,
    pub(super) can_share: bool,
    pub(super) deletion: Option<Deletion>,
}

/// A place where an image's data are, or were.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LegacyLocation {
    pub(super) value: String,
    /// Identifier of the store, of several of one kind (`enabled_backends`, since 2018).
    pub(super) store: Option<String>,
    /// Since 2014: active, pending_delete or deleted.
    pub(super) status: Option<String>,
    pub(super) deletion: Option<Deletion>,
}

/// An image with its rows in other tables.
#[derive(Debug, Clone, Default)]
pub(super) struct LegacyImage {
    pub(super) row: Columns,
    pub(super) properties: Vec<LegacyProperty>,
    pub(super) members: Vec<LegacyMember>,
    /// In the order in which they were added.
    pub(super) locations: Vec<LegacyLocation>,
    pub(super) tags: usize,
}

impl LegacyImage {
    /// Returns an image without rows in other tables.
    pub(super) fn of(row: Columns) -> Self {
        Self {
            row,
            ..Self::default()
        }
    }
}
