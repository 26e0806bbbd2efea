//! Protection of properties by the operator's rules.

use std::path::PathBuf;

use super::policy::refusal;
use crate::support::eventually;
use crate::support::http::{Request, Response};
use crate::support::server::{Server, Setup};
use crate::support::v1::{OCTETS, RAW, id_of, ids_of, image_of, image_path};

/// `x_` properties belong to the role `boss`, and members may read some of them; `secret_`
/// properties are hidden from all others; every other property is open to all.
const ROLES: &str = "\
[^x_fixed]\ncreate = boss, member\nread = @\nupdate = boss\ndelete = boss\n\
[^x_]\ncreate = boss\nread = boss, member\nupdate = boss, member\ndelete = boss\n\
[^secret_]\ncreate = boss\nread = boss\nupdate = boss\ndelete = boss\n\
[^never_]\ncreate = !\nread = !\nupdate = !\ndelete = !\n\
[.*]\ncreate = @\nread = @\nupdate = @\ndelete = @\n";

struct Node {
    server: Server,
    file: PathBuf,
    _folder: tempfile::TempDir,
}

fn prepare(protections: &str, policy: Option<&str>) -> Node {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, policy_file) = (folder.path().join("protect"), folder.path().join("policy"));
    std::fs::write(&file, protections).expect("a file");
    let mut setup = Setup::new()
        .option_in("paste_deploy", "flavor", "trusted-auth")
        .option("property_protection_file", file.display());
    if let Some(policy) = policy {
        std::fs::write(&policy_file, policy).expect("a file");
        setup = setup
            .option("policy_file", policy_file.display())
            .option("property_protection_rule_format", "policies");
    }
    Node {
        server: setup.prepare(),
        file,
        _folder: folder,
    }
}

fn start(protections: &str, policy: Option<&str>) -> Node {
    let mut node = prepare(protections, policy);
    node.server.start();
    node
}

/// A request of the tenant that owns everything.
#[track_caller]
fn ask(node: &Node, role: &str, request: Request) -> Response {
    let request = request
        .header("X-Identity-Status", "Confirmed")
        .header("X-Tenant-Id", "owner")
        .header("X-Roles", role);
    node.server.request(&request)
}

fn with(request: Request, properties: &[(&str, &str)]) -> Request {
    let add = |request: Request, (name, value): &(&str, &str)| {
        request.header(&format!("x-image-meta-property-{name}"), value)
    };
    properties.iter().fold(request, add)
}

fn create(properties: &[(&str, &str)]) -> Request {
    with(Request::post("/v1/images").headers(RAW), properties)
}

fn update(id: &str, properties: &[(&str, &str)]) -> Request {
    with(Request::put(&image_path(id)), properties)
}

fn keep(request: Request) -> Request {
    request.header("x-glance-registry-purge-props", "False")
}

/// The properties that the boss sees: all but those that are hidden from every role.
#[track_caller]
fn there(node: &Node, id: &str) -> String {
    let head = ask(node, "boss", Request::head(&image_path(id))).expect(200);
    shown(&head)
}

fn shown(head: &Response) -> String {
    let headers = head.head.headers.iter();
    let mut names: Vec<String> = headers
        .filter_map(|(name, value)| {
            let name = name.to_lowercase();
            let name = name.strip_prefix("x-image-meta-property-")?;
            Some(format!("{name}={}", String::from_utf8_lossy(value)))
        })
        .collect();
    names.sort();
    names.join(" ")
}

const SET: &[(&str, &str)] = &[("x_a", "1"), ("secret_b", "2"), ("c", "3")];

#[test]
fn creating() {
    let node = start(ROLES, None);
    for name in ["x_a", "secret_b", "never_c"] {
        let refused = ask(&node, "member", create(&[("c", "3"), (name, "1")])).expect(403);
        assert!(
            refused
                .text()
                .contains(&format!("Property '{name}' is protected"))
        );
    }
    ask(&node, "boss", create(&[("never_c", "1")])).expect(403);
    let list = ask(&node, "boss", Request::get("/v1/images")).expect(200);
    assert!(
        ids_of(&list).is_empty(),
        "nothing is left of what was refused"
    );
    let id = id_of(&ask(&node, "boss", create(SET)).expect(201));
    assert_eq!(there(&node, &id), "c=3 secret_b=2 x_a=1");
    ask(&node, "member", create(&[("x_fixed", "1")])).expect(201);
}

