//! Who may do what with an image: the rules of Glance v1, in one table ([`rule`]).
//!
//! The table knows three things: what is to be done ([`Deed`]), what ties the caller to the
//! image ([`Tie`]), and how far the image is open to others ([`Exposure`]). Lists and the
//! rows of memberships follow the same three.

use super::{Caller, Image, Member, Visibility};

/// What a caller wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
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
enum Tie {
    Admin,
    Owner,
    /// A member that may share the image further.
    SharingMember,
    Member,
    Nothing,
}

/// How far an image is open to callers that nothing ties to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Exposure {
    Public,
    /// Not public, and nobody's.
    Ownerless,
    Private,
}

/// The table. Images that are gone are for administrators only, and have no members.
fn rule(deed: Deed, tie: Tie, exposure: Exposure, is_gone: bool) -> Result<(), Refusal> {
    use Deed::{Change, Create, ListMembers, See, Share};
    match (deed, tie, exposure) {
        (Create, _, _) => Ok(()),
        (ListMembers | Share, _, _) if is_gone => Err(Refusal::Hidden),
        (_, Tie::Admin, _) => Ok(()),
        (_, _, _) if is_gone => Err(Refusal::Hidden),

        (See | ListMembers, Tie::Nothing, Exposure::Private) => Err(Refusal::Hidden),
        (See | ListMembers, _, _) => Ok(()),

        (Change, Tie::Owner, _) => Ok(()),
        // A public image is openly refused. Who sees another because it is shared or
        // nobody's learns no more than that there is nothing for it to change.
        (Change, _, Exposure::Public) => Err(Refusal::Forbidden),
        (Change, _, _) => Err(Refusal::Hidden),

        (Share, Tie::Owner | Tie::SharingMember, _) => Ok(()),
        (Share, _, _) => Err(Refusal::Hidden),
    }
}

/// Whether the caller may do this with any image; to be asked before one is looked for.
///
/// # Errors
/// [`Refusal::ReadOnly`] and [`Refusal::NoTenant`].
pub fn may_at_all(caller: &Caller, deed: Deed) -> Result<(), Refusal> {
    match deed {
        Deed::See | Deed::ListMembers => Ok(()),
        _ if caller.read_only => Err(Refusal::ReadOnly),
        Deed::Share if caller.owner.is_none() && !caller.is_admin => Err(Refusal::NoTenant),
        Deed::Create | Deed::Change | Deed::Share => Ok(()),
    }
}

/// Whether the caller may do this with this image.
///
/// # Errors
/// The [`Refusal`].
pub fn may(caller: &Caller, deed: Deed, image: &Image) -> Result<(), Refusal> {
    may_at_all(caller, deed)?;
    let is_gone = image.status.is_gone();
    rule(deed, tie(caller, image), exposure(image), is_gone)
}

/// Whether the caller may see the image when it names it by identifier.
pub fn may_see(caller: &Caller, image: &Image) -> bool {
    may(caller, Deed::See, image).is_ok()
}

/// Whose images a list shows, after what the caller said about publicity: public ones
/// (`Some(Some(true))`), all others, or (`Some(None)`) both. Only administrators can look
/// past what is public, theirs or shared with them.
pub fn visibility(caller: &Caller, is_public: Option<Option<bool>>) -> Visibility {
    match is_public {
        Some(None) if caller.is_admin => Visibility::All,
        Some(Some(false)) if caller.is_admin => Visibility::NotPublic,
        _ => Visibility::Tenant(caller.owner.clone()),
    }
}

/// The members of an image that the caller may know of: all of them, or itself.
pub fn known_members<'a>(
    caller: &'a Caller,
    image: &'a Image,
) -> impl Iterator<Item = &'a Member> + 'a {
    let members = image.members.iter();
    members.filter(|member| may_know(caller, image, &member.id))
}

/// Whether the caller may know that an image is shared with a tenant.
pub fn may_know(caller: &Caller, image: &Image, tenant: &str) -> bool {
    let knows_all = matches!(tie(caller, image), Tie::Admin | Tie::Owner);
    knows_all || caller.owner.as_deref() == Some(tenant)
}

fn tie(caller: &Caller, image: &Image) -> Tie {
    if caller.is_admin {
        return Tie::Admin;
    }
    if caller.owns(image.owner.as_deref()) {
        return Tie::Owner;
    }
    let mut members = image.members.iter();
    let own = members.find(|member| caller.owner.as_ref() == Some(&member.id));
    match own {
        Some(member) if member.can_share => Tie::SharingMember,
        Some(_) => Tie::Member,
        None => Tie::Nothing,
    }
}

fn exposure(image: &Image) -> Exposure {
    match image {
        _ if image.is_public => Exposure::Public,
        _ if image.owner.is_none() => Exposure::Ownerless,
        _ => Exposure::Private,
    }
}

#[cfg(test)]
mod tests;
