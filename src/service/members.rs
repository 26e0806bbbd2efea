//! Sharing images with tenants.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::apply::check_metadata_bytes;
use super::modify::modify;
use super::{Service, authorize, authorize_any, now};
use crate::error::{Error, Kind, Result};
use crate::image::{
    Caller, Filter, Image, ImageId, ImageOperation, ListScope, Member, Query, SortDirection,
    SortKey, Timestamp, can_see_member, visible_members,
};
use crate::policy::Action;
use crate::registry::Record;

impl Service {
    /// The tenants an image is shared with, as far as the caller may know.
    ///
    /// # Errors
    /// `NotFound` for an image that is not there, deleted, or not for the caller.
    pub async fn members(&self, caller: &Caller, id: &ImageId) -> Result<Vec<Member>> {
        let record = self
            .find_permitted(&[Action::GetMembers], caller, id)
            .await?;
        authorize(caller, ImageOperation::ListMembers, &record.image)?;
        Ok(visible_members(caller, &record.image).cloned().collect())
    }

    /// Shares an image with a tenant, or changes how. What is not said about `can_share`
    /// stays, and is no for a new member.
    ///
    /// # Errors
    /// `NotFound` also when the caller may not share it; `TooLarge` past the quota;
    /// `Unauthenticated` for a caller without a tenant.
    pub async fn add_member(
        &self,
        caller: &Caller,
        id: &ImageId,
        member: &str,
        can_share: Option<bool>,
    ) -> Result<()> {
        let quota = self.limits.member_quota;
        self.change_members(Action::ModifyMember, caller, id, |members| {
            // Glance counts one more also when it is there already.
            check_quota(members.len() + 1, quota)?;
            match members.iter_mut().find(|known| known.id == member) {
                Some(known) => known.set_can_share(can_share.unwrap_or(known.can_share), now()),
                None => members.push(Member::new(member, can_share.unwrap_or(false), now())),
            }
            Ok(())
        })
        .await
    }

    /// Shares an image with a tenant no longer.
    ///
    /// # Errors
    /// `NotFound` also when it was not shared with the tenant.
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

    /// Shares an image with these tenants and no others.
    ///
    /// # Errors
    /// As [`Service::add_member`].
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

    /// The images shared with a tenant, as far as the caller may know.
    ///
    /// # Errors
    /// Those of the registry.
    pub async fn shared_images(&self, caller: &Caller, tenant: &str) -> Result<Vec<Arc<Record>>> {
        self.enforce(Action::GetMembers, caller, None)?;
        let query = Query {
            scope: ListScope::All,
            filters: vec![Filter::Member(tenant.to_owned())],
            // Killed images are shared as before; those that are gone have no members.
            changes_since: Some(Timestamp::from_micros(i64::MIN)),
            sort_keys: vec![(SortKey::CreatedAt, SortDirection::Descending)],
            marker: None,
            limit: usize::MAX,
        };
        let mut records = self.registry.list(&query).await?;
        records.retain(|record| can_see_member(caller, &record.image, tenant));
        Ok(records)
    }

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
                self.enforce(Action::AddMember, caller, Some(&record.image))?;
            }
            self.registry.replace(image, record.version).await?;
            Ok(())
        })
        .await
    }
}

/// The members that were wanted; of one that is named twice the last counts. A request may
/// name tens of thousands.
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

/// Whether the image is shared with somebody with whom it was not.
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
    fn who_is_named_twice_is_there_once() {
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
