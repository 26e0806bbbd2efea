//! Who may see and who may change an image: the rules of Glance v1, in one place.

use super::{Caller, Image};

/// Why a caller may not do something with an image it named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// To be answered as if the image did not exist.
    Hidden,
    /// The caller knows the image, but it is not the caller's.
    Forbidden,
}

/// Whether the caller may see the image when it names it by identifier.
pub fn may_see(caller: &Caller, image: &Image) -> bool {
    if caller.is_admin {
        return true;
    }
    if image.status.is_gone() {
        return false;
    }
    image.is_public
        || image.owner.is_none()
        || image.owner == caller.tenant
        || is_member(caller, image)
}

/// Whether the caller may change or delete the image.
///
/// A caller who cannot see the image, or sees it only because it is shared, learns no more
/// than that there is nothing for it to change; a public image is openly refused.
pub fn may_modify(caller: &Caller, image: &Image) -> Result<(), Refusal> {
    if caller.is_admin || (caller.tenant.is_some() && image.owner == caller.tenant) {
        return Ok(());
    }
    if image.is_public {
        Err(Refusal::Forbidden)
    } else {
        Err(Refusal::Hidden)
    }
}

fn is_member(caller: &Caller, image: &Image) -> bool {
    caller
        .tenant
        .as_ref()
        .is_some_and(|tenant| image.members.iter().any(|member| member.id == *tenant))
}

#[cfg(test)]
mod tests {
    use super::super::{ImageId, Member, Timestamp};
    use super::*;

    fn image(owner: Option<&str>) -> Image {
        let mut image = Image::queued(ImageId::random(), Timestamp::from_micros(0));
        image.owner = owner.map(str::to_owned);
        image
    }

    fn tenant(name: &str) -> Caller {
        Caller {
            tenant: Some(name.to_owned()),
            is_admin: false,
        }
    }

    #[test]
    fn owners_and_administrators_may_do_both() {
        let image = image(Some("a"));
        for caller in [tenant("a"), Caller::administrator()] {
            assert!(may_see(&caller, &image));
            assert_eq!(may_modify(&caller, &image), Ok(()));
        }
    }

    #[test]
    fn strangers_see_only_what_is_public_or_shared() {
        let mut image = image(Some("a"));
        let stranger = tenant("b");
        assert!(!may_see(&stranger, &image));
        assert_eq!(may_modify(&stranger, &image), Err(Refusal::Hidden));
        image.members.push(Member {
            id: "b".to_owned(),
            can_share: false,
        });
        assert!(may_see(&stranger, &image));
        assert_eq!(may_modify(&stranger, &image), Err(Refusal::Hidden));
        image.is_public = true;
        assert_eq!(may_modify(&stranger, &image), Err(Refusal::Forbidden));
    }
}
