//! The registry API of Glance, as other API servers use it.

use serde_json::{Value, json};

use crate::support::http::{Request, Response};
use crate::support::server::{Server, Setup};

fn body(method: &str, path: &str, value: &Value) -> Request {
    let request = Request::new(method, path).header("Content-Type", "application/json");
    request.body(value.to_string().as_bytes())
}

fn register(registry: &Server, image: Value) -> Response {
    let request = body("POST", "/images", &json!({ "image": image }));
    registry.request(&request)
}

fn registered(registry: &Server, image: Value) -> Value {
    register(registry, image).expect(200).json()["image"].clone()
}

fn get(registry: &Server, path: &str) -> Response {
    registry.request(&Request::get(path))
}

fn names(list: &Response) -> Vec<String> {
    let images = list.json()["images"].as_array().cloned().expect("a list");
    let name = |image: &Value| image["name"].as_str().expect("a name").to_owned();
    images.iter().map(name).collect()
}

#[test]
fn images_are_created_shown_updated_and_deleted() {
    let registry = Setup::registry().start();
    get(&registry, "/healthcheck").expect(200);
    let image = registered(
        &registry,
        json!({ "name": "a", "is_public": true, "owner": "o", "size": 3, "properties": { "k": "v" },
            "location": "file:///x", "disk_format": "raw" }),
    );
    assert_eq!(image["status"], "active", "where nothing is said");
    assert_eq!(image["location"], "file:///x");
    assert_eq!(image["location_data"][0]["url"], "file:///x");
    assert_eq!(image["owner"], "o");
    let path = format!("/images/{}", image["id"].as_str().expect("an id"));
    let shown = get(&registry, &path).expect(200);
    assert_eq!(shown.header("x-glance-registry-version"), Some("1"));
    assert_eq!(shown.json()["image"], image);

    let amend = |image: Value, purge: bool| {
        let request = body("PUT", &path, &json!({ "image": image }));
        let purge = if purge { "true" } else { "false" };
        registry.request(&request.header("X-Glance-Registry-Purge-Props", purge))
    };
    let merged = amend(json!({ "properties": { "l": "w" } }), false);
    let properties = &merged.expect(200).json()["image"]["properties"];
    assert_eq!(*properties, json!({ "k": "v", "l": "w" }));
    let purged = amend(json!({ "name": null, "properties": { "m": null } }), true);
    let purged = purged.expect(200).json();
    assert_eq!(purged["image"]["properties"], json!({ "m": null }));
    assert_eq!(purged["image"]["name"], Value::Null);

    let gone = registry.request(&Request::delete(&path)).expect(200);
    assert_eq!(gone.json()["image"]["status"], "deleted");
    assert_eq!(gone.json()["image"]["deleted"], true);
    register(&registry, json!({ "id": image["id"] })).expect(409);
    get(&registry, &format!("/images/{}", uuid())).expect(404);
    amend(json!({ "status": "active" }), false).expect(409);
}

#[test]
fn outdated_from_state_is_a_conflict() {
    let registry = Setup::registry().start();
    let image = registered(&registry, json!({ "status": "queued" }));
    let path = format!("/images/{}", image["id"].as_str().expect("an id"));
    let step = |to: &str, from: &str| {
        let change = json!({ "image": { "status": to }, "from_state": from });
        registry.request(&body("PUT", &path, &change))
    };
    step("saving", "queued").expect(200);
    step("saving", "queued").expect(409);
    step("active", "saving").expect(200);
    step("queued", "active").expect(409);
}

