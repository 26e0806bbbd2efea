//! `GET /v1/images`: filters.

use crate::support::server::Server;
use crate::support::unique;
use crate::support::v1::{Headers, put};

/// A set of images that share a unique property.
struct Set {
    tag: String,
}

impl Set {
    fn new() -> Self {
        Self { tag: unique("set") }
    }

    #[track_caller]
    fn add(&self, headers: Headers) -> String {
        let tag = [("x-image-meta-property-set", self.tag.as_str())];
        let all: Vec<_> = tag.iter().chain(headers).copied().collect();
        Server::shared().create(&all)
    }

    /// Checks that a filter matches exactly these images, in any order.
    #[track_caller]
    fn gives(&self, filter: &str, wanted: &[&String]) {
        let query = format!("is_public=None&property-set={}&{filter}", self.tag);
        let mut ids = Server::shared().listed(&query);
        ids.sort();
        let mut wanted: Vec<String> = wanted.iter().map(|id| (*id).clone()).collect();
        wanted.sort();
        assert_eq!(ids, wanted, "{filter}");
    }
}

#[test]
fn filter_by_name() {
    let set = Set::new();
    let name = |name| set.add(&[("x-image-meta-name", name)]);
    let (a, upper, ab, colon) = (name("a"), name("A"), name("a b"), name("in:x"));
    let _nameless = set.add(&[]);
    set.gives("name=a", &[&a]);
    set.gives("name=A", &[&upper]);
    set.gives("name=a%20b", &[&ab]);
    set.gives("name=a+b", &[&ab]);
    set.gives("name=in:a,A", &[&a, &upper]);
    set.gives("name=in:in:x", &[&colon]);
    set.gives("name=x:y", &[]);
    set.gives("name=", &[]);
    set.gives("name=a&name=A", &[&upper]);
}

#[test]
fn filter_by_formats() {
    let set = Set::new();
    let raw = set.add(&[("x-image-meta-disk_format", "raw")]);
    let qcow2 = set.add(&[("x-image-meta-disk_format", "qcow2")]);
    let ami = set.add(&[("x-image-meta-container_format", "ami")]);
    set.gives("disk_format=raw", &[&raw]);
    set.gives("disk_format=in:raw,qcow2", &[&raw, &qcow2]);
    set.gives("disk_format=RAW", &[]);
    set.gives("container_format=ami", &[&ami]);
    set.gives("container_format=ami&disk_format=ami", &[&ami]);
    set.gives("container_format=bare", &[]);
}

#[test]
fn filter_by_status() {
    let set = Set::new();
    let queued = set.add(&[]);
    let active = set.add(&[("x-image-meta-size", "0")]);
    set.gives("status=queued", &[&queued]);
    set.gives("status=active", &[&active]);
    set.gives("status=in:queued,active", &[&queued, &active]);
    set.gives("status=banana", &[]);
}

#[test]
fn filter_by_size() {
    let set = Set::new();
    let size = |size| set.add(&[("x-image-meta-size", size)]);
    let (one, five, nine) = (size("1"), size("5"), size("9"));
    set.gives("size_min=5", &[&five, &nine]);
    set.gives("size_max=5", &[&one, &five]);
    set.gives("size_min=5&size_max=5", &[&five]);
    set.gives("size_min=6&size_max=5", &[]);
    set.gives("size_min=0", &[&one, &five, &nine]);
    set.gives("size_max=99999999999999999999999", &[&one, &five, &nine]);
}

#[test]
fn filter_by_minimums() {
    let set = Set::new();
    let disk = set.add(&[("x-image-meta-min_disk", "5")]);
    let ram = set.add(&[("x-image-meta-min_ram", "256")]);
    set.gives("min_disk=5", &[&disk]);
    set.gives("min_disk=4", &[]);
    set.gives("min_ram=256", &[&ram]);
    set.gives("min_ram=0", &[&disk]);
}

