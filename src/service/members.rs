//! Sharing images with other projects (tenants).
//!
//! The members are part of the image's record. Every change reads the record, edits its members and
//! writes it back with [`modify`].

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::apply::check_metadata_bytes;
use super::catalog::Catalog;
use super::clock::now;
use super::errors::{authorize, authorize_any};
use super::modify::modify;
use crate::error::{Error, Kind, Result};
use crate::image::{
    Caller, Filter, Image, ImageId, ImageOperation, ListScope, Member, Query, SortDirection,
    SortKey, Timestamp, can_see_member, visible_members,
};
use crate::policy::Action;
use crate::registry::Record;

impl Catalog {
    /// Returns the members of an image that the caller may know of.
    ///
    /// # Errors
    /// `NotFound` if the image does not exist, is deleted, or is hidden from the caller.
    pub async fn members(&self, caller: &Caller, id: &ImageId) -> Result<Vec<Member>> {
        let record = self
            .find_permitted(&[Action::GetMembers], caller, id)
            .await?;
        authorize(caller, ImageOperation::ListMembers, &record.image)?;
        Ok(visible_members(caller, &record.image).cloned().collect())
    }

    /// Adds a member to an image, or changes an existing one. `can_share` of `None` keeps the
    /// value of an existing member and means false for a new one.
    ///
    /// # Errors
    /// `NotFound`, also if the caller may not share the image; `TooLarge` past the member quota;
    /// `Unauthenticated` for a caller without a project.
    pub async fn add_member(
        &self,
        caller: &Caller,
        id: &ImageId,
        member: &str,
        can_share: Option<bool>,
    ) -> Result<()> {
        let quota = self.limits.member_quota;
        self.change_members(Action::ModifyMember, caller, id, |members| {
            // Glance counts the request as one more member even if the member exists already.
            check_quota(members.len() + 1, quota)?;
            match members.iter_mut().find(|known| known.id == member) {
                Some(known) => known.set_can_share(can_share.unwrap_or(known.can_share), now()),
                None => members.push(Member::new(member, can_share.unwrap_or(false), now())),
            }
            Ok(())
        })
        .await
    }

    /// Removes a member from an image.
    ///
    /// # Errors
    /// `NotFound`, also if the image has no such member.
    pub async fn remove_member(&self, caller: &Caller, id: &ImageId, member: &str) -> Result<()> {
        self.change_members(Action::DeleteMember, caller, id, |members| {
            let before = members.len();
            members.retain(|known| known.id != member);
            if members.len() == before {
                return Err(Error::new(Kind::NotFound, "Membership could not be found."));
            }
            Ok(())
        })
        .await
    }

    /// Replaces all members of an image.
    ///
    /// # Errors
    /// As [`Catalog::add_member`].
    pub async fn replace_members(
        &self,
        caller: &Caller,
        id: &ImageId,
        wanted: &[(String, Option<bool>)],
    ) -> Result<()> {
        let quota = self.limits.member_quota;
        self.change_members(Action::ModifyMember, caller, id, |members| {
            *members = replaced(members, wanted, now());
            check_quota(members.len(), quota)
        })
        .await
    }

    /// Returns the images shared with a tenant that the caller may know of.
    ///
    /// # Errors
    /// Those of the registry.
    pub async fn shared_images(&self, caller: &Caller, tenant: &str) -> Result<Vec<Arc<Record>>> {
        self.authorization
            .enforce(Action::GetMembers, caller, None)?;
        let query = Query {
            scope: ListScope::All,
            filters: vec![Filter::Member(tenant.to_owned())],
            // The earliest time includes images of every status: a killed image keeps its members.
            // Deleted images have none, so the filter excludes them.
            changes_since: Some(Timestamp::from_micros(i64::MIN)),
            sort_keys: vec![(SortKey::CreatedAt, SortDirection::Descending)],
            marker: None,
            limit: usize::MAX,
        };
        let mut records = self.registry.list(&query).await?;
        records.retain(|record| can_see_member(caller, &record.image, tenant));
        Ok(records)
    }

    /// Applies `change` to the members of an image, after the checks of the policy and of
    /// ownership.
    async fn change_members(
        &self,
        action: Action,
        caller: &Caller,
        id: &ImageId,
        change: impl Fn(&mut Vec<Member>) -> Result<()>,
    ) -> Result<()> {
        authorize_any(caller, ImageOperation::Share)?;
        modify(id, async || {
            let record = self.find_permitted(&[action], caller, id).await?;
            authorize(caller, ImageOperation::Share, &record.image)?;
            let mut image = record.image.clone();
            change(&mut image.members)?;
            check_metadata_bytes(Some(&record.image), &image)?;
            if gains_members(&record.image, &image) {
                self.authorization
                    .enforce(Action::AddMember, caller, Some(&record.image))?;
            }
            self.registry.replace(image, record.version).await?;
            Ok(())
        })
        .await
    }
}

/// Returns the wanted members. If a member is named twice, the last entry counts. A request may
/// name tens of thousands of members, hence the hash tables.
fn replaced(before: &[Member], wanted: &[(String, Option<bool>)], now: Timestamp) -> Vec<Member> {
    let known = before.iter().map(|member| (&*member.id, member));
    let known: HashMap<&str, &Member> = known.collect();
    let mut named = HashSet::new();
    let last = wanted.iter().rev().filter(|(id, _)| named.insert(&**id));
    let mut members: Vec<_> = last
        .map(|(id, can_share)| match known.get(&**id) {
            // A member that stays keeps its answer and its times.
            Some(known) => {
                let mut member = (*known).clone();
                member.set_can_share(can_share.unwrap_or(known.can_share), now);
                member
            }
            None => Member::new(id.as_str(), can_share.unwrap_or(false), now),
        })
        .collect();
    members.reverse();
    members
}

fn check_quota(attempted: usize, quota: usize) -> Result<()> {
    if attempted <= quota {
        return Ok(());
    }
    Err(Error::new(
        Kind::TooLarge,
        format!(
            "The limit has been exceeded on the number of allowed image members for this image. \
             Attempted: {attempted}, Maximum: {quota}"
        ),
    ))
}

/// Returns true if `after` has a member that `before` does not have.
fn gains_members(before: &Image, after: &Image) -> bool {
    let known: HashSet<_> = before.members.iter().map(|member| &member.id).collect();
    let mut members = after.members.iter();
    members.any(|member| !known.contains(&member.id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::MemberStatus;

    #[test]
    fn replace_keeps_last_entry_of_repeated_member() {
        let (earlier, now) = (Timestamp::from_micros(1), Timestamp::from_micros(2));
        let mut known = Member::new("a", true, earlier);
        known.status = MemberStatus::Accepted;
        let before = [known.clone(), Member::new("b", true, earlier)];
        let wanted = [
            ("a", None),
            ("c", Some(true)),
            ("b", Some(false)),
            ("c", None),
        ];
        let wanted = wanted.map(|(id, can_share)| (id.to_owned(), can_share));
        let mut changed = before[1].clone();
        changed.set_can_share(false, now);
        assert_eq!(changed.updated_at, Some(now));
        assert_eq!(
            replaced(&before, &wanted, now),
            [known, changed, Member::new("c", false, now)]
        );
    }
}