#[test]
fn lists_have_filters_and_deleted_images() {
    let registry = Setup::registry().start();
    for name in ["a", "b", "c"] {
        registered(
            &registry,
            json!({ "name": name, "is_public": name != "c", "properties": { "p": name } }),
        );
    }
    let list = |path: &str| names(&get(&registry, path).expect(200));
    assert_eq!(list("/images?sort_key=name&sort_dir=asc"), ["a", "b"]);
    assert_eq!(list("/images/detail?property-p=b"), ["b"]);
    assert_eq!(list("/?limit=1&sort_key=name&sort_dir=asc"), ["a"]);
    assert_eq!(list("/images/detail?is_public=False"), ["c"]);
    let index = get(&registry, "/images").json();
    assert_eq!(index["images"][0].as_object().expect("an entry").len(), 6);
    let all = get(&registry, "/images/detail?name=a").json();
    let id = all["images"][0]["id"].as_str().expect("an id").to_owned();
    let gone = Request::delete(&format!("/images/{id}"));
    registry.request(&gone).expect(200);
    assert_eq!(list("/images/detail"), ["b"]);
    assert_eq!(list("/images/detail?deleted=True"), ["a"]);
    assert_eq!(
        list("/images/detail?deleted=None&sort_key=name"),
        ["b", "a"]
    );
    get(&registry, "/images/detail?deleted=perhaps").expect(400);
}

#[test]
fn members_equal_those_of_the_image_api() {
    let registry = Setup::registry().start();
    let image = registered(&registry, json!({ "owner": "o" }));
    let path = format!("/images/{}/members", image["id"].as_str().expect("an id"));
    let member = format!("{path}/t");
    registry
        .request(&Request::put(&member).body(b""))
        .expect(204);
    let list = get(&registry, &path).json();
    assert_eq!(
        list["members"],
        json!([{ "member_id": "t", "can_share": false }])
    );
    let shared = get(&registry, "/shared-images/t").json();
    assert_eq!(shared["shared_images"][0]["image_id"], image["id"]);
    let all = json!({ "memberships": [{ "member_id": "u", "can_share": true }] });
    registry.request(&body("PUT", &path, &all)).expect(204);
    registry.request(&Request::delete(&member)).expect(404);
}

#[test]
fn malformed_images_are_refused() {
    let registry = Setup::registry().start();
    register(&registry, json!({ "status": "nonsense" })).expect(400);
    register(&registry, json!({ "id": "7" })).expect(400);
    register(&registry, json!({ "size": "x" })).expect(400);
    registry
        .request(&Request::post("/images").body(b"{"))
        .expect(400);
    get(&registry, "/images/7").expect(404);
    get(&registry, "/v1/images").expect(404);
    get(&registry, "/usage").expect(404);
    registry.request(&Request::delete("/images")).expect(405);
}

#[test]
fn records_are_for_administrators() {
    let registry = with_identity();
    let ask = |roles: &str| {
        let request =
            Request::get("/census").header("Accept", "application/vnd.glance.registry-record+json");
        registry.request(&sent_by(request, "t", roles))
    };
    ask("member").expect(403);
    ask("admin").expect(200);
    get(&registry, "/images").expect(401);
}

/// Starts a registry server that trusts the identity headers of its clients.
fn with_identity() -> Server {
    let setup = Setup::registry().option_in("paste_deploy", "flavor", "trusted-auth");
    setup.start()
}

/// Adds the identity of a caller with this role in this tenant to a request.
fn sent_by(request: Request, tenant: &str, role: &str) -> Request {
    request
        .header("X-Identity-Status", "Confirmed")
        .header("X-User-Id", "user")
        .header("X-Tenant-Id", tenant)
        .header("X-Roles", role)
}

