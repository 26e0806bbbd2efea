//! The program with its images in Swift.

use super::container::Container;
use super::{Look, MIB};
use crate::support::backends::swift::Swift;
use crate::support::backends::{Cloud, address_of};
use crate::support::gate::{Gate, Mode, Way};
use crate::support::http::{Connection, Request};
use crate::support::server::Server;
use crate::support::v1::{OCTETS, RAW, id_of, image_path, post_data, put_data};
use crate::support::{eventually, md5_hex, pattern};

/// A size of several segments, the last one odd.
const LARGE: usize = 5 * MIB as usize + 4_321;

fn post_chunked(data: &[u8]) -> Request {
    let request = Request::post("/v1/images").headers(RAW).headers(&[OCTETS]);
    request.chunked(data.chunks(100_000))
}

/// Starts an upload that will be incomplete.
fn begin(server: &Server, id: &str, sent: &[u8]) -> Connection {
    let mut connection = server.connect();
    let request = Request::put(&image_path(id))
        .headers(&[OCTETS])
        .header("Content-Length", (3 * LARGE).to_string());
    connection.send_head(&request).expect("sent");
    connection.send_bytes(sent).expect("sent");
    connection
}

/// Uploads, downloads and deletes images of known and unknown length.
#[track_caller]
fn round_trips(server: &Server, container: &Container) {
    for (len, is_length_known, objects) in [
        (1, true, 1),
        (4 * MIB as usize - 1, true, 1),
        (LARGE, true, 7),
        (300_000, false, 2),
        (LARGE, false, 7),
    ] {
        let data = pattern(len, 1);
        let request = match is_length_known {
            true => post_data(&[], &data),
            false => post_chunked(&data),
        };
        let id = id_of(&server.request(&request).expect(201));
        assert_eq!(container.names().len(), objects, "{len} {is_length_known}");
        let answer = server.download(&id).expect(200);
        assert_eq!(
            answer.header("x-image-meta-checksum"),
            Some(&*md5_hex(&data))
        );
        assert!(answer.body == data, "{len} {is_length_known}");
        let (first, last) = (len / 3, len - 1);
        let range = format!("bytes={first}-{last}");
        let part = Request::get(&image_path(&id)).header("Range", range);
        assert!(server.request(&part).expect(206).body == data[first..]);
        server.remove(&id).expect(200);
        container.await_empty();
    }
}

#[test]
fn images_by_v1_auth() {
    let swift = Swift::shared();
    let container = Container::by_v1(swift, &swift.account);
    let server = container
        .node_by_v1(&swift.auth_url, &swift.account)
        .start();
    round_trips(&server, &container);
}

/// Swift times out an upload that stalls for a minute, so a few bytes are not held back.
#[test]
fn slow_upload_is_forwarded_as_it_arrives() {
    let swift = Swift::shared();
    let container = Container::by_v1(swift, &swift.account);
    let gate = Gate::before(address_of(&swift.url));
    let setup = container.node_by_v1(&gate.url(&swift.auth_url), &swift.account);
    let server = setup.start();
    let first = server.upload(&[], b"logs in");
    let id = server.reserve();
    let mut connection = begin(&server, &id, b"");
    eventually("Swift is asked", || {
        let before = gate.passed_bytes(Way::Up);
        std::thread::sleep(std::time::Duration::from_millis(300));
        (gate.passed_bytes(Way::Up) == before).then_some(())
    });
    for _ in 0..2 {
        let before = gate.passed_bytes(Way::Up);
        connection.send_bytes(&pattern(5000, 1)).expect("sent");
        eventually("Swift has them", || {
            (gate.passed_bytes(Way::Up) >= before + 5000).then_some(())
        });
    }
    drop(connection);
    server.remove(&first).expect(200);
    container.await_empty();
}

#[test]
fn images_are_stored_with_keystone() {
    let cloud = Cloud::shared();
    let alice = cloud.keystone.user("alice");
    let container = Container::of(Look::by_keystone(cloud, "alice"));
    let setup = container.node(&[
        ("swift_store_auth_address", &cloud.keystone.auth_url),
        (
            "swift_store_user",
            &format!("{}:{}", alice.project, alice.name),
        ),
        ("swift_store_key", &alice.password),
        ("swift_store_region", &cloud.keystone.region),
    ]);
    round_trips(&setup.start(), &container);
}