#[test]
fn filter_by_protected() {
    let set = Set::new();
    let yes = set.add(&[("x-image-meta-protected", "1")]);
    let no = set.add(&[]);
    for word in ["True", "true", "1", "TRUE"] {
        set.gives(&format!("protected={word}"), &[&yes]);
    }
    for word in ["False", "0"] {
        set.gives(&format!("protected={word}"), &[&no]);
    }
}

#[test]
fn filter_by_properties() {
    let set = Set::new();
    let linux = set.add(&[
        ("x-image-meta-property-os_type", "linux"),
        ("x-image-meta-property-arch", "x86_64"),
    ]);
    let empty = set.add(&[("x-image-meta-property-os_type", "")]);
    set.gives("property-os_type=linux", &[&linux]);
    set.gives("property-Os-Type=linux", &[&linux]);
    set.gives("property-os_type=linux&property-arch=x86_64", &[&linux]);
    set.gives("property-os_type=linux&property-arch=arm", &[]);
    set.gives("property-os_type=Linux", &[]);
    set.gives("property-os_type=", &[]);
    set.gives("property-absent=x", &[]);
    set.gives("", &[&linux, &empty]);
}

#[test]
fn filter_by_id() {
    let set = Set::new();
    let (one, two) = (set.add(&[]), set.add(&[]));
    set.gives(&format!("id={one}"), &[&one]);
    set.gives(&format!("id=in:{one},{two}"), &[&one, &two]);
    set.gives("id=7", &[]);
}

#[test]
fn all_filters_must_match() {
    let set = Set::new();
    let both = set.add(&[("x-image-meta-name", "n"), ("x-image-meta-size", "7")]);
    set.add(&[("x-image-meta-name", "n"), ("x-image-meta-size", "6")]);
    set.add(&[("x-image-meta-size", "7")]);
    set.gives("name=n&size_min=7", &[&both]);
}

#[test]
fn filters_see_change_at_once() {
    let set = Set::new();
    let id = set.add(&[("x-image-meta-name", "before")]);
    let keep = ("x-glance-registry-purge-props", "false");
    let change = put(&id, &[keep, ("x-image-meta-name", "after")]);
    Server::shared().request(&change).expect(200);
    set.gives("name=before", &[]);
    set.gives("name=after", &[&id]);
}

#[test]
fn filter_by_changes_since() {
    let set = Set::new();
    let server = Server::shared();
    let (first, second) = (set.add(&[("x-image-meta-name", "cs")]), set.add(&[]));
    let time = |id: &str| {
        server.detail_of(id)["updated_at"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    set.gives("changes-since=2010-01-01", &[&first, &second]);
    set.gives("changes-since=2010-01-01T00:00:00Z", &[&first, &second]);
    set.gives("changes-since=2999-01-01T00:00:00", &[]);
    // `changes-since` compares strictly.
    set.gives(&format!("changes-since={}", time(&first)), &[&second]);
    set.gives(&format!("changes-since={}", time(&second)), &[]);
    // The same time in a time zone nine hours ahead.
    let utc = time(&first);
    let hour: u32 = utc[11..13].parse().unwrap();
    if hour + 9 < 24 {
        let there = format!("{}{:02}{}%2B09:00", &utc[..11], hour + 9, &utc[13..]);
        set.gives(&format!("changes-since={there}"), &[&second]);
    }
}

#[test]
fn changes_since_includes_deleted_and_killed_images() {
    let server = Server::shared();
    let name = unique("changed");
    let named = ("x-image-meta-name", name.as_str());
    let deleted = server.create(&[named]);
    server.remove(&deleted).expect(200);
    let killed = super::create::fresh_id();
    let request = crate::support::v1::post(crate::support::v1::RAW);
    let request = request
        .headers(&[named, ("x-image-meta-id", &killed)])
        .body("data");
    server.request(&request).expect(400);
    let mut ids = server.listed(&format!(
        "is_public=None&name={name}&changes-since=2010-01-01"
    ));
    ids.sort();
    let mut wanted = [deleted, killed];
    wanted.sort();
    assert_eq!(ids, wanted);
}