#[test]
fn members_cannot_set_fields_that_api_servers_decide() {
    let registry = with_identity();
    let as_member = |request| registry.request(&sent_by(request, "t", "member"));
    let as_admin = |request| registry.request(&sent_by(request, "service", "admin"));
    let post = |image: &Value| body("POST", "/images", &json!({ "image": image }));
    let victims = json!({ "name": "victims", "owner": "victim", "status": "active", "size": 3,
        "location": "file:///victim" });
    let victims = as_admin(post(&victims)).expect(200).json()["image"].clone();
    assert_eq!(victims["location"], "file:///victim");

    // A new image.
    for refused in [
        json!({ "location": "file:///victim" }),
        json!({ "location_data": [{ "url": "file:///victim", "metadata": {} }] }),
        json!({ "status": "active" }),
        json!({ "status": "saving" }),
        json!({ "is_public": true }),
        json!({ "owner": "victim" }),
    ] {
        let answer = as_member(post(&refused));
        assert_eq!(answer.status, 403, "{refused}: {}", answer.text());
    }
    let reserved = json!({ "properties": { "glance_node_state": "boom" } });
    as_member(post(&reserved)).expect(400);
    let own = json!({ "name": "own", "owner": "t", "status": "queued", "is_public": false,
        "properties": { "a": "b" } });
    as_member(post(&own)).expect(200);
    let own = as_member(post(&json!({ "name": "own" }))).expect(200);
    let own = own.json()["image"].clone();
    assert_eq!(own["status"], "queued", "there are no data");
    assert_eq!(own["owner"], "t");

    // An image of the member's own tenant.
    let path = format!("/images/{}", own["id"].as_str().expect("an id"));
    let put = |image: &Value| body("PUT", &path, &json!({ "image": image }));
    as_member(put(&json!({ "name": "renamed", "status": "queued" }))).expect(200);
    for refused in [
        json!({ "location": "file:///victim" }),
        json!({ "status": "active" }),
        json!({ "status": "killed" }),
        json!({ "is_public": true }),
        json!({ "owner": "victim" }),
        json!({ "owner": null }),
    ] {
        let answer = as_member(put(&refused));
        assert_eq!(answer.status, 403, "{refused}: {}", answer.text());
    }
    as_member(put(&reserved)).expect(400);
    let active = json!({ "status": "active", "location": "file:///own", "size": 7,
        "properties": { "glance_node_state": "{}" } });
    let active = as_admin(put(&active)).expect(200).json();
    assert_eq!(active["image"]["location"], "file:///own");

    // An image with data.
    as_member(put(&json!({ "size": 8 }))).expect(403);
    let get = |path: &str| Request::get(path);
    let seen = as_member(get(&path)).expect(200).json()["image"].clone();
    assert_eq!(seen["location"], Value::Null, "it may hold credentials");
    assert_eq!(seen["location_data"], json!([]));
    assert_eq!(seen["properties"], json!({}));
    let list = as_member(get("/images/detail")).expect(200);
    assert!(!list.text().contains("file:"), "{}", list.text());
    let purging = put(&json!({ "name": "again" })).header("X-Glance-Registry-Purge-Props", "true");
    as_member(purging).expect(200);
    let kept = as_admin(get(&path)).expect(200).json()["image"].clone();
    assert_eq!(kept["properties"], json!({ "glance_node_state": "{}" }));
    as_member(Request::delete(&path)).expect(403);
    assert_eq!(
        as_admin(get(&path)).expect(200).json()["image"]["status"],
        "active"
    );

    // The image of another tenant.
    let theirs = format!("/images/{}", victims["id"].as_str().expect("an id"));
    as_member(get(&theirs)).expect(404);
    as_member(body("PUT", &theirs, &json!({ "image": { "name": "x" } }))).expect(404);
    as_member(Request::delete(&theirs)).expect(404);
    let members = format!("{theirs}/members");
    as_member(get(&members)).expect(404);
    as_member(Request::put(&format!("{members}/t")).body(b"")).expect(404);
    as_member(Request::delete(&format!("{members}/t"))).expect(404);
    let all = json!({ "memberships": [{ "member_id": "t", "can_share": true }] });
    as_member(body("PUT", &members, &all)).expect(404);

    // An image without data is deleted, a protected one is not.
    let other = as_member(post(&json!({ "protected": true }))).expect(200);
    let other = other.json()["image"]["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let other = format!("/images/{other}");
    as_member(Request::delete(&other)).expect(403);
    let unprotected = json!({ "image": { "protected": false } });
    as_member(body("PUT", &other, &unprotected)).expect(200);
    as_member(Request::delete(&other)).expect(200);
}

fn uuid() -> String {
    "71c675ab-d94f-49cd-a114-e12490b328d9".to_owned()
}