/// The accounts are in a file of their own, and threads replace io_uring.
#[test]
fn images_are_stored_with_a_reference() {
    let swift = Swift::shared();
    let container = Container::by_v1(swift, &swift.account);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("swift.conf");
    let text = format!(
        "[ours]\nuser = {}\nkey = {}\nauth_address = {}\nauth_version = 1\n",
        swift.account.user, swift.account.key, swift.auth_url
    );
    std::fs::write(&file, text).expect("written");
    let options = [
        ("swift_store_config_file", file.to_str().expect("a path")),
        ("default_swift_reference", "ours"),
    ];
    // The file must not be readable by others.
    let own = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&file, own).expect("permissions");
    let setup = container.node(&options).option("io_backend", "threads");
    round_trips(&setup.start(), &container);
}

#[test]
fn mismatching_upload_is_killed_and_removed() {
    let swift = Swift::shared();
    let container = Container::by_v1(swift, &swift.account);
    let server = container
        .node_by_v1(&swift.auth_url, &swift.account)
        .start();
    for len in [MIB as usize, LARGE] {
        let data = pattern(len, 1);
        let (more, less) = ((len + 1).to_string(), (len - 1).to_string());
        for wrong in [
            ("x-image-meta-size", more.as_str()),
            ("x-image-meta-size", less.as_str()),
            ("x-image-meta-checksum", "00000000000000000000000000000000"),
        ] {
            for is_length_known in [true, false] {
                let id = server.reserve();
                let headers = [wrong, ("x-glance-registry-purge-props", "false")];
                let request = Request::put(&image_path(&id)).headers(&[OCTETS, headers[0]]);
                let request = match is_length_known {
                    true => request.body(data.clone()),
                    false => request.chunked(data.chunks(100_000)),
                };
                server.request(&request).expect(400);
                assert_eq!(server.status_of(&id), "killed");
                container.await_empty();
            }
        }
    }
}

#[test]
fn disconnect_or_delete_during_an_upload_leaves_nothing() {
    let swift = Swift::shared();
    let container = Container::by_v1(swift, &swift.account);
    let server = container
        .node_by_v1(&swift.auth_url, &swift.account)
        .start();
    let id = server.reserve();
    let gone = begin(&server, &id, &pattern(LARGE, 1));
    eventually("segments are in Swift", || {
        (container.names().len() >= 3).then_some(())
    });
    drop(gone);
    eventually("the image is killed", || {
        (server.status_of(&id) == "killed").then_some(())
    });
    container.await_empty();

    let id = server.reserve();
    let mut uploader = begin(&server, &id, &pattern(LARGE, 1));
    eventually("segments are in Swift", || {
        (container.names().len() >= 3).then_some(())
    });
    server.remove(&id).expect(200);
    let answer = uploader.read_response("PUT").expect("an answer");
    assert_eq!(answer.status, 412);
    container.await_empty();
}

/// Swift fails during an upload: the client receives an error, the image is killed, and nothing is
/// left once Swift is back.
#[test]
fn swift_failure_during_an_upload_kills_the_image() {
    let swift = Swift::shared();
    let container = Container::by_v1(swift, &swift.account);
    let gate = Gate::before(address_of(&swift.url));
    let server = container
        .node_by_v1(&gate.url(&swift.auth_url), &swift.account)
        .start();
    let id = server.reserve();
    let mut uploader = begin(&server, &id, &pattern(LARGE, 1));
    eventually("segments are in Swift", || {
        (container.names().len() >= 3).then_some(())
    });
    gate.set(Mode::Closed);
    uploader.send_bytes(&pattern(LARGE, 1)).ok();
    let answer = uploader.read_response("PUT").expect("an answer");
    assert_eq!(answer.status, 503);
    assert!(answer.header("retry-after").is_some());
    assert_eq!(server.status_of(&id), "killed");
    assert!(!container.names().is_empty());
    gate.set(Mode::Open);
    container.await_empty();
    server.remove(&id).expect(200);
}

