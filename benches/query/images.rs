//! The data of the benchmark: 100,000 images like those of a public cloud, and list queries.

use glance::image::{
    Filter, Image, ImageId, ListScope, Member, Query, SortDirection, SortKey, Status, Timestamp,
    Visibility,
};

/// Number of images in the registry.
pub const IMAGES: u64 = 100_000;

/// Number of images per page.
const PAGE: usize = 25;

/// Returns the time at which an image was registered: one per millisecond.
fn created_at(number: u64) -> Timestamp {
    Timestamp::from_micros(1_700_000_000_000_000 + number as i64 * 1_000)
}

/// Returns an image whose fields are derived from `number`.
pub fn image(number: u64) -> Image {
    let of =
        |words: &[&str], position: u64| Some(words[position as usize % words.len()].to_owned());
    let mut image = Image::queued(ImageId::random(), created_at(number));
    image.name = Some(format!("image-{:06}", number * 7919 % IMAGES));
    image.status = match number % 1000 {
        0..100 => Status::Deleted,
        100..120 => Status::Queued,
        120 => Status::Killed,
        _ => Status::Active,
    };
    image.size_bytes = number * 104_729_003 % (64 << 30);
    // Rare values sort last in most orders.
    image.disk_format = if number >= IMAGES - 20 {
        of(&["vhdx"], 0)
    } else {
        of(&["qcow2", "raw", "vmdk"], number)
    };
    image.container_format = if number >= IMAGES - 20 {
        of(&["ova"], 0)
    } else {
        of(&["bare"], 0)
    };
    image.visibility = Visibility::default().with_is_public(!number.is_multiple_of(10));
    image.protected = number % 500 == 499;
    image.owner = Some(format!("tenant-{}", number % 50));
    image.min_ram_mb = if number < IMAGES / 2 { 512 } else { 0 };
    image.min_disk_gb = if number % 5_000 == 4_999 { 500 } else { 0 };
    let mut property =
        |key: &str, value: String| image.properties.insert(key.to_owned(), Some(value));
    property("group", format!("group-{:02}", number % 100));
    property("os_type", "linux".to_owned());
    property(
        "half",
        if number < IMAGES / 2 { "early" } else { "late" }.to_owned(),
    );
    property(
        "instance_uuid",
        format!("7a1c64f2-0000-4000-8000-{number:012}"),
    );
    if number % 4 == 2 {
        let id = format!("partner-{}", number / 4 % 500);
        image.members.push(Member::new(id, false, image.created_at));
    }
    image
}

/// Returns the query of all images that are not deleted, in the default order of the API.
pub fn list(filters: Vec<Filter>) -> Query {
    Query {
        scope: ListScope::All,
        filters,
        changes_since: None,
        sort_keys: vec![(SortKey::CreatedAt, SortDirection::Descending)],
        marker: None,
        limit: PAGE,
    }
}

fn one_filter(filter: Filter) -> Query {
    list(vec![filter])
}

fn words(word: &str) -> Vec<String> {
    vec![word.to_owned()]
}

fn property(key: &str, value: &str) -> Filter {
    Filter::Property(key.to_owned(), value.to_owned())
}

fn seen_by(tenant: Option<&str>) -> Query {
    Query {
        scope: ListScope::Tenant(tenant.map(str::to_owned)),
        ..list(vec![])
    }
}

fn changed_since(number: u64) -> Query {
    Query {
        changes_since: Some(created_at(number)),
        ..list(vec![])
    }
}

/// Returns queries with every filter of the API, common and rare, and with combinations.
pub fn lists() -> Vec<(&'static str, Query)> {
    let early = || property("half", "early");
    let private = |filters| Query {
        scope: ListScope::NotPublic,
        ..list(filters)
    };
    vec![
        ("everything", list(vec![])),
        ("public", seen_by(None)),
        ("not public", private(vec![])),
        ("of a tenant", seen_by(Some("tenant-10"))),
        ("of a tenant with shared ones", seen_by(Some("partner-10"))),
        (
            "private ones of a format",
            private(vec![Filter::DiskFormat(words("raw"))]),
        ),
        (
            "shared with a tenant",
            one_filter(Filter::Member("partner-10".to_owned())),
        ),
        (
            "id",
            one_filter(Filter::Id(words("71c675ab-d94f-49cd-a114-e12490b328d9"))),
        ),
        (
            "name, one match",
            one_filter(Filter::Name(words("image-099999"))),
        ),
        (
            "name, no match",
            one_filter(Filter::Name(words("no-such-image"))),
        ),
        (
            "names, in:",
            one_filter(Filter::Name(vec![
                "image-000007".to_owned(),
                "image-090000".to_owned(),
            ])),
        ),
        ("status active", one_filter(Filter::Status(words("active")))),
        ("status queued", one_filter(Filter::Status(words("queued")))),
        (
            "status saving, no match",
            one_filter(Filter::Status(words("saving"))),
        ),
        (
            "disk format, a third",
            one_filter(Filter::DiskFormat(words("qcow2"))),
        ),
        (
            "disk format, 20",
            one_filter(Filter::DiskFormat(words("vhdx"))),
        ),
        (
            "container format, 20",
            one_filter(Filter::ContainerFormat(words("ova"))),
        ),
        ("min_ram, the older half", one_filter(Filter::MinRam(512))),
        ("min_disk, 20", one_filter(Filter::MinDisk(500))),
        ("protected, 1 in 500", one_filter(Filter::Protected(true))),
        ("size_min 8 GiB", one_filter(Filter::SizeMin(8 << 30))),
        (
            "size_min, 50",
            one_filter(Filter::SizeMin((64 << 30) - (32 << 20))),
        ),
        ("size_max, 50", one_filter(Filter::SizeMax(32 << 20))),
        (
            "size between, 50",
            list(vec![
                Filter::SizeMin(32 << 30),
                Filter::SizeMax((32 << 30) + (32 << 20)),
            ]),
        ),
        ("changes-since, all", changed_since(0)),
        ("changes-since, half", changed_since(IMAGES / 2)),
        ("changes-since, 50", changed_since(IMAGES - 51)),
        ("property of all", one_filter(property("os_type", "linux"))),
        (
            "property, 1 in 100",
            one_filter(property("group", "group-42")),
        ),
        (
            "property, one match",
            one_filter(property(
                "instance_uuid",
                "7a1c64f2-0000-4000-8000-000000031415",
            )),
        ),
        ("property of the older half", one_filter(early())),
        (
            "two halves, no match",
            list(vec![property("half", "late"), Filter::MinRam(512)]),
        ),
        (
            "two rare ones, no match",
            list(vec![Filter::Protected(true), property("group", "group-42")]),
        ),
        (
            "format, status, size and property",
            list(vec![
                Filter::DiskFormat(words("qcow2")),
                Filter::Status(words("active")),
                Filter::SizeMin(60 << 30),
                early(),
            ]),
        ),
        (
            "everything at once, no match",
            Query {
                changes_since: Some(created_at(IMAGES / 2)),
                ..Query {
                    filters: vec![
                        Filter::DiskFormat(vec!["qcow2".to_owned(), "raw".to_owned()]),
                        Filter::ContainerFormat(words("bare")),
                        Filter::Status(words("active")),
                        Filter::SizeMin(16 << 30),
                        Filter::SizeMax(48 << 30),
                        Filter::Protected(false),
                        Filter::MinRam(512),
                        property("os_type", "linux"),
                    ],
                    ..seen_by(Some("tenant-10"))
                }
            },
        ),
    ]
}
