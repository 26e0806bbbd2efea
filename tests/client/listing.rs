//! Lists, metadata and members; reuse of connections and their failures.

use std::time::{Duration, Instant};

use glance::client::{Client, ClientError, ConnectOptions, GlanceEndpoint, ListOptions};
use glance::wire::MemberEntry;

use crate::peer::{Peer, Then, answer, json, step};
use crate::{ID, block_on};

const EMPTY: &str = r#"{"images": []}"#;

fn client(peer: &Peer) -> Client {
    Client::new(("127.0.0.1", peer.port)).unwrap()
}

#[test]
fn requests_share_a_connection_and_carry_the_token() {
    let peer = Peer::start(vec![json("200 OK", EMPTY), json("200 OK", EMPTY)]);
    let client = client(&peer).with_token("s3cret").unwrap();
    block_on(async {
        let options = ListOptions::default().filter("name", "a b");
        client.get_images(&options).await.unwrap();
        client.get_images_detailed(&options).await.unwrap();
    });
    let seen = peer.seen();
    assert_eq!(
        peer.lines(),
        [
            "GET /v1/images?name=a%20b",
            "GET /v1/images/detail?name=a%20b"
        ]
    );
    assert_eq!((seen[0].connection, seen[1].connection), (0, 0));
    assert_eq!(seen[1].header("x-auth-token"), Some("s3cret"));
    assert_eq!(
        seen[0].header("host"),
        Some(format!("127.0.0.1:{}", peer.port).as_str())
    );
}

#[test]
fn closed_idle_connection_is_replaced() {
    let closing = step(|exchange| {
        exchange.answer("200 OK", &[], EMPTY.as_bytes());
        Then::Close
    });
    let peer = Peer::start(vec![closing, json("200 OK", EMPTY)]);
    let client = client(&peer);
    block_on(async {
        client.get_images(&ListOptions::default()).await.unwrap();
        client.get_images(&ListOptions::default()).await.unwrap();
    });
    assert_eq!(peer.seen()[1].connection, 1);
}

