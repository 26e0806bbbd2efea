//! The responses of Glance, derived from the description of its v1 behaviour (sections 9 to 11 and
//! 13), each rule with the sentence it comes from. It shares no code with the program.

use super::cast::{Caller, Life, State};

/// An operation on one image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    Head,
    Get,
    /// PUT of a new name.
    Rename,
    /// PUT of data.
    Upload,
    /// PUT of the status `active`.
    SetStatus,
    Delete,
    ListMembers,
    /// PUT of the member `member`, which is one already.
    AddMember,
    /// DELETE of the member `member`.
    RemoveMember,
    /// PUT of a list of members.
    ReplaceMembers,
    /// A list that begins behind the image.
    Marker,
}

impl Ask {
    pub const ALL: [Ask; 11] = [
        Ask::Head,
        Ask::Get,
        Ask::Rename,
        Ask::Upload,
        Ask::SetStatus,
        Ask::Delete,
        Ask::ListMembers,
        Ask::AddMember,
        Ask::RemoveMember,
        Ask::ReplaceMembers,
        Ask::Marker,
    ];
}

/// "Visible by id: admin; ownerless image; public; own; shared with my tenant. Otherwise 404."
/// "Deleted only for administrators."
pub fn is_visible(caller: Caller, state: State) -> bool {
    if caller.is_admin() {
        return true;
    }
    if state.life.is_gone() {
        return false;
    }
    let shared = matches!(caller, Caller::Member | Caller::Sharer);
    state.is_public || !state.is_owned || is_owner(caller, state) || shared
}

fn is_owner(caller: Caller, state: State) -> bool {
    state.is_owned && caller == Caller::Owner
}

/// "Mutable: admin, or owner tenant equal (both non-null). Else: public -> 403;
/// private/shared -> 404."
fn mutable(caller: Caller, state: State, success: u16) -> u16 {
    if caller.is_admin() || is_owner(caller, state) {
        success
    } else if state.is_public {
        403
    } else {
        404
    }
}

/// The status of the answer about an image in this state.
pub fn status(ask: Ask, caller: Caller, state: State) -> u16 {
    let visible = is_visible(caller, state);
    match ask {
        Ask::Head if visible => 200,
        // "Not active -> 404".
        Ask::Get if visible && state.life == Life::Active => 200,
        Ask::Head | Ask::Get => 404,
        Ask::Rename | Ask::Upload | Ask::SetStatus => update(ask, caller, state),
        Ask::Delete => delete(caller, state),
        // "Anyone who sees the image may list"; "image unknown, hidden or deleted: 404".
        Ask::ListMembers if visible && !state.life.is_gone() => 200,
        Ask::ListMembers => 404,
        Ask::AddMember | Ask::RemoveMember | Ask::ReplaceMembers => share(caller, state),
        // "Marker: unknown or not visible -> 400".
        Ask::Marker if visible => 200,
        Ask::Marker => 400,
    }
}

/// "Read-only 403 -> image 404 -> deleted image 403 -> `id` or `status` differs from the
/// record 403 -> data on an image that is not queued 409 -> ... -> not visible 404, public
/// but not owned 403".
fn update(ask: Ask, caller: Caller, state: State) -> u16 {
    if caller == Caller::Anonymous {
        return 403;
    }
    if !is_visible(caller, state) {
        return 404;
    }
    if state.life.is_gone() {
        return 403;
    }
    if ask == Ask::SetStatus && state.life != Life::Active {
        return 403;
    }
    if ask == Ask::Upload && state.life != Life::Queued {
        return 409;
    }
    mutable(caller, state, 200)
}

/// "403 read-only -> 404 -> protected 403 -> pending_delete 403 -> deleted 404 -> not owner:
/// public 403, private 404".
fn delete(caller: Caller, state: State) -> u16 {
    if caller == Caller::Anonymous {
        return 403;
    }
    if !is_visible(caller, state) {
        return 404;
    }
    if state.protected {
        return 403;
    }
    match state.life {
        Life::PendingDelete => 403,
        Life::Deleted => 404,
        _ => mutable(caller, state, 200),
    }
}

/// "May share: admin, owner, member with can_share; others get 404. No tenant and not admin:
/// 401. Image unknown, hidden or deleted: 404."
fn share(caller: Caller, state: State) -> u16 {
    match caller {
        Caller::Anonymous => return 403,
        Caller::WithoutTenant => return 401,
        _ => {}
    }
    if state.life.is_gone() {
        return 404;
    }
    let may = caller.is_admin() || is_owner(caller, state) || caller == Caller::Sharer;
    if may { 204 } else { 404 }
}

/// The status of the answer about an image that was never there.
pub fn status_of_unknown(ask: Ask, caller: Caller) -> u16 {
    match (ask, caller) {
        (Ask::Marker, _) => 400,
        (Ask::Head | Ask::Get | Ask::ListMembers, _) => 404,
        (_, Caller::Anonymous) => 403,
        (Ask::AddMember | Ask::RemoveMember | Ask::ReplaceMembers, Caller::WithoutTenant) => 401,
        _ => 404,
    }
}

/// The members that a list of them shows: "non-admins get only the rows of their own tenant
/// unless they own the image".
pub fn members_shown(caller: Caller, state: State) -> Vec<&'static str> {
    match caller {
        _ if caller.is_admin() || is_owner(caller, state) => vec!["member", "sharer"],
        Caller::Member => vec!["member"],
        Caller::Sharer => vec!["sharer"],
        _ => vec![],
    }
}

/// Whether a list shows an image. "Public + own + shared with me, for everyone; ownerless
/// private images are not listed. Admin default and is_public=True: the same set as a user;
/// False: all non-public of anybody; None: all." "Never deleted, never killed."
pub fn is_listed(caller: Caller, state: State, is_public: Option<&str>) -> bool {
    if state.life.is_gone() || state.life == Life::Killed {
        return false;
    }
    match is_public {
        Some("None") if caller.is_admin() => return true,
        Some("False") if caller.is_admin() => return !state.is_public,
        _ => {}
    }
    let shared = matches!(caller, Caller::Member | Caller::Sharer);
    state.is_public || is_owner(caller, state) || shared
}

/// Whether `/v1/shared-images/{member}` shows an image: "non-admins see only rows about
/// themselves or images they own"; "rows of deleted images are gone".
pub fn is_shown_as_shared(caller: Caller, state: State, member: &str) -> bool {
    let knows = caller.is_admin() || is_owner(caller, state) || caller.tenant() == Some(member);
    knows && !state.life.is_gone()
}
