use super::super::super::location_map::LocationMap;
use super::super::rows::{LegacyLocation, LegacyMember, LegacyProperty};
use super::*;
use crate::image::Location;

fn old(columns: &[(&'static str, &str)]) -> LegacyImage {
    let mut old = LegacyImage::default();
    let all = [
        ("id", "71c675ab-d94f-49cd-a114-e12490b328d9"),
        ("status", "active"),
        ("created_at", "2012-04-05 10:11:12.000013"),
    ];
    for (column, value) in all.iter().chain(columns) {
        old.row.set(column, Some((*value).to_owned()));
    }
    old
}

fn located(value: &str, status: Option<&str>, deleted_at: Option<&str>) -> LegacyLocation {
    LegacyLocation {
        value: value.to_owned(),
        store: None,
        status: status.map(str::to_owned),
        deletion: deleted_at.map(|at| Deletion {
            at: Timestamp::parse(at),
        }),
    }
}

fn taken(old: &LegacyImage) -> (Option<Image>, Vec<Loss>) {
    taken_by(old, &LocationMap::of_test("/", &[]))
}

fn taken_by(old: &LegacyImage, location_map: &LocationMap) -> (Option<Image>, Vec<Loss>) {
    let mut losses = Vec::new();
    let context = ConversionContext {
        key: None,
        location_map,
    };
    (convert(old, &context, &mut losses), losses)
}

#[track_caller]
fn whole(columns: &[(&'static str, &str)]) -> Image {
    let (image, losses) = taken(&old(columns));
    assert_eq!(losses, []);
    image.expect("an image")
}

#[test]
fn values_of_all_releases_are_converted() {
    let status = |word| taken(&old(&[("status", word)])).0.map(|image| image.status);
    assert_eq!(status("available"), Some(Status::Active));
    assert_eq!(status("importing"), Some(Status::Killed));
    assert_eq!(status("deactivated"), Some(Status::Deactivated));
    assert_eq!(status("teapot"), None);
    for (column, value, expected) in [
        ("is_public", "1", true),
        ("is_public", "true", true),
        ("visibility", "public", true),
        ("is_public", "0", false),
        ("visibility", "shared", false),
    ] {
        assert_eq!(
            whole(&[(column, value)]).visibility.is_public(),
            expected,
            "{value}"
        );
    }
    // A restored one may have the time still.
    let restored = whole(&[("deleted_at", "2013-01-01")]);
    assert_eq!(restored.deleted_at, None);
    let deleted = whole(&[("deleted", "1"), ("updated_at", "2013-01-01")]);
    assert_eq!((deleted.status, deleted.data), (Status::Deleted, None));
    assert_eq!(deleted.deleted_at, Timestamp::parse("2013-01-01"));
}

#[test]
fn losses_are_reported() {
    for (column, value) in [
        ("id", "seven"),
        ("size", "-1"),
        ("min_disk", "99999999999"),
        ("created_at", "0000-00-00"),
        ("checksum", &"x".repeat(33)),
    ] {
        let (image, losses) = taken(&old(&[(column, value)]));
        assert_eq!(image, None, "{column}");
        assert!(losses[0].is_whole && losses[0].what.contains(column));
    }
    let mut others = old(&[("visibility", "community"), ("os_hidden", "1")]);
    others.tags = 2;
    others.locations = vec![
        located("file:///x", None, None),
        located("rbd://CANARY", None, None),
    ];
    let (image, losses) = taken(&others);
    assert!(image.is_some_and(|image| image.data.is_some()));
    assert_eq!(losses.len(), 4, "{losses:?}");
    assert!(losses.iter().all(|loss| !loss.what.contains("CANARY")));

    let mut encrypted = old(&[]);
    encrypted.locations = vec![located("CANARY=", None, None)];
    let (image, losses) = taken(&encrypted);
    assert_eq!(image, None);
    assert!(losses[0].what.contains("--encryption-key-file"));
    assert!(!losses[0].what.contains("CANARY"));

    let (image, losses) = taken(&old(&[("size", "7")]));
    assert_eq!(image.map(|image| image.status), Some(Status::Deactivated));
    assert_eq!(losses.len(), 1);
}

#[test]
fn active_location_is_chosen() {
    let mut many = old(&[("size", "7")]);
    many.locations = vec![
        located("file:///deleted", None, Some("2013-01-01")),
        located("file:///gone", Some("deleted"), Some("2013-01-01")),
        located("file:///served", Some("active"), None),
    ];
    let image = taken(&many).0.expect("an image");
    let location = image.data.map(|data| data.location().clone());
    assert_eq!(location, Location::parse("file:///served").ok());
}

#[test]
fn readable_location_is_preferred() {
    let mut old = old(&[("size", "7")]);
    let mut kept = |values: &[&str]| {
        let locations = values.iter().map(|value| located(value, None, None));
        old.locations = locations.collect();
        let (image, losses) = taken(&old);
        let what = losses.into_iter().map(|loss| loss.what).collect::<Vec<_>>();
        let data = image.and_then(|image| image.data);
        (data.map(|data| data.location().clone()), what.join("; "))
    };
    let parse = |text| Location::parse(text).ok();
    for (values, location, lost) in [
        (&["SWIFT://a"][..], parse("SWIFT://a"), ""),
        (
            &["rbd://a", "encrypted", "file:///b", "s3://c"],
            parse("file:///b"),
            "of its locations one is kept (file), and not: rbd, one that cannot be read, s3",
        ),
        (
            &["rbd://a"],
            parse("rbd://a"),
            "no store here reads its location, which has the scheme rbd",
        ),
    ] {
        assert_eq!(kept(values), (location, lost.to_owned()));
    }
}

/// Glance's `enabled_backends = a:file,b:file`.
#[test]
fn files_of_second_store_are_moved() {
    let mut old = old(&[("size", "7")]);
    let mut location = located("file:///b/71c6", None, None);
    location.store = Some("b".to_owned());
    old.locations = vec![location];
    let kept = |places: LocationMap| {
        let (image, losses) = taken_by(&old, &places);
        let data = image.and_then(|image| image.data).expect("data");
        (data.location().clone(), losses)
    };
    let (location, losses) = kept(LocationMap::of_test("/a", &[]));
    assert_eq!(Some(location), Location::parse("file:///b/71c6").ok());
    assert_eq!(losses.len(), 1);
    for words in ["of the store b is in /b", "--store-folder b=/a"] {
        assert!(losses[0].what.contains(words), "{losses:?}");
    }
    let (location, losses) = kept(LocationMap::of_test("/a", &[("b", "/a")]));
    assert_eq!(Some(location), Location::parse("file:///a/71c6").ok());
    assert_eq!(losses, []);
    // Of two locations the one that is read.
    old.locations.push(located("file:///a/71c6", None, None));
    let (image, losses) = taken_by(&old, &LocationMap::of_test("/a", &[]));
    let location = image
        .and_then(|image| image.data)
        .map(|data| data.location().clone());
    assert_eq!(location, Location::parse("file:///a/71c6").ok());
    assert!(losses[0].what.contains("one is kept (file)"), "{losses:?}");
}

#[test]
fn duplicate_member_is_replaced() {
    let mut old = old(&[]);
    let member = |can_share| LegacyMember {
        id: "tenant".to_owned(),
        can_share,
        deletion: None,
    };
    old.members = vec![member(true), member(false)];
    let members = taken(&old).0.expect("an image").members;
    assert_eq!((members.len(), members[0].can_share), (1, false));
}

/// Members of private images had no access in Glance, and must not gain it.
#[test]
fn members_of_private_images_are_not_kept() {
    let mut old = old(&[("visibility", "private")]);
    old.members = vec![LegacyMember {
        id: "tenant".to_owned(),
        can_share: true,
        deletion: None,
    }];
    let (image, losses) = taken(&old);
    assert_eq!(image.map(|image| image.members), Some(vec![]));
    assert!(losses[0].what.contains("its members (1)"), "{losses:?}");
    for visibility in ["shared", "public", "community"] {
        old.row.set("visibility", Some(visibility.to_owned()));
        let image = taken(&old).0.expect("an image");
        assert_eq!(image.members.len(), 1, "{visibility}");
    }
}

#[test]
fn numbers_are_mapped_to_stable_identifiers() {
    let numbered = |number, created_at| {
        let (image, losses) = taken(&old(&[("id", number), ("created_at", created_at)]));
        let id = image.expect("an image").id;
        assert_eq!((losses[0].image.as_str(), losses.len()), (number, 1));
        assert!(losses[0].what.contains(id.as_str()), "{losses:?}");
        id
    };
    let first = numbered("7", "2011-02-03 04:05:06");
    // As Python's uuid.uuid5 has it.
    assert_eq!(first.as_str(), "79276e18-b13e-5b05-b7d8-62d34c9a6e51");
    assert_eq!(numbered("7", "2011-02-03 04:05:06"), first);
    assert_ne!(numbered("8", "2011-02-03 04:05:06"), first);
    assert_ne!(numbered("7", "2011-02-03 04:05:07"), first);
}

#[test]
fn pending_deletion_can_be_restored() {
    let at = "2013-02-02 01:00:00";
    let mut pending = old(&[
        ("status", "pending_delete"),
        ("deleted", "1"),
        ("deleted_at", at),
    ]);
    let deletion = |at| {
        Some(Deletion {
            at: Timestamp::parse(at),
        })
    };
    let property = |name: &str, deletion| LegacyProperty {
        name: name.to_owned(),
        value: None,
        deletion,
    };
    pending.properties = vec![
        property("before", deletion("2013-02-01")),
        property("with", deletion(at)),
        property("never", None),
    ];
    pending.members = vec![LegacyMember {
        id: "tenant".to_owned(),
        can_share: true,
        deletion: deletion(at),
    }];
    pending.locations = vec![located("file:///x", Some("pending_delete"), Some(at))];
    let (image, losses) = taken(&pending);
    let image = image.expect("an image");
    assert_eq!((image.status, losses), (Status::PendingDelete, vec![]));
    assert!(image.data.is_some() && image.properties.is_empty());
    let aside = image.trashed.expect("something is set aside");
    let names: Vec<&str> = aside.properties.keys().map(String::as_str).collect();
    assert_eq!((names, aside.members.len()), (vec!["never", "with"], 1));
}
