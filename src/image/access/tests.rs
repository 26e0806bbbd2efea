use super::super::{ImageId, Status, Timestamp};
use super::*;

/// An image of tenant `owner`, shared with `member` and, with the right to share, `sharer`.
fn image(owner: Option<&str>, is_public: bool, status: Status) -> Image {
    let mut image = Image::queued(ImageId::random(), Timestamp::from_micros(0));
    image.owner = owner.map(str::to_owned);
    image.visibility = Visibility::default().with_is_public(is_public);
    image.status = status;
    image.members = [("member", false), ("sharer", true)]
        .map(|(id, can_share)| Member::new(id, can_share, image.created_at))
        .to_vec();
    image
}

fn tenant(name: &str) -> Caller {
    Caller {
        tenant: Some(name.to_owned()),
        owner: Some(name.to_owned()),
        ..Caller::default()
    }
}

/// The operations that each caller may perform: one letter per operation, in the order See, Change,
/// ListMembers, Share. `+` allowed, `-` hidden, `f` forbidden, `r` read-only, `t` no tenant.
fn permissions(caller: &Caller, image: &Image) -> String {
    let deeds = [
        ImageOperation::See,
        ImageOperation::Change,
        ImageOperation::ListMembers,
        ImageOperation::Share,
    ];
    let letters = deeds.map(|operation| match check_access(caller, operation, image) {
        Ok(()) => '+',
        Err(Refusal::Hidden) => '-',
        Err(Refusal::Forbidden) => 'f',
        Err(Refusal::ReadOnly) => 'r',
        Err(Refusal::NoTenant) => 't',
    });
    letters.iter().collect()
}

#[test]
fn each_relation_has_its_operations() {
    let public = image(Some("owner"), true, Status::Active);
    let public_ownerless = image(None, true, Status::Active);
    let ownerless = image(None, false, Status::Active);
    let private = image(Some("owner"), false, Status::Active);
    let without_tenant = Caller::default();
    let rows = [
        (Caller::administrator(), ["++++", "++++", "++++", "++++"]),
        (tenant("owner"), ["++++", "+f+-", "+-+-", "++++"]),
        (tenant("sharer"), ["+f++", "+f++", "+-++", "+-++"]),
        (tenant("member"), ["+f+-", "+f+-", "+-+-", "+-+-"]),
        (tenant("stranger"), ["+f+-", "+f+-", "+-+-", "----"]),
        (without_tenant, ["+f+t", "+f+t", "+-+t", "---t"]),
        (Caller::anonymous(), ["+r+r", "+r+r", "+r+r", "-r-r"]),
    ];
    let images = [public, public_ownerless, ownerless, private];
    for (caller, expected) in rows {
        for (image, expected) in images.iter().zip(expected) {
            let permissions = permissions(&caller, image);
            assert_eq!(permissions, expected, "{caller:?} {image:?}");
        }
    }
}

#[test]
fn deleted_images_are_for_administrators() {
    for status in [Status::Deleted, Status::PendingDelete] {
        for is_public in [true, false] {
            let image = image(Some("owner"), is_public, status);
            let admin = Caller::administrator();
            assert_eq!(permissions(&admin, &image), "++--");
            for name in ["owner", "sharer", "member", "stranger"] {
                assert_eq!(permissions(&tenant(name), &image), "----", "{name}");
            }
        }
    }
}

#[test]
fn read_only_callers_create_nothing() {
    assert_eq!(check_caller(&tenant("a"), ImageOperation::Create), Ok(()));
    assert_eq!(
        check_caller(&Caller::default(), ImageOperation::Create),
        Ok(())
    );
    let anonymous = check_caller(&Caller::anonymous(), ImageOperation::Create);
    assert_eq!(anonymous, Err(Refusal::ReadOnly));
}

#[test]
fn only_administrators_list_images_of_others() {
    let choices = [None, Some(None), Some(Some(true)), Some(Some(false))];
    for is_public in choices {
        let own = ListScope::Tenant(Some("a".to_owned()));
        assert_eq!(list_scope(&tenant("a"), is_public), own);
        let none = ListScope::Tenant(None);
        assert_eq!(list_scope(&Caller::anonymous(), is_public), none);
    }
    let admin = Caller {
        is_admin: true,
        ..tenant("a")
    };
    let own = ListScope::Tenant(Some("a".to_owned()));
    let seen = choices.map(|is_public| list_scope(&admin, is_public));
    assert_eq!(
        seen,
        [own.clone(), ListScope::All, own, ListScope::NotPublic]
    );
}

#[test]
fn members_see_themselves_and_owners_see_all() {
    let shared = image(Some("owner"), false, Status::Active);
    let known = |caller: &Caller| {
        let members = visible_members(caller, &shared);
        members
            .map(|member| member.id.as_str())
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(known(&Caller::administrator()), "member sharer");
    assert_eq!(known(&tenant("owner")), "member sharer");
    assert_eq!(known(&tenant("member")), "member");
    assert_eq!(known(&tenant("stranger")), "");
    assert_eq!(known(&Caller::anonymous()), "");
    let ownerless = image(None, false, Status::Active);
    let anonymous = Caller::anonymous();
    assert_eq!(
        visible_members(&anonymous, &ownerless).count(),
        0,
        "nobody owns it"
    );
}

#[test]
fn user_can_be_the_owner() {
    let caller = Caller {
        user: Some("owner".to_owned()),
        tenant: Some("stranger".to_owned()),
        owner: Some("owner".to_owned()),
        ..Caller::default()
    };
    let private = image(Some("owner"), false, Status::Active);
    assert_eq!(permissions(&caller, &private), "++++");
    let of_the_tenant = image(Some("stranger"), false, Status::Active);
    assert_eq!(permissions(&caller, &of_the_tenant), "----");
}

#[test]
fn visibilities_of_v2_restrict_and_open() {
    let mut image = image(Some("owner"), false, Status::Active);
    image.visibility = Visibility::Community;
    assert!(can_see(&tenant("stranger"), &image));
    let change = check_access(&tenant("stranger"), ImageOperation::Change, &image);
    assert_eq!(change, Err(Refusal::Forbidden));
    image.visibility = Visibility::Private;
    for stranger in ["stranger", "member", "sharer"] {
        assert!(!can_see(&tenant(stranger), &image), "{stranger}");
    }
    assert!(can_see(&tenant("owner"), &image));
    image.owner = None;
    assert!(!can_see(&tenant("stranger"), &image));
}
