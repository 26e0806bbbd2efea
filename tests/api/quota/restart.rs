//! Usage is correct after a restart, however the process ended.

use super::{QUOTA, counted_bytes, limited, sized};
use crate::support::http::{Connection, chunk_bytes};
use crate::support::server::Server;
use crate::support::v1::{OCTETS, put};
use crate::support::{eventually, within};

/// An upload that the end of the server interrupts.
fn cut_off(server: &Server, announced: Option<u64>) -> Connection {
    let id = server.reserve();
    let before = counted_bytes(server);
    let mut connection = server.connect();
    let head = put(&id, &[OCTETS]);
    let piece = vec![7; 20_000];
    match announced {
        Some(len) => {
            connection.send_head(&head.announce(len)).unwrap();
            connection.send_bytes(&piece).unwrap();
        }
        None => {
            connection.send_head(&head.announce_chunks()).unwrap();
            connection.send_bytes(&chunk_bytes(&piece)).unwrap();
        }
    }
    eventually("it counts", || {
        (counted_bytes(server) >= before + 20_000).then_some(())
    });
    connection
}

#[test]
fn usage_survives_a_restart_and_ends_with_the_image() {
    let mut server = limited().start();
    server.request(&sized(&[], 30_000)).expect(201);
    for _ in 0..4 {
        let uploads = [cut_off(&server, Some(25_000)), cut_off(&server, None)];
        server.kill();
        drop(uploads);
        server.start();
        // The quota is released after a moment, even while the remains are being removed.
        let answer = server.request(&sized(&[], QUOTA - 30_000 + 1));
        assert_eq!(answer.status, 413, "what is stored counts");
        let id = {
            let answer = server.request(&sized(&[], QUOTA - 30_000)).expect(201);
            crate::support::v1::id_of(&answer)
        };
        server.request(&sized(&[], 1)).expect(413);
        server.remove(&id).expect(200);
        within(crate::support::PATIENCE, "it is gone", || {
            counted_bytes(&server) == 30_000
        });
        assert_eq!(server.stored_files().len(), 1);
    }
}

#[test]
fn lowered_limit_refuses_growth_only() {
    let mut server = limited().start();
    let id = crate::support::v1::id_of(&server.request(&sized(&[], QUOTA)).expect(201));
    server.set_up(|setup| setup.option("user_storage_quota", "10KB"));
    server.restart();
    server.request(&sized(&[], 1)).expect(413);
    assert_eq!(server.download(&id).expect(200).body.len(), QUOTA);
    server.remove(&id).expect(200);
    server.request(&sized(&[], 10 << 10)).expect(201);
    server.request(&sized(&[], 1)).expect(413);
}
