//! Who may do what with an image: the rules of Glance v1, in one table ([`rule`]).
//!
//! The table knows three things: what is to be done ([`ImageOperation`]), what ties the caller to the
//! image ([`Relation`]), and how far the image is open to others ([`EffectiveVisibility`]). Lists and the
//! rows of memberships follow the same three.

use super::{Caller, Image, ListScope, Member, Visibility};

/// What a caller wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageOperation {
    /// Register an image.
    Create,
    /// Learn of an image by its identifier: its metadata, its data.
    See,
    /// Change its metadata, give it data, delete it.
    Change,
    /// Learn whom it is shared with.
    ListMembers,
    /// Change whom it is shared with.
    Share,
}

/// Why a caller may not do something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It may change nothing at all.
    ReadOnly,
    /// It has no tenant on whose behalf to do this.
    NoTenant,
    /// To be answered as if the image did not exist.
    Hidden,
    /// The caller knows the image, but it is not the caller's.
    Forbidden,
}

/// What ties a caller to an image; the strongest of several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Relation {
    Admin,
    Owner,
    /// A member that may share the image further.
    SharingMember,
    Member,
    Nothing,
}

/// How far an image is open to callers that nothing ties to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EffectiveVisibility {
    Open,
    /// Not public, and nobody's.
    Ownerless,
    Closed,
}

/// The table. Images that are gone are for administrators only, and have no members.
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
        // A public image is openly refused. Who sees another because it is shared or
        // nobody's learns no more than that there is nothing for it to change.
        (Change, _, EffectiveVisibility::Open) => Err(Refusal::Forbidden),
        (Change, _, _) => Err(Refusal::Hidden),

        (Share, Relation::Owner | Relation::SharingMember, _) => Ok(()),
        (Share, _, _) => Err(Refusal::Hidden),
    }
}

/// Whether the caller may do this with any image; to be asked before one is looked for.
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

/// Whether the caller may do this with this image.
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

/// Whether the caller may see the image when it names it by identifier.
pub fn can_see(caller: &Caller, image: &Image) -> bool {
    check_access(caller, ImageOperation::See, image).is_ok()
}

/// Whose images a list shows, after what the caller said about publicity: public ones
/// (`Some(Some(true))`), all others, or (`Some(None)`) both. Only administrators can look
/// past what is public, theirs or shared with them.
pub fn list_scope(caller: &Caller, is_public: Option<Option<bool>>) -> ListScope {
    match is_public {
        Some(None) if caller.is_admin => ListScope::All,
        Some(Some(false)) if caller.is_admin => ListScope::NotPublic,
        _ => ListScope::Tenant(caller.owner.clone()),
    }
}

/// The members of an image that the caller may know of: all of them, or itself.
pub fn visible_members<'a>(
    caller: &'a Caller,
    image: &'a Image,
) -> impl Iterator<Item = &'a Member> + 'a {
    let members = image.members.iter();
    members.filter(|member| can_see_member(caller, image, &member.id))
}

/// Whether the caller may know that an image is shared with a tenant.
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