#[test]
fn list_ends_with_the_first_page_that_is_not_full() {
    let page = |ids: &[&str]| {
        let entries: Vec<String> = ids.iter().map(|id| format!(r#"{{"id":"{id}"}}"#)).collect();
        json(
            "200 OK",
            &format!(r#"{{"images":[{}]}}"#, entries.join(",")),
        )
    };
    let peer = Peer::start(vec![page(&["a", "b"]), page(&["c", "d"]), page(&["e"])]);
    let client = client(&peer);
    let pages = client.pages(ListOptions::default()).with_page_size(2);
    let images = block_on(pages.collect()).unwrap();
    let ids: String = images.into_iter().map(|image| image.id).collect();
    assert_eq!(ids, "abcde");
    assert_eq!(
        peer.lines(),
        [
            "GET /v1/images?limit=2",
            "GET /v1/images?marker=b&limit=2",
            "GET /v1/images?marker=d&limit=2"
        ]
    );
}

#[test]
fn list_that_repeats_a_page_is_an_error() {
    let page = r#"{"images":[{"id":"a"},{"id":"b"}]}"#;
    let peer = Peer::start(vec![json("200 OK", page), json("200 OK", page)]);
    let client = client(&peer);
    let pages = client.pages(ListOptions::default()).with_page_size(2);
    let error = block_on(pages.collect()).unwrap_err();
    assert!(matches!(error, ClientError::Protocol(_)), "{error}");
}

#[test]
fn metadata_are_read_in_both_spellings_and_by_uri() {
    let headers = [
        ("X-Image-Meta-Id", ID),
        ("X-Image-Meta-Disk-Format", "raw"),
        ("X-Image-Meta-Is_public", "True"),
        ("X-Image-Meta-Property-distro", "Ubuntu 10.04 LTS"),
    ];
    let peer = Peer::start(vec![answer("200 OK", &headers, "")]);
    let uri = format!("{}/images/{ID}", peer.url());
    let meta = block_on(client(&peer).get_image_meta(&uri)).unwrap();
    assert_eq!(meta.disk_format.as_deref(), Some("raw"));
    assert!(meta.is_public);
    assert_eq!(
        meta.properties["distro"].as_deref(),
        Some("Ubuntu 10.04 LTS")
    );
    assert_eq!(peer.lines(), [format!("HEAD /v1/images/{ID}")]);
}

#[test]
fn refusals_are_typed_and_keep_the_servers_message() {
    let refusal = |words: &str| format!(r#"{{"message":"{words}","code":"x","title":"y"}}"#);
    let peer = Peer::start(vec![
        json("401 Unauthorized", &refusal("Who?")),
        json("403 Forbidden", &refusal("Image is protected")),
        json("404 Not Found", &refusal("gone")),
        json("409 Conflict", &refusal("busy")),
        json("503 Service Unavailable", &refusal("later")),
    ]);
    let client = client(&peer);
    block_on(async {
        let next = async || client.delete_image(ID).await.unwrap_err();
        let error = next().await;
        assert!(matches!(error, ClientError::NotAuthenticated { .. }));
        assert!(error.to_string().contains("OS_AUTH_TOKEN"));
        let error = next().await;
        assert!(matches!(error, ClientError::Forbidden { .. }));
        assert_eq!(error.to_string(), "Image is protected");
        assert!(matches!(next().await, ClientError::NotFound { .. }));
        assert!(matches!(next().await, ClientError::Conflict { .. }));
        let error = next().await;
        assert!(error.is_transient());
        assert!(error.to_string().ends_with("later"), "{error}");
    });
}

#[test]
fn members_are_listed_added_replaced_and_removed() {
    let peer = Peer::start(vec![
        json(
            "200 OK",
            r#"{"members":[{"member_id":"t1","can_share":true}]}"#,
        ),
        json(
            "200 OK",
            r#"{"shared_images":[{"image_id":"7","can_share":false}]}"#,
        ),
        answer("204 No Content", &[], ""),
        answer("204 No Content", &[], ""),
        answer("204 No Content", &[], ""),
        answer("204 No Content", &[], ""),
    ]);
    let client = client(&peer);
    let member = MemberEntry {
        id: "t1".to_owned(),
        can_share: true,
    };
    block_on(async {
        let members = client.get_image_members(ID).await.unwrap();
        assert_eq!(members, std::slice::from_ref(&member));
        let images = client.get_member_images("t/1").await.unwrap();
        assert_eq!(images[0].image_id, "7");
        client.add_member(ID, "t1", None).await.unwrap();
        client.add_member(ID, "t1", Some(true)).await.unwrap();
        client.replace_members(ID, &[member]).await.unwrap();
        client.delete_member(ID, "t1").await.unwrap();
    });
    let seen = peer.seen();
    assert_eq!(seen[1].path, "/v1/shared-images/t%2F1");
    assert!(seen[2].body.is_empty());
    assert_eq!(seen[3].body, br#"{"member":{"can_share":true}}"#);
    assert_eq!(
        seen[4].body,
        br#"{"memberships":[{"member_id":"t1","can_share":true}]}"#
    );
    assert_eq!(seen[5].method, "DELETE");
}

#[test]
fn silent_server_is_a_timeout() {
    let silent = step(|exchange| {
        std::thread::sleep(Duration::from_secs(3));
        exchange.answer("200 OK", &[], EMPTY.as_bytes());
        Then::Close
    });
    let peer = Peer::start(vec![silent]);
    let limit = Duration::from_millis(300);
    let options = ConnectOptions {
        progress_timeout: limit,
        ..ConnectOptions::default()
    };
    let endpoint = GlanceEndpoint::new("127.0.0.1", peer.port);
    let client = Client::with_options(endpoint, &options).unwrap();
    let started = Instant::now();
    let error = block_on(client.get_images(&ListOptions::default())).unwrap_err();
    assert!(matches!(error, ClientError::Timeout { .. }), "{error:?}");
    assert!(started.elapsed() < Duration::from_secs(2));
}

#[test]
fn missing_server_is_reported_in_glances_words() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let client = Client::new(("127.0.0.1", port)).unwrap();
    let error = block_on(client.get_images(&ListOptions::default())).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "Failed to connect to the Glance API server 127.0.0.1:{port}. Is the server running?"
        )
    );
}

#[test]
fn server_of_another_protocol_is_reported() {
    let not_http = step(|exchange| {
        exchange.send(b"220 mail.example.org ESMTP\r\n");
        Then::Close
    });
    let peer = Peer::start(vec![json("200 OK", "<html>"), not_http]);
    let client = client(&peer);
    block_on(async {
        for _ in 0..2 {
            let error = client.get_images(&ListOptions::default()).await;
            let error = error.unwrap_err();
            assert!(matches!(error, ClientError::Protocol(_)), "{error:?}");
        }
    });
}
