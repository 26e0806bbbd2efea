//! What the operator's rules allow, as the verbs ask it: the policy, and the protection of
//! properties. Both say no with 403; that an image is not there is told after that, so that
//! a rule answers alike for what is hidden and what is not there.

use std::sync::Arc;

use super::{Purge, Service, forbidden, not_found};
use crate::error::Result;
use crate::image::{Caller, Fields, Filter, Image, ImageId, Properties, can_see};
use crate::policy::{Action, Operation, Rules};
use crate::registry::Record;

impl Service {
    /// Puts these rules in force, for every request that begins from now on.
    pub fn set_rules(&self, rules: Rules) {
        self.rules.store(Arc::new(rules));
    }

    /// The caller as the rules know it: they may make it an administrator.
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

    /// Refuses what the policy does not allow. The image is one that the caller sees.
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

    /// The record of an image that the caller sees and may do this with.
    pub(super) async fn find_permitted(
        &self,
        actions: &[Action],
        caller: &Caller,
        id: &ImageId,
    ) -> Result<Arc<Record>> {
        let record = self.find_visible(caller, id).await?;
        let image = record.as_ref().map(|record| &record.image);
        for action in actions {
            self.enforce(*action, caller, image)?;
        }
        record.ok_or_else(|| not_found(id))
    }

    /// The record of an image that the caller sees, if there is one.
    pub(super) async fn find_visible(
        &self,
        caller: &Caller,
        id: &ImageId,
    ) -> Result<Option<Arc<Record>>> {
        let record = self.registry.get(id).await?;
        Ok(record.filter(|record| can_see(caller, &record.image)))
    }

    /// Refuses what the policy does not allow of what a request says of an image: that
    /// everybody shall see it, and where its data come from.
    pub(super) fn enforce_fields(
        &self,
        caller: &Caller,
        image: Option<&Image>,
        fields: &Fields,
        has_data: bool,
    ) -> Result<()> {
        let copies = fields.copy_from.is_some();
        let asked = [
            (fields.is_public == Some(true), Action::PublicizeImage),
            (copies, Action::CopyFrom),
            (has_data || copies, Action::UploadImage),
            (fields.location.is_some(), Action::SetImageLocation),
        ];
        let mut asked = asked.into_iter().filter(|(is_asked, _)| *is_asked);
        asked.try_for_each(|(_, action)| self.enforce(action, caller, image))
    }

    /// Refuses changes of properties that are protected from the caller. Properties that it
    /// does not even see are kept.
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

    /// The record without properties that are protected from the caller.
    pub(super) fn redact(&self, caller: &Caller, record: Arc<Record>) -> Arc<Record> {
        redact(&self.rules.load(), caller, record)
    }

    /// Whether no property of the image is protected from the caller.
    pub(super) fn is_fully_visible(&self, caller: &Caller, image: &Image) -> bool {
        is_fully_visible(&self.rules.load(), caller, image)
    }

    /// Whether the caller may be told which images have this. Else who may not read a
    /// property could find its value out.
    pub(super) fn may_filter(&self, caller: &Caller, filter: &Filter) -> bool {
        match filter {
            Filter::Property(name, _) => self.rules.load().permits(Operation::Read, caller, name),
            _ => true,
        }
    }
}

/// The record without properties that these rules protect from the caller.
pub(super) fn redact(rules: &Rules, caller: &Caller, record: Arc<Record>) -> Arc<Record> {
    if is_fully_visible(rules, caller, &record.image) {
        return record;
    }
    let mut image = record.image.clone();
    let properties = &mut image.properties;
    properties.retain(|name, _| rules.permits(Operation::Read, caller, name));
    Arc::new(Record::new(image, record.version))
}

fn is_fully_visible(rules: &Rules, caller: &Caller, image: &Image) -> bool {
    let mut names = image.properties.keys();
    !rules.protect_properties() || names.all(|name| rules.permits(Operation::Read, caller, name))
}

fn protected(name: &str) -> crate::error::Error {
    forbidden(format!("Property '{name}' is protected"))
}
