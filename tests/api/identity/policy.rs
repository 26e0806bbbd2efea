//! The policy file: the requests that each rule controls, and reloading.

use std::path::{Path, PathBuf};

use super::cast::Caller;
use crate::support::eventually;
use crate::support::http::{Request, Response};
use crate::support::server::{Server, Setup};
use crate::support::v1::{OCTETS, RAW, id_of, image_path};

const UNKNOWN: &str = "71c675ab-d94f-49cd-a114-e12490b328d9";

/// A node with a policy file.
struct Node {
    server: Server,
    file: PathBuf,
    _folder: tempfile::TempDir,
}

fn prepare(name: &str, policy: &str) -> Node {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join(name);
    std::fs::write(&file, policy).expect("a file");
    let server = Setup::new()
        .option_in("paste_deploy", "flavor", "trusted-auth")
        .option_in("oslo_policy", "policy_file", file.display())
        .prepare();
    Node {
        server,
        file,
        _folder: folder,
    }
}

fn start(name: &str, policy: &str) -> Node {
    let mut node = prepare(name, policy);
    node.server.start();
    node
}

/// A request of the tenant `owner` with these roles.
#[track_caller]
fn ask(node: &Node, roles: &str, request: Request) -> Response {
    let request = request
        .header("X-Identity-Status", "Confirmed")
        .header("X-User-Id", "somebody")
        .header("X-Tenant-Id", "owner")
        .header("X-Roles", roles);
    node.server.request(&request)
}

fn list() -> Request {
    Request::get("/v1/images")
}

