//! Decides what a caller may do under the operator's rules: the policy and the protection of
//! properties.
//!
//! `enforce` (policy) and `authorize` (ownership, in `errors.rs`) are separate checks. The verbs
//! call `enforce` before they report that an image does not exist. A rule therefore answers 403
//! alike for a hidden image and for a missing one.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::Purge;
use super::errors::forbidden;
use crate::error::{Error, Result};
use crate::image::{Caller, Fields, Filter, Image, Properties};
use crate::policy::{AccessRules, Action, Operation};
use crate::registry::Record;

/// The rules in force. A reload replaces them while requests run.
#[derive(Default)]
pub struct Authorization {
    rules: ArcSwap<AccessRules>,
}

impl Authorization {
    /// Puts these rules in force for every check from now on.
    pub fn set_rules(&self, rules: AccessRules) {
        self.rules.store(Arc::new(rules));
    }

    /// Returns the rules in force.
    pub(super) fn rules(&self) -> Arc<AccessRules> {
        self.rules.load_full()
    }

    /// Returns the caller with the roles that the policy gives it: `context_is_admin` can make it
    /// an administrator.
    pub fn with_policy_roles(&self, caller: Arc<Caller>) -> Arc<Caller> {
        if caller.is_admin || !self.rules.load().makes_admin(&caller) {
            return caller;
        }
        let is_admin = true;
        Arc::new(Caller {
            is_admin,
            ..Caller::clone(&caller)
        })
    }

    /// Checks an action against the policy. `image` must be an image that the caller can see.
    ///
    /// # Errors
    /// `Forbidden` if the policy does not allow the action.
    pub(super) fn enforce(
        &self,
        action: Action,
        caller: &Caller,
        image: Option<&Image>,
    ) -> Result<()> {
        if self.rules.load().allows(action, caller, image) {
            return Ok(());
        }
        Err(forbidden(format!(
            "You are not authorized to complete {} action.",
            action.name()
        )))
    }

    /// Checks the fields of a request that have an action of their own: publishing an image,
    /// uploading or copying data, and setting a location.
    ///
    /// # Errors
    /// `Forbidden` for the first one that the policy does not allow.
    pub(super) fn enforce_fields(
        &self,
        caller: &Caller,
        image: Option<&Image>,
        fields: &Fields,
        has_data: bool,
    ) -> Result<()> {
        let copies = fields.copy_from.is_some();
        let requested = [
            (fields.is_public == Some(true), Action::PublicizeImage),
            (copies, Action::CopyFrom),
            (has_data || copies, Action::UploadImage),
            (fields.location.is_some(), Action::SetImageLocation),
        ];
        let mut requested = requested.into_iter().filter(|(is_set, _)| *is_set);
        requested.try_for_each(|(_, action)| self.enforce(action, caller, image))
    }

    /// Checks a change of properties against the property protection. Adds the properties that
    /// the caller cannot read to `new`, so that a purge does not remove them.
    ///
    /// # Errors
    /// `Forbidden` for the first property that the caller may not create, update or delete.
    pub(super) fn protect_properties(
        &self,
        caller: &Caller,
        current: &Properties,
        purge: Purge,
        new: &mut Properties,
    ) -> Result<()> {
        let rules = self.rules.load();
        if !rules.protect_properties() {
            return Ok(());
        }
        let may = |operation, name: &str| rules.permits(operation, caller, name);
        for (name, value) in new.iter() {
            let may = match current.get(name) {
                None => may(Operation::Create, name),
                // An unreadable property is refused even if the value is the same. Otherwise the
                // caller could guess the value.
                Some(_) if !may(Operation::Read, name) => false,
                Some(known) => known == value || may(Operation::Update, name),
            };
            if !may {
                return Err(protected(name));
            }
        }
        if purge == Purge::Nothing {
            return Ok(());
        }
        for (name, value) in current {
            if new.contains_key(name) {
                continue;
            }
            if !may(Operation::Read, name) {
                new.insert(name.clone(), value.clone());
            } else if !may(Operation::Delete, name) {
                return Err(protected(name));
            }
        }
        Ok(())
    }

    /// Returns the record without the properties that the caller may not read.
    pub(super) fn redact(&self, caller: &Caller, record: Arc<Record>) -> Arc<Record> {
        redact(&self.rules.load(), caller, record)
    }

    /// Returns true if the caller may read every property of the image.
    pub(super) fn is_fully_visible(&self, caller: &Caller, image: &Image) -> bool {
        is_fully_visible(&self.rules.load(), caller, image)
    }

    /// Returns true if the caller may filter a list by this. Filtering by an unreadable property
    /// would reveal its value.
    pub(super) fn may_filter(&self, caller: &Caller, filter: &Filter) -> bool {
        match filter {
            Filter::Property(name, _) => self.rules.load().permits(Operation::Read, caller, name),
            _ => true,
        }
    }
}

/// Returns the record without the properties that these rules hide from the caller.
pub(super) fn redact(rules: &AccessRules, caller: &Caller, record: Arc<Record>) -> Arc<Record> {
    // The common case shares the record. Only a caller with hidden properties costs a copy.
    if is_fully_visible(rules, caller, &record.image) {
        return record;
    }
    let mut image = record.image.clone();
    let properties = &mut image.properties;
    properties.retain(|name, _| rules.permits(Operation::Read, caller, name));
    Arc::new(Record::new(image, record.version))
}

fn is_fully_visible(rules: &AccessRules, caller: &Caller, image: &Image) -> bool {
    let mut names = image.properties.keys();
    !rules.protect_properties() || names.all(|name| rules.permits(Operation::Read, caller, name))
}

fn protected(name: &str) -> Error {
    forbidden(format!("Property '{name}' is protected"))
}
