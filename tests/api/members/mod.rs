//! `/v1/images/{id}/members` and `/v1/images/{id}/members/{member}`.

mod add;
mod list;
mod remove;
mod replace;

use serde_json::{Value, json};

use crate::support::server::Server;

/// `/v1/images/{id}/members`.
fn members_path(id: &str) -> String {
    format!("/v1/images/{id}/members")
}

/// The members of an image, by name.
#[track_caller]
fn members_of(id: &str) -> Vec<(String, bool)> {
    let list = Server::shared().json(&members_path(id));
    let rows = list["members"].as_array().expect("a list").clone();
    let row = |row: &Value| {
        let member = row["member_id"].as_str().expect("a member").to_owned();
        let can_share = row["can_share"].as_bool().expect("a boolean");
        assert_eq!(*row, json!({"member_id": member, "can_share": can_share}));
        (member, can_share)
    };
    let mut members: Vec<_> = rows.iter().map(row).collect();
    members.sort();
    members
}

/// The expected result of [`members_of`].
fn members(wanted: &[(&str, bool)]) -> Vec<(String, bool)> {
    let own = |(member, can_share): &(&str, bool)| ((*member).to_owned(), *can_share);
    wanted.iter().map(own).collect()
}
