//! Sharing images with tenants.

use std::sync::Arc;

use super::{MOST_RETRIES, Service, not_found, too_busy};
use crate::error::{Error, Kind, Result};
use crate::image::{
    Caller, Filter, Image, ImageId, Member, Query, SortDirection, SortKey, Visibility,
};
use crate::registry::Record;

impl Service {
    /// The tenants an image is shared with, as far as the caller may know.
    ///
    /// # Errors
    /// `NotFound` for an image that is not there, deleted, or not for the caller.
    pub async fn members(&self, caller: &Caller, id: &ImageId) -> Result<Vec<Member>> {
        let record = self.shareable(caller, id).await?;
        let image = &record.image;
        let knows_all = caller.is_admin || is_owner(caller, image);
        let mine = |member: &&Member| knows_all || Some(&member.id) == caller.tenant.as_ref();
        Ok(image.members.iter().filter(mine).cloned().collect())
    }

    /// Shares an image with a tenant, or changes how. What is not said about `can_share`
    /// stays, and is no for a new member.
    ///
    /// # Errors
    /// `NotFound` also when the caller may not share it; `TooLarge` past the quota.
    pub async fn add_member(
        &self,
        caller: &Caller,
        id: &ImageId,
        member: &str,
        can_share: Option<bool>,
    ) -> Result<()> {
        self.change_members(caller, id, |members| {
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
        self.change_members(caller, id, |members| {
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
        self.change_members(caller, id, |members| {
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
            Ok(())
        })
        .await
    }

    /// The images shared with a tenant, as far as the caller may know.
    ///
    /// # Errors
    /// Those of the registry.
    pub async fn shared_images(&self, caller: &Caller, tenant: &str) -> Result<Vec<Arc<Record>>> {
        let query = Query {
            visibility: Visibility::All,
            filters: vec![Filter::Member(tenant.to_owned())],
            changes_since: None,
            sort_key: SortKey::CreatedAt,
            sort_direction: SortDirection::Descending,
            marker: None,
            limit: usize::MAX,
        };
        let mut records = self.registry.list(&query).await?;
        let about_caller = caller.is_admin || caller.tenant.as_deref() == Some(tenant);
        records.retain(|record| about_caller || is_owner(caller, &record.image));
        Ok(records)
    }

    /// The record of an image that can have members.
    async fn shareable(&self, caller: &Caller, id: &ImageId) -> Result<Arc<Record>> {
        let record = self.show(caller, id).await?;
        if record.image.status.is_gone() {
            return Err(not_found(id));
        }
        Ok(record)
    }

    async fn change_members(
        &self,
        caller: &Caller,
        id: &ImageId,
        change: impl Fn(&mut Vec<Member>) -> Result<()>,
    ) -> Result<()> {
        for _ in 0..MOST_RETRIES {
            let record = self.shareable(caller, id).await?;
            if !may_share(caller, &record.image) {
                return Err(not_found(id));
            }
            let mut image = record.image.clone();
            change(&mut image.members)?;
            self.check_member_quota(&image)?;
            match self.registry.replace(image, record.version).await {
                Err(error) if error.kind() == Kind::Stale => {}
                result => return result.map(|_| ()),
            }
        }
        let record = self.show(caller, id).await?;
        Err(too_busy(&record.image))
    }

    fn check_member_quota(&self, image: &Image) -> Result<()> {
        let (attempted, quota) = (image.members.len(), self.limits.member_quota);
        if attempted <= quota {
            return Ok(());
        }
        Err(Error::new(
            Kind::TooLarge,
            format!(
                "The limit has been exceeded on the number of allowed image members for this \
                 image. Attempted: {attempted}, Maximum: {quota}"
            ),
        ))
    }
}

fn is_owner(caller: &Caller, image: &Image) -> bool {
    caller.tenant.is_some() && image.owner == caller.tenant
}

/// Administrators, owners, and members who were given the right.
fn may_share(caller: &Caller, image: &Image) -> bool {
    let sharing_member =
        |member: &Member| member.can_share && Some(&member.id) == caller.tenant.as_ref();
    caller.is_admin || is_owner(caller, image) || image.members.iter().any(sharing_member)
}
