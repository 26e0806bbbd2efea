//! `GET /v1/images`: sort order, ties and markers.

use serde_json::Value;

use super::create::fresh_id;
use crate::support::http::Request;
use crate::support::server::{Server, Setup};
use crate::support::unique;

/// Five images with ties in every sort key but the time of creation.
struct Set {
    name: String,
    /// The images in the order of their creation.
    ids: Vec<String>,
}

impl Set {
    fn new() -> Self {
        let server = Server::shared();
        let tag = unique("order");
        let mut ids = Vec::new();
        for (size, disk, container) in [
            ("20", "raw", "ovf"),
            ("10", "qcow2", "bare"),
            ("20", "iso", "bare"),
            ("10", "raw", "ovf"),
            ("30", "qcow2", "bare"),
        ] {
            ids.push(server.create(&[
                ("x-image-meta-property-set", &tag),
                ("x-image-meta-name", if size == "10" { "b" } else { "a" }),
                ("x-image-meta-size", size),
                ("x-image-meta-disk_format", disk),
                ("x-image-meta-container_format", container),
            ]));
        }
        Self { name: tag, ids }
    }

    fn listed(&self, query: &str) -> Vec<String> {
        let all = format!("is_public=None&property-set={}&{query}", self.name);
        Server::shared().listed(&all)
    }

    /// Returns the listed images as positions in the order of creation.
    fn positions(&self, query: &str) -> Vec<usize> {
        let place = |id: &String| self.ids.iter().position(|own| own == id).unwrap();
        self.listed(query).iter().map(place).collect()
    }
}

#[test]
fn default_order_is_newest_first() {
    let set = Set::new();
    assert_eq!(set.positions(""), [4, 3, 2, 1, 0]);
    assert_eq!(set.positions("sort_dir=asc"), [0, 1, 2, 3, 4]);
    assert_eq!(set.positions("sort_key=created_at"), [4, 3, 2, 1, 0]);
}

#[test]
fn every_key_sorts_both_ways_with_ties_by_creation() {
    let set = Set::new();
    for (key, ascending) in [
        ("size", [1, 3, 0, 2, 4]),
        ("name", [0, 2, 4, 1, 3]),
        ("disk_format", [2, 1, 4, 0, 3]),
        ("container_format", [1, 2, 4, 0, 3]),
        ("status", [0, 1, 2, 3, 4]),
        ("created_at", [0, 1, 2, 3, 4]),
        ("updated_at", [0, 1, 2, 3, 4]),
    ] {
        assert_eq!(
            set.positions(&format!("sort_key={key}&sort_dir=asc")),
            ascending,
            "{key}"
        );
        let mut descending = ascending;
        descending.reverse();
        // Descending is the default for a given key too, and applies to ties.
        assert_eq!(
            set.positions(&format!("sort_key={key}")),
            descending,
            "{key}"
        );
    }
    let mut by_id = set.ids.clone();
    by_id.sort();
    assert_eq!(set.listed("sort_key=id&sort_dir=asc"), by_id);
}

#[test]
fn update_moves_image_in_order_of_updates() {
    let set = Set::new();
    let keep = ("x-glance-registry-purge-props", "false");
    let update = crate::support::v1::put(&set.ids[1], &[keep]);
    Server::shared().request(&update).expect(200);
    assert_eq!(set.positions("sort_key=updated_at"), [1, 4, 3, 2, 0]);
    assert_eq!(set.positions("sort_key=created_at"), [4, 3, 2, 1, 0]);
}

#[test]
fn pages_of_every_size_combine_to_whole() {
    let set = Set::new();
    for key in ["created_at", "size", "name", "disk_format", "id", "status"] {
        for direction in ["asc", "desc"] {
            let order = format!("sort_key={key}&sort_dir={direction}");
            let whole = set.listed(&order);
            for limit in 1..=5 {
                let mut paged = set.listed(&format!("{order}&limit={limit}"));
                while let Some(last) = paged.last().filter(|_| paged.len() < 5).cloned() {
                    let page = set.listed(&format!("{order}&limit={limit}&marker={last}"));
                    assert!(!page.is_empty(), "{order} by {limit}");
                    paged.extend(page);
                }
                assert_eq!(paged, whole, "{order} by {limit}");
            }
            let end = format!("{order}&marker={}", whole[4]);
            assert!(set.listed(&end).is_empty());
        }
    }
}

#[test]
fn images_without_value_are_sorted() {
    let server = Setup::new().start();
    for name in ["b", "", "a", ""] {
        server.create(&[("x-image-meta-name", name)]);
    }
    for direction in ["asc", "desc"] {
        let order = format!("is_public=None&sort_key=name&sort_dir={direction}");
        let whole = server.listed(&order);
        assert_eq!(whole.len(), 4);
        let mut paged = server.listed(&format!("{order}&limit=1"));
        for _ in 0..3 {
            let last = paged.last().unwrap().clone();
            paged.extend(server.listed(&format!("{order}&limit=1&marker={last}")));
        }
        assert_eq!(paged, whole, "{direction}");
    }
}

#[test]
fn marker_need_not_match_filters() {
    let set = Set::new();
    // Image 2 has size 20. Of the later images, image 3 has size 10.
    let query = format!("size_max=10&sort_dir=asc&marker={}", set.ids[2]);
    assert_eq!(set.positions(&query), [3]);
}

#[test]
fn marker_must_exist() {
    let server = Server::shared();
    for marker in [fresh_id().as_str(), "", "7", "None"] {
        let path = format!("/v1/images?marker={marker}");
        server.request(&Request::get(&path)).expect(400);
    }
}

#[test]
fn deleted_marker_keeps_its_position() {
    let set = Set::new();
    Server::shared().remove(&set.ids[2]).expect(200);
    let query = format!("sort_dir=asc&marker={}", set.ids[2]);
    assert_eq!(set.positions(&query), [3, 4]);
}

#[test]
fn glanceclient_page_request_works() {
    let set = Set::new();
    let query = format!(
        "/v1/images/detail?limit=20&sort_key=name&sort_dir=asc&is_public=None&property-set={}",
        set.name
    );
    let page = Server::shared().json(&query);
    let names = page["images"].as_array().unwrap().iter();
    let names: Vec<&Value> = names.map(|image| &image["name"]).collect();
    assert_eq!(names, ["a", "a", "a", "b", "b"]);
}
