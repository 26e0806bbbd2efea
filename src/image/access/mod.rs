//! Access rules of Glance v1: the operations that a caller may perform on an image, in one table
//! ([`rule`]). The operator's policy is a second, independent check (`policy`).
//!
//! The table has three inputs: the operation ([`ImageOperation`]), the caller's relation to the
//! image ([`Relation`]), and how open the image is to unrelated callers
//! ([`EffectiveVisibility`]). Lists and the visibility of members follow the same inputs.

use super::{Caller, Image, ListScope, Member, Visibility};

/// An operation on an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageOperation {
    /// Register an image.
    Create,
    /// Read its metadata or data by its identifier.
    See,
    /// Change its metadata, upload its data, delete it.
    Change,
    /// List its members.
    ListMembers,
    /// Change its members.
    Share,
}

/// The reasons why an operation is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The caller may only read.
    ReadOnly,
    /// The caller has no tenant to act for.
    NoTenant,
    /// The response must be that of an image that does not exist.
    Hidden,
    /// The caller can see the image but does not own it.
    Forbidden,
}

/// The relation of a caller to an image; the strongest of several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Relation {
    Admin,
    Owner,
    /// A member that may share the image further.
    SharingMember,
    Member,
    Nothing,
}

/// How open an image is to callers without a relation to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EffectiveVisibility {
    Open,
    /// Shared and without an owner: v1 shows it to every caller that names it.
    Ownerless,
    Closed,
}

/// The table of rules. Deleted images are for administrators only, and have no members.
fn rule(
    operation: ImageOperation,
    relation: Relation,
    effective_visibility: EffectiveVisibility,
    is_gone: bool,
) -> Result<(), Refusal> {
    use ImageOperation::{Change, Create, ListMembers, See, Share};
    match (operation, relation, effective_visibility) {
        (Create, _, _) => Ok(()),
        (ListMembers | Share, _, _) if is_gone => Err(Refusal::Hidden),
        (_, Relation::Admin, _) => Ok(()),
        (_, _, _) if is_gone => Err(Refusal::Hidden),

        (See | ListMembers, Relation::Nothing, EffectiveVisibility::Closed) => Err(Refusal::Hidden),
        (See | ListMembers, _, _) => Ok(()),

        (Change, Relation::Owner, _) => Ok(()),
        // For an open image the refusal is explicit. A caller that sees another image, as a member
        // or because it has no owner, gets the response of a missing image, as from Glance.
        (Change, _, EffectiveVisibility::Open) => Err(Refusal::Forbidden),
        (Change, _, _) => Err(Refusal::Hidden),

        (Share, Relation::Owner | Relation::SharingMember, _) => Ok(()),
        (Share, _, _) => Err(Refusal::Hidden),
    }
}

/// Checks whether the caller may perform the operation on any image at all. Called before the image
/// is looked up, so that the response does not depend on whether it exists.
///
/// # Errors
/// [`Refusal::ReadOnly`] and [`Refusal::NoTenant`].
pub fn check_caller(caller: &Caller, operation: ImageOperation) -> Result<(), Refusal> {
    match operation {
        ImageOperation::See | ImageOperation::ListMembers => Ok(()),
        _ if caller.read_only => Err(Refusal::ReadOnly),
        ImageOperation::Share if caller.owner.is_none() && !caller.is_admin => {
            Err(Refusal::NoTenant)
        }
        ImageOperation::Create | ImageOperation::Change | ImageOperation::Share => Ok(()),
    }
}

/// Checks whether the caller may perform the operation on this image.
///
/// # Errors
/// The [`Refusal`].
pub fn check_access(
    caller: &Caller,
    operation: ImageOperation,
    image: &Image,
) -> Result<(), Refusal> {
    check_caller(caller, operation)?;
    let is_gone = image.status.is_gone();
    rule(
        operation,
        relation(caller, image),
        effective_visibility(image),
        is_gone,
    )
}

/// Returns true if the caller may read the image by its identifier.
pub fn can_see(caller: &Caller, image: &Image) -> bool {
    check_access(caller, ImageOperation::See, image).is_ok()
}

/// Returns the scope of a v1 list by its parameter `is_public`: `Some(Some(_))` for true or false,
/// `Some(None)` for both. Only administrators can list images that are neither public nor their
/// own nor shared with them.
pub fn list_scope(caller: &Caller, is_public: Option<Option<bool>>) -> ListScope {
    match is_public {
        Some(None) if caller.is_admin => ListScope::All,
        Some(Some(false)) if caller.is_admin => ListScope::NotPublic,
        _ => ListScope::Tenant(caller.owner.clone()),
    }
}

/// Returns the members of an image that the caller may see: all of them, or only itself.
pub fn visible_members<'a>(
    caller: &'a Caller,
    image: &'a Image,
) -> impl Iterator<Item = &'a Member> + 'a {
    let members = image.members.iter();
    members.filter(|member| can_see_member(caller, image, &member.id))
}

/// Returns true if the caller may learn that an image is shared with a tenant.
pub fn can_see_member(caller: &Caller, image: &Image, tenant: &str) -> bool {
    let knows_all = matches!(relation(caller, image), Relation::Admin | Relation::Owner);
    knows_all || caller.owner.as_deref() == Some(tenant)
}

fn relation(caller: &Caller, image: &Image) -> Relation {
    if caller.is_admin {
        return Relation::Admin;
    }
    if caller.owns(image.owner.as_deref()) {
        return Relation::Owner;
    }
    let mut members = image.effective_members().iter();
    let own = members.find(|member| caller.owner.as_ref() == Some(&member.id));
    match own {
        Some(member) if member.can_share => Relation::SharingMember,
        Some(_) => Relation::Member,
        None => Relation::Nothing,
    }
}

fn effective_visibility(image: &Image) -> EffectiveVisibility {
    match (image.visibility, &image.owner) {
        (Visibility::Public | Visibility::Community, _) => EffectiveVisibility::Open,
        (Visibility::Shared, None) => EffectiveVisibility::Ownerless,
        (Visibility::Shared | Visibility::Private, _) => EffectiveVisibility::Closed,
    }
}

#[cfg(test)]
mod tests;