/// A request per action that is valid except for the rule of that action.
fn asked(id: &str, queued: &str) -> Vec<(&'static str, Request)> {
    let (image, members) = (image_path(id), format!("/v1/images/{id}/members"));
    let create = || Request::post("/v1/images").headers(RAW);
    let source = "http://127.0.0.1:9/image";
    vec![
        ("get_images", list()),
        ("get_images", Request::get("/v1/images/detail")),
        ("get_image", Request::head(&image)),
        ("get_image", Request::get(&image)),
        ("download_image", Request::get(&image)),
        ("add_image", create()),
        ("upload_image", create().headers(&[OCTETS]).body("data")),
        (
            "upload_image",
            create().header("x-glance-api-copy-from", source),
        ),
        (
            "publicize_image",
            create().header("x-image-meta-is_public", "True"),
        ),
        (
            "copy_from",
            create().header("x-glance-api-copy-from", source),
        ),
        (
            "set_image_location",
            create().header("x-image-meta-location", source),
        ),
        ("modify_image", Request::put(&image)),
        (
            "publicize_image",
            Request::put(&image).header("x-image-meta-is_public", "True"),
        ),
        (
            "upload_image",
            Request::put(&image_path(queued))
                .headers(&[OCTETS])
                .body("data"),
        ),
        (
            "copy_from",
            Request::put(&image_path(queued)).header("x-glance-api-copy-from", source),
        ),
        (
            "set_image_location",
            Request::put(&image_path(queued)).header("x-image-meta-location", source),
        ),
        ("get_members", Request::get(&members)),
        ("get_members", Request::get("/v1/shared-images/owner")),
        ("modify_member", Request::put(&format!("{members}/t"))),
        ("modify_member", Request::put(&members).body("[]")),
        ("add_member", Request::put(&format!("{members}/new"))),
        (
            "add_member",
            Request::put(&members).body(r#"[{"member_id": "new"}]"#),
        ),
        ("delete_member", Request::delete(&format!("{members}/t"))),
        ("delete_image", Request::delete(&image)),
    ]
}

/// The tenant owns everything, so that only the policy can refuse.
#[test]
fn every_policy_rule_is_enforced_as_in_glance() {
    let names: std::collections::BTreeSet<_> = asked("", "").into_iter().map(|row| row.0).collect();
    let rules = names
        .iter()
        .map(|name| format!("\"{name}\": \"role:{name}\""));
    let policy = format!("{{{}}}", rules.collect::<Vec<_>>().join(", "));
    let node = start("policy.json", &policy);
    let all_but = |name: &str| {
        let others = names.iter().filter(|other| **other != name);
        others.copied().collect::<Vec<_>>().join(",")
    };
    let everything = all_but("");
    let create = Request::post("/v1/images").headers(RAW);
    let upload = create.clone().headers(&[OCTETS]).body("data");
    let id = id_of(&ask(&node, &everything, upload).expect(201));
    let queued = id_of(&ask(&node, &everything, create).expect(201));
    let share = Request::put(&format!("/v1/images/{id}/members/t"));
    ask(&node, &everything, share).expect(204);
    for (name, request) in asked(&id, &queued) {
        let request = request.header("Accept", "application/json");
        let refused = ask(&node, &all_but(name), request.clone()).expect(403);
        let words = format!("You are not authorized to complete {name} action.");
        assert!(
            refused.body.is_empty() || refused.text().contains(&words),
            "{name}"
        );
    }
    for (name, request) in asked(&id, &queued) {
        let status = ask(&node, &everything, request).status;
        assert_ne!(status, 403, "{name}");
    }
}

/// A request that a rule refuses changes nothing (compare CVE-2015-5251).
#[test]
fn refused_requests_change_nothing() {
    let node = start(
        "policy.yaml",
        "upload_image: role:uploader\npublicize_image: role:publisher\n",
    );
    let upload = Request::post("/v1/images").headers(RAW).headers(&[OCTETS]);
    ask(&node, "member", upload.body("data")).expect(403);
    assert!(!ask(&node, "member", list()).text().contains("\"id\""));
    let id = id_of(&ask(&node, "member", Request::post("/v1/images").headers(RAW)).expect(201));
    let publish = Request::put(&image_path(&id)).header("x-image-meta-is_public", "True");
    ask(&node, "member", publish.header("x-image-meta-name", "new")).expect(403);
    let head = ask(&node, "member", Request::head(&image_path(&id))).expect(200);
    assert_eq!(head.header("x-image-meta-is_public"), Some("False"));
    assert_eq!(head.header("x-image-meta-name"), None);
    assert!(node.server.stored_files().is_empty());
}

#[test]
fn only_administrators_publish_without_a_policy_file() {
    let server = Setup::new()
        .option_in("paste_deploy", "flavor", "trusted-auth")
        .start();
    let create = || Request::post("/v1/images").headers(RAW);
    let publish = create().header("x-image-meta-is_public", "True");
    Caller::Owner.asks(&server, publish.clone()).expect(403);
    let keep = create().header("x-image-meta-is_public", "False");
    let id = id_of(&Caller::Owner.asks(&server, keep).expect(201));
    let publish_later = Request::put(&image_path(&id)).header("x-image-meta-is_public", "1");
    Caller::Owner
        .asks(&server, publish_later.clone())
        .expect(403);
    Caller::Admin.asks(&server, publish).expect(201);
    Caller::Admin.asks(&server, publish_later).expect(200);
    // Its owner may take it back, and then again not give it away.
    let withdraw = Request::put(&image_path(&id)).header("x-image-meta-is_public", "False");
    Caller::Owner.asks(&server, withdraw).expect(200);
}

/// A rule about the image itself cannot tell a hidden one from one that is not there.
#[test]
fn rules_about_images_do_not_reveal_hidden_ones() {
    let rule = "tenant:%(owner)s or role:reader";
    let rules = [
        "get_image",
        "download_image",
        "modify_image",
        "delete_image",
        "get_members",
    ];
    let rules = rules.map(|name| format!("{name}: \"{rule}\"\n")).concat();
    let node = start("policy.yaml", &rules);
    let create = Request::post("/v1/images").headers(RAW);
    let hidden = id_of(&Caller::Owner.asks(&node.server, create).expect(201));
    for (role, status) in [("Member", 403), ("Member,Reader", 404)] {
        for target in [hidden.as_str(), UNKNOWN] {
            let image = image_path(target);
            for request in [
                Request::head(&image),
                Request::get(&image),
                Request::put(&image),
                Request::delete(&image),
                Request::get(&format!("{image}/members")),
            ] {
                let request = request
                    .header("X-Identity-Status", "Confirmed")
                    .header("X-Tenant-Id", "stranger")
                    .header("X-Roles", role);
                let answer = node.server.request(&request);
                assert_eq!(answer.status, status, "{request:?}");
            }
        }
    }
    ask(&node, "Member", Request::head(&image_path(&hidden))).expect(200);
    ask(&node, "Member", Request::delete(&image_path(&hidden))).expect(200);
}

#[test]
fn policy_defines_administrators() {
    let node = start(
        "policy.json",
        r#"{"context_is_admin": "role:admin or role:boss"}"#,
    );
    let create = Request::post("/v1/images").headers(RAW);
    let id = id_of(&Caller::Stranger.asks(&node.server, create).expect(201));
    for (roles, status) in [("Member", 404), ("Boss", 200), ("admin", 200)] {
        // Through `handle` and through the fast path.
        for request in [
            Request::put(&image_path(&id)),
            Request::head(&image_path(&id)),
        ] {
            assert_eq!(ask(&node, roles, request).status, status, "{roles}");
        }
    }
}

#[test]
fn sighup_reloads_the_file_and_keeps_it_if_invalid() {
    let node = start("policy.json", r#"{"get_images": "role:first"}"#);
    let write = |text: &str| std::fs::write(&node.file, text).expect("a file");
    let status = |roles: &str| ask(&node, roles, list()).status;
    assert_eq!((status("first"), status("second")), (200, 403));
    write(r#"{"get_images": "role:second"}"#);
    assert_eq!(
        (status("first"), status("second")),
        (200, 403),
        "not read yet"
    );
    node.server.signal("HUP");
    eventually("it is read", || (status("second") == 200).then_some(()));
    assert_eq!(status("first"), 403);

    for (bad, complaint) in [
        (r#"{"get_images": "rule:missing"}"#, "get_images"),
        ("{", "not JSON or YAML"),
    ] {
        write(bad);
        node.server.signal("HUP");
        eventually("it says so", || {
            let log = node.server.log();
            let last = log
                .rsplit("keeping the previous policy")
                .next()
                .filter(|_| log.contains("keeping the previous policy"));
            last.is_some_and(|last| last.contains(complaint))
                .then_some(())
        });
        assert_eq!((status("first"), status("second")), (403, 200));
    }
    std::fs::remove_file(&node.file).expect("a file to remove");
    let before = node
        .server
        .log()
        .matches("keeping the previous policy")
        .count();
    node.server.signal("HUP");
    eventually("it says so", || {
        (node
            .server
            .log()
            .matches("keeping the previous policy")
            .count()
            > before)
            .then_some(())
    });
    assert_eq!((status("first"), status("second")), (403, 200));
    write("");
    node.server.signal("HUP");
    eventually("it is read", || (status("first") == 200).then_some(()));
}

/// Returns the output and exit status of a server that fails to start.
#[track_caller]
pub fn refusal(mut server: Server) -> String {
    server.spawn();
    let status = server.wait(std::time::Duration::from_secs(20));
    assert_eq!(status.code(), Some(78), "a wrong configuration");
    server.log()
}

#[test]
fn invalid_file_prevents_the_start() {
    let node = prepare("policy.json", r#"{"get_image": "role:admin or"}"#);
    let (file, said) = (node.file.display().to_string(), refusal(node.server));
    for word in [file.as_str(), "get_image", "policy_file"] {
        assert!(said.contains(word), "{said}");
    }
    let node = prepare("policy.json", "");
    std::fs::remove_file(&node.file).unwrap();
    let (file, said) = (node.file.clone(), refusal(node.server));
    assert!(said.contains(Path::new(&file).to_str().unwrap()), "{said}");
}
