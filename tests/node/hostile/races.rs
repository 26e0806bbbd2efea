//! Concurrent requests for one image.

use std::time::{Duration, Instant};

use super::{assert_alive, assert_only};
use crate::support::PATIENCE;
use crate::support::bytes::{Chance, md5_hex};
use crate::support::http::Request;
use crate::support::server::Setup;
use crate::support::v1::{UPLOAD, id_of};

const DELETIONS: usize = 200;
/// Far below the longest silence of a sender (60 s), but long enough for a busy machine.
const PROMPT: Duration = Duration::from_secs(10);

#[test]
fn deletion_stops_the_upload_and_leaves_no_data() {
    let mut node = Setup::new().start();
    let mut chance = Chance::new(5);
    let body = chance.bytes(900_000);
    for round in 0..DELETIONS {
        let id = chance.uuid();
        let mut wire = node.connect();
        let headers = format!("{UPLOAD}\r\nx-image-meta-id: {id}");
        let request = Request::post("/v1/images").lines(&headers);
        wire.send_head(&request.announce(1_000_000)).expect("sent");
        let part = chance.below(body.len() as u64) as usize;
        wire.send_bytes(&body[..part]).expect("sent");
        // The record exists before the first byte is received; the head may still be in transit.
        let path = format!("/v1/images/{id}");
        let deleted = Instant::now();
        while node.ask("DELETE", &path, "", b"").status != 200 {
            assert!(deleted.elapsed() < PATIENCE, "never there to delete");
        }
        let deleted_at = Instant::now();
        // Half of the clients keep sending, half wait.
        if round % 2 == 0 {
            let _ = wire.send_bytes(&body[part..]);
        }
        let answer = wire
            .read_response("POST")
            .expect("a response to the upload");
        assert_eq!(answer.status, 412, "{}", answer.text());
        assert!(
            deleted_at.elapsed() < PROMPT,
            "response after {:?}",
            deleted_at.elapsed()
        );
        assert_eq!(node.head(&id).image_status(), Some("deleted"));
    }
    assert_only(&node, &[]);
    assert_alive(&mut node);
}

#[test]
fn one_of_many_uploads_to_an_image_wins() {
    const ROUNDS: usize = 3;
    const RACERS: usize = 100;
    let node = Setup::new().start();
    let mut chance = Chance::new(6);
    for _ in 0..ROUNDS {
        let reserved = "x-image-meta-disk_format: raw\r\nx-image-meta-container_format: bare";
        let id = id_of(&node.ask("POST", "/v1/images", reserved, b""));
        let bodies: Vec<Vec<u8>> = (0..RACERS).map(|_| chance.bytes(200_000)).collect();
        let path = format!("/v1/images/{id}");
        let statuses: Vec<u16> = std::thread::scope(|scope| {
            let racers: Vec<_> = bodies
                .iter()
                .map(|body| scope.spawn(|| node.ask("PUT", &path, UPLOAD, body).status))
                .collect();
            racers
                .into_iter()
                .map(|racer| racer.join().expect("a racer"))
                .collect()
        });
        let winners: Vec<usize> = (0..RACERS)
            .filter(|racer| statuses[*racer] == 200)
            .collect();
        assert_eq!(winners.len(), 1, "{statuses:?}");
        let others = statuses.iter().filter(|status| **status == 409).count();
        assert_eq!(others, RACERS - 1, "{statuses:?}");
        let answer = node.download(&id);
        assert!(answer.body == bodies[winners[0]]);
        let checksum = md5_hex(&answer.body);
        assert_eq!(
            answer.header("x-image-meta-checksum"),
            Some(checksum.as_str())
        );
    }
    assert_eq!(node.stored_files().len(), ROUNDS);
}