#[test]
fn remains_of_a_killed_process_are_removed_at_restart() {
    let swift = Swift::shared();
    let container = Container::by_v1(swift, &swift.account);
    let mut server = container
        .node_by_v1(&swift.auth_url, &swift.account)
        .start();
    let id = server.reserve();
    let _uploader = begin(&server, &id, &pattern(LARGE, 1));
    eventually("segments are in Swift", || {
        (container.names().len() >= 3).then_some(())
    });
    server.kill();
    assert!(!container.names().is_empty());
    server.restart();
    assert_eq!(server.status_of(&id), "killed");
    container.await_empty();
}

#[test]
fn missing_container_is_logged() {
    let swift = Swift::shared();
    let container = Container::by_v1(swift, &swift.account);
    let setup = container.node_by_v1(&swift.auth_url, &swift.account);
    let setup = setup.store_option("swift_store_create_container_on_put", "False");
    let server = setup.start();
    for len in [1, LARGE] {
        let id = server.reserve();
        let put = put_data(&id, &[], &pattern(len, 1));
        let answer = server.request(&put).expect(503);
        assert!(
            !answer.text().contains(&container.name),
            "{}",
            answer.text()
        );
        assert_eq!(server.status_of(&id), "killed");
    }
    server.expect_log("swift_store_create_container_on_put");
}

/// Keys and tokens appear in no response, debug log, metric or registry record, whether Swift works
/// or fails.
#[test]
fn secrets_never_leak() {
    let swift = Swift::shared();
    let container = Container::by_v1(swift, &swift.other);
    let gate = Gate::before(address_of(&swift.url));
    let setup = container.node_by_v1(&gate.url(&swift.auth_url), &swift.other);
    let mut server = setup.option("debug", true).start();
    let secret = swift.other.key.as_str();
    let id = server.upload(&[], &pattern(LARGE, 1));
    let mut answers = vec![
        format!("{:?}", server.head(&id).headers),
        format!("{:?}", server.download(&id).headers),
        server.detail_of(&id).to_string(),
    ];
    gate.set(Mode::Closed);
    let away = server.request(&Request::get(&image_path(&id))).expect(503);
    answers.push(format!("{:?} {}", away.headers, away.text()));
    let refused = server.request(&post_data(&[], b"abc")).expect(503);
    answers.push(format!("{:?} {}", refused.headers, refused.text()));
    gate.set(Mode::Open);
    let metrics = server.connect_admin().request(&Request::get("/metrics"));
    answers.push(metrics.text().to_owned());
    server.kill();
    answers.push(server.log());
    for answer in answers {
        for word in [secret, "swift+config", "TEMP_other", "TEMP_tk"] {
            assert!(!answer.contains(word), "{word}: {answer}");
        }
    }
    let registry = std::fs::read_dir(server.data_dir().join("registry")).expect("a folder");
    for file in registry.flatten().filter(|file| file.path().is_file()) {
        let bytes = std::fs::read(file.path()).expect("readable");
        let mut windows = bytes.windows(secret.len());
        assert!(
            !windows.any(|window| window == secret.as_bytes()),
            "{file:?}"
        );
    }
}

/// Cuts downloads at several bytes.
#[test]
fn downloads_are_complete_or_cut() {
    let swift = Swift::shared();
    let container = Container::by_v1(swift, &swift.account);
    let gate = Gate::before(address_of(&swift.url));
    let server = container
        .node_by_v1(&gate.url(&swift.auth_url), &swift.account)
        // Swift itself detects a changed segment of a static object.
        .store_option("swift_store_large_object_manifest", "dlo")
        .start();
    let data = pattern(LARGE, 1);
    let id = server.upload(&[], &data);
    for after in [10_000, 1_500_000, 4 * MIB] {
        gate.cut(Way::Down, after);
        assert!(server.download(&id).expect(200).body == data, "{after}");
    }
    // The same length with one bit changed is never served completely.
    let segment = format!("/{}/{id}-00003", container.name);
    let look = &container.look;
    let mut bytes = look.ask("GET", &segment).expect(200).body;
    bytes[77] ^= 1;
    look.put(&segment, &bytes);
    let got = server.connect().exchange(&Request::get(&image_path(&id)));
    assert!(got.is_err(), "{:?}", got.map(|answer| answer.head));
    assert!(
        server
            .metrics()
            .contains("\nglance_integrity_failures_total 1\n")
    );
    server.expect_log("the MD5 of the store's object differs");
}
