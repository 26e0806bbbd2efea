use super::super::{DataLocation, Location, MemberStatus};
use super::*;

fn image() -> Image {
    let now = Timestamp::from_micros(1_700_000_000_000_001);
    let mut image = Image::queued(ImageId::random(), now);
    image.name = Some("ü".to_owned());
    image.properties.insert("a".into(), None);
    image.members.push(Member::new("tenant", true, now));
    let location = Location::parse("file:///x").unwrap();
    image.data = Some(ImageData::new(location, 7, None));
    image
}

fn json(image: &Image) -> serde_json::Value {
    serde_json::to_value(image).unwrap()
}

fn read(json: serde_json::Value) -> Image {
    serde_json::from_value(json).unwrap()
}

/// The struct of the first release, as far as it has no defaults.
#[derive(Deserialize)]
struct FirstRelease {
    is_public: bool,
    members: Vec<FirstReleaseMember>,
    data: Option<FirstReleaseData>,
}

#[derive(Deserialize)]
struct FirstReleaseMember {
    member_id: String,
    can_share: bool,
}

#[derive(Deserialize)]
struct FirstReleaseData {
    location: String,
}

#[test]
fn first_release_reads_images_without_v2_features() {
    let mut image = image();
    for visibility in [Visibility::Public, Visibility::Shared] {
        image.visibility = visibility;
        assert_eq!(image.stored_format(), 1);
        let read: FirstRelease = serde_json::from_value(json(&image)).unwrap();
        assert_eq!(read.is_public, visibility == Visibility::Public);
        let member = &read.members[0];
        assert_eq!((&*member.member_id, member.can_share), ("tenant", true));
        assert_eq!(read.data.unwrap().location, "file:///x");
    }
}

#[test]
fn v2_features_need_format_2_and_survive() {
    let changes: [fn(&mut Image); 7] = [
        |image| image.visibility = Visibility::Private,
        |image| image.visibility = Visibility::Community,
        |image| image.members[0].status = MemberStatus::Accepted,
        |image| {
            image.tags.insert("tag".to_owned());
        },
        |image| image.os_hidden = true,
        |image| {
            image.secure_hash = Some(SecureHash {
                algorithm: "sha512".to_owned(),
                value: "ab".repeat(64),
            });
        },
        |image| {
            let other = DataLocation::active(Location::parse("swift://c/o").unwrap());
            image.data.as_mut().unwrap().add_location(other);
        },
    ];
    for change in changes {
        let mut image = image();
        change(&mut image);
        assert_eq!(image.stored_format(), 2);
        let json = json(&image);
        let refused = serde_json::from_value::<FirstRelease>(json.clone());
        let error = refused.err().expect("the first release refuses it");
        // It needs `is_public`, and one `location` of the data.
        assert!(error.to_string().starts_with("missing field"), "{error}");
        assert_eq!(read(json), image);
    }
}

#[test]
fn members_of_the_first_release_have_no_times() {
    let mut stored = json(&image());
    stored["members"] = serde_json::json!([{"member_id": "a", "can_share": false}]);
    let member = read(stored).members.remove(0);
    assert_eq!(member.status, MemberStatus::Pending);
    assert_eq!((member.created_at, member.updated_at), (None, None));
}

#[test]
fn image_without_visibility_is_refused() {
    let mut stored = json(&image());
    stored.as_object_mut().unwrap().remove("is_public");
    let error = serde_json::from_value::<Image>(stored).unwrap_err();
    assert_eq!(error.to_string(), NO_VISIBILITY);
}