#[test]
fn reading() {
    let node = start(ROLES, None);
    let upload = create(SET).headers(&[OCTETS]).body("data");
    let id = id_of(&ask(&node, "boss", upload).expect(201));
    for (role, expected) in [
        ("member", "c=3 x_a=1"),
        ("boss", "c=3 secret_b=2 x_a=1"),
        ("guest", "c=3"),
    ] {
        for request in [
            Request::head(&image_path(&id)),
            Request::get(&image_path(&id)),
        ] {
            assert_eq!(
                shown(&ask(&node, role, request).expect(200)),
                expected,
                "{role}"
            );
        }
        let detail = ask(&node, role, Request::get("/v1/images/detail")).expect(200);
        let json = detail.json()["images"][0]["properties"].clone();
        let names: Vec<String> = json.as_object().unwrap().keys().cloned().collect();
        let expected: Vec<&str> = expected
            .split(' ')
            .map(|word| word.split('=').next().unwrap())
            .collect();
        assert_eq!(names, expected, "{role}");
    }
    // Nor can it be found out by filters.
    let filtered = |role: &str, query: &str| {
        let list = Request::get(&format!("/v1/images?{query}"));
        ids_of(&ask(&node, role, list).expect(200)).len()
    };
    assert_eq!(filtered("boss", "property-secret_b=2"), 1);
    assert_eq!(filtered("member", "property-secret_b=2"), 0);
    assert_eq!(filtered("member", "property-x_a=1"), 1);
}

#[test]
fn changing() {
    let node = start(ROLES, None);
    let id = id_of(&ask(&node, "boss", create(SET)).expect(201));
    // A client neither changes nor removes properties that it cannot see.
    let answer = ask(&node, "member", update(&id, &[("x_a", "4"), ("c", "5")])).expect(200);
    assert_eq!(
        image_of(&answer)["properties"],
        serde_json::json!({"x_a": "4", "c": "5"})
    );
    assert_eq!(there(&node, &id), "c=5 secret_b=2 x_a=4");
    for request in [
        update(&id, &[("secret_b", "2"), ("x_a", "4")]),
        // It may update x_ but not remove it.
        update(&id, &[("c", "6")]),
        keep(update(&id, &[("x_new", "1")])),
        keep(update(&id, &[("never_c", "1")])),
    ] {
        ask(&node, "member", request).expect(403);
        assert_eq!(there(&node, &id), "c=5 secret_b=2 x_a=4");
    }
    ask(&node, "member", keep(update(&id, &[("c", "6")]))).expect(200);
    ask(&node, "member", update(&id, &[("x_a", "4")])).expect(200);
    assert_eq!(there(&node, &id), "secret_b=2 x_a=4");
    ask(&node, "boss", update(&id, &[("x_fixed", "7")])).expect(200);
    assert_eq!(there(&node, &id), "x_fixed=7");
    // Repeating the current value changes nothing, so it requires no right to update.
    ask(
        &node,
        "member",
        update(&id, &[("x_fixed", "7"), ("c", "1")]),
    )
    .expect(200);
    ask(&node, "member", update(&id, &[("x_fixed", "8")])).expect(403);
    assert_eq!(there(&node, &id), "c=1 x_fixed=7");
}

#[test]
fn property_rules_can_name_policy_rules() {
    let policy = r#"{"bosses": "role:boss or role:admin"}"#;
    let protections = "[^x_]\ncreate = bosses\nread = bosses\nupdate = bosses\ndelete = bosses\n\
                       [.*]\ncreate = @\nread = @\nupdate = @\ndelete = @\n";
    let node = start(protections, Some(policy));
    ask(&node, "member", create(&[("x_a", "1")])).expect(403);
    let id = id_of(&ask(&node, "boss", create(&[("x_a", "1")])).expect(201));
    let head = ask(&node, "member", Request::head(&image_path(&id))).expect(200);
    assert_eq!(shown(&head), "");
}

#[test]
fn sighup_reloads_the_file_and_keeps_it_if_invalid() {
    let node = start(ROLES, None);
    let id = id_of(&ask(&node, "boss", create(SET)).expect(201));
    let seen = || shown(&ask(&node, "member", Request::head(&image_path(&id))).expect(200));
    assert_eq!(seen(), "c=3 x_a=1");
    std::fs::write(&node.file, "[a(]\n").expect("a file");
    node.server.signal("HUP");
    eventually("it says so", || {
        node.server
            .log()
            .contains("keeping the previous policy")
            .then_some(())
    });
    assert_eq!(seen(), "c=3 x_a=1");
    std::fs::write(
        &node.file,
        "[.*]\ncreate = @\nread = @\nupdate = @\ndelete = @\n",
    )
    .expect("a file");
    node.server.signal("HUP");
    eventually("it is read", || {
        (seen() == "c=3 secret_b=2 x_a=1").then_some(())
    });
}

#[test]
fn invalid_file_prevents_the_start() {
    let node = prepare("[.*]\ncreate = @\nread = @\nupdate = @\n", None);
    let said = refusal(node.server);
    assert!(said.contains("line 1") && said.contains("delete"), "{said}");
}
