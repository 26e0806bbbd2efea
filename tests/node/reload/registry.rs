//! Work of the old process after the new one has taken over the registry.

use serde_json::json;

use super::LIMIT;
use crate::support::http::{Connection, LAST_CHUNK, Request, chunk_bytes};
use crate::support::server::{Server, Setup};
use crate::support::v1::{OCTETS, RAW, image_path, post, put};
use crate::support::{eventually, pattern};

fn start() -> Server {
    Setup::new().with_pid_file().start()
}

/// Starts an upload.
fn begin_upload(server: &Server) -> (String, Connection) {
    let id = uuid::Uuid::new_v4().to_string();
    let mut connection = server.connect();
    let head = post(RAW).headers(&[OCTETS, ("x-image-meta-id", &id)]);
    let head = head.header("Transfer-Encoding", "chunked");
    connection.send_head(&head).unwrap();
    connection.send_bytes(&chunk_bytes(b"before ")).unwrap();
    eventually("it is saving", || {
        (server.head(&id).status == 200).then_some(())
    });
    (id, connection)
}

#[test]
fn uploads_continue_over_two_reloads() {
    let mut server = start();
    let (first, mut first_connection) = begin_upload(&server);
    server.reload();
    assert_eq!(
        server.status_of(&first),
        "saving",
        "the upload was not killed"
    );
    let (second, mut second_connection) = begin_upload(&server);
    server.reload();
    for (id, connection) in [
        (&second, &mut second_connection),
        (&first, &mut first_connection),
    ] {
        assert_eq!(server.status_of(id), "saving");
        connection.send_bytes(&chunk_bytes(b"after")).unwrap();
        connection.send_bytes(LAST_CHUNK).unwrap();
        let answer = connection.read_response("POST").unwrap().expect(201);
        assert_eq!(answer.header("connection"), Some("close"));
        assert_eq!(server.download(id).expect(200).body, b"before after");
    }
    server.await_retired(LIMIT);
    assert_eq!(server.stop().unwrap().code(), Some(0));
    server.start();
    assert_eq!(server.download(&first).expect(200).body, b"before after");
}

#[test]
fn connection_gets_one_last_correct_response() {
    let mut server = start();
    let id = server.create(&[]);
    let mut quiet = server.connect();
    quiet.request(&Request::head(&image_path(&id))).expect(200);
    let mut fresh = server.connect();
    server.reload();
    server
        .request(&put(&id, &[("x-image-meta-name", "new")]))
        .expect(200);
    for connection in [&mut quiet, &mut fresh] {
        let answer = connection.request(&Request::head(&image_path(&id)));
        let answer = answer.expect(200);
        assert_eq!(answer.header("x-image-meta-name"), Some("new"));
        assert_eq!(answer.header("connection"), Some("close"));
        assert!(connection.is_closed_by_server());
    }
    server.await_retired(LIMIT);
}

#[test]
fn leftovers_of_a_killed_predecessor_are_cleaned_up() {
    let mut server = start();
    let (id, _connection) = begin_upload(&server);
    server.reload();
    assert_eq!(server.status_of(&id), "saving");
    server.kill_retired();
    eventually("the upload is over", || {
        (server.status_of(&id) == "killed").then_some(())
    });
    eventually("nothing is left of it", || {
        server.stored_files().is_empty().then_some(())
    });
}

#[test]
fn valid_configuration_is_applied_and_invalid_one_rejected() {
    let mut server = start();
    let data = pattern(2000, 1);
    let too_large = |server: &Server| {
        let answer = server.request(&crate::support::v1::post_data(&[], &data));
        answer.status == 413
    };
    assert!(!too_large(&server));
    let pid = server.pid();
    server.set_up(|setup| setup.option("image_size_cap", "nonsense"));
    server.write_config();
    server.signal("USR2");
    eventually("the server logs that it continues", || {
        server
            .log()
            .contains("this process continues")
            .then_some(())
    });
    assert!(!too_large(&server));
    assert_eq!(server.pid_in_file(), Some(pid));
    server.set_up(|setup| setup.option("image_size_cap", 1000));
    server.write_config();
    server.reload();
    assert_ne!(server.pid(), pid);
    assert!(too_large(&server));
}

#[test]
fn successor_that_cannot_open_the_registry_returns_it() {
    let mut server = start();
    let id = server.create(&[("x-image-meta-name", "kept")]);
    // The configuration is valid except that the registry's folder is a file.
    let file = server.folder().join("a-file");
    std::fs::write(&file, "").unwrap();
    server.set_up(|setup| setup.option("registry_dir", file.display()));
    server.write_config();
    server.signal("USR2");
    eventually("the server logs that it continues", || {
        server
            .log()
            .contains("this process continues")
            .then_some(())
    });
    assert_eq!(server.detail_of(&id)["name"], json!("kept"));
    server.create(&[]);
}
