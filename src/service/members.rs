//! Sharing images with tenants.

use std::sync::Arc;

use super::{MOST_RETRIES, Service, permit, permit_at_all, too_busy};
use crate::error::{Error, Kind, Result};
use crate::image::{
    Caller, Deed, Filter, Image, ImageId, Member, Query, SortDirection, SortKey, Timestamp,
    Visibility, known_members, may_know,
};
use crate::policy::Action;
use crate::registry::Record;

impl Service {
    /// The tenants an image is shared with, as far as the caller may know.
    ///
    /// # Errors
    /// `NotFound` for an image that is not there, deleted, or not for the caller.
    pub async fn members(&self, caller: &Caller, id: &ImageId) -> Result<Vec<Member>> {
        let record = self.allowed(&[Action::GetMembers], caller, id).await?;
        permit(caller, Deed::ListMembers, &record.image)?;
        Ok(known_members(caller, &record.image).cloned().collect())
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
                Some(known) => known.can_share = can_share.unwrap_or(known.can_share),
                None => members.push(Member {
                    id: member.to_owned(),
                    can_share: can_share.unwrap_or(false),
                }),
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
            let before = std::mem::take(members);
            for (member, can_share) in wanted {
                let known = before.iter().find(|known| known.id == *member);
                let kept = known.is_some_and(|known| known.can_share);
                members.retain(|earlier| earlier.id != *member);
                members.push(Member {
                    id: member.clone(),
                    can_share: can_share.unwrap_or(kept),
                });
            }
            check_quota(members.len(), quota)
        })
        .await
    }

    /// The images shared with a tenant, as far as the caller may know.
    ///
    /// # Errors
    /// Those of the registry.
    pub async fn shared_images(&self, caller: &Caller, tenant: &str) -> Result<Vec<Arc<Record>>> {
        self.allow(Action::GetMembers, caller, None)?;
        let query = Query {
            visibility: Visibility::All,
            filters: vec![Filter::Member(tenant.to_owned())],
            // Killed images are shared as before; those that are gone have no members.
            changes_since: Some(Timestamp::from_micros(i64::MIN)),
            sort_key: SortKey::CreatedAt,
            sort_direction: SortDirection::Descending,
            marker: None,
            limit: usize::MAX,
        };
        let mut records = self.registry.list(&query).await?;
        records.retain(|record| may_know(caller, &record.image, tenant));
        Ok(records)
    }

    async fn change_members(
        &self,
        action: Action,
        caller: &Caller,
        id: &ImageId,
        change: impl Fn(&mut Vec<Member>) -> Result<()>,
    ) -> Result<()> {
        permit_at_all(caller, Deed::Share)?;
        for _ in 0..MOST_RETRIES {
            let record = self.allowed(&[action], caller, id).await?;
            permit(caller, Deed::Share, &record.image)?;
            let mut image = record.image.clone();
            change(&mut image.members)?;
            if gains_members(&record.image, &image) {
                self.allow(Action::AddMember, caller, Some(&record.image))?;
            }
            match self.registry.replace(image, record.version).await {
                Err(error) if error.kind() == Kind::Stale => {}
                result => return result.map(|_| ()),
            }
        }
        Err(too_busy(id))
    }
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
    let knew = |id: &str| before.members.iter().any(|member| member.id == id);
    after.members.iter().any(|member| !knew(&member.id))
}
