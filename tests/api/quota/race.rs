//! Concurrent uploads, each of half the quota.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::{chunked, counted_bytes, limited, sized};
use crate::support::http::{Request, Response};
use crate::support::server::Server;
use crate::support::v1::{OCTETS, id_of, put, put_data};

const QUOTA: usize = 1 << 20;
const HALF: usize = QUOTA / 2;
const RACERS: usize = 50;
const ROUNDS: usize = 4;

/// Starts all requests at the same time and returns their responses. Meanwhile the usage is polled
/// and must never exceed the quota.
fn race(server: &Server, upload: impl Fn(usize) -> Request + Sync) -> Vec<Response> {
    let (start, most, ended) = (
        Barrier::new(RACERS),
        AtomicUsize::new(0),
        AtomicBool::new(false),
    );
    let (start, upload) = (&start, &upload);
    let answers = std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                most.fetch_max(counted_bytes(server), Ordering::Relaxed);
            }
        });
        let racer = |number| {
            let request = upload(number);
            let mut connection = server.connect();
            start.wait();
            connection.request(&request)
        };
        let racers: Vec<_> = (0..RACERS)
            .map(|number| scope.spawn(move || racer(number)))
            .collect();
        let answers = racers.into_iter().map(|racer| racer.join().unwrap());
        let answers: Vec<_> = answers.collect();
        ended.store(true, Ordering::Relaxed);
        watcher.join().unwrap();
        answers
    });
    let most = most.into_inner();
    assert!(most <= QUOTA, "{most} bytes counted");
    assert!(most >= HALF, "nobody was seen");
    answers
}

/// Checks a round: the stored bytes are within the quota and equal to the acknowledged ones, and
/// are removed afterwards.
fn settle(server: &Server, answers: &[Response], good: u16) -> usize {
    let bytes: u64 = server.stored_files().iter().map(|(_, size)| size).sum();
    assert!(bytes <= QUOTA as u64, "{bytes} bytes stored");
    let refused = |answer: &&Response| answer.status == 413;
    let won: Vec<_> = answers.iter().filter(|a| a.status == good).collect();
    let lost = answers.iter().filter(refused).count();
    assert_eq!(won.len() + lost, RACERS);
    assert_eq!(counted_bytes(server), won.len() * HALF);
    for answer in &won {
        let id = id_of(answer);
        assert_eq!(server.download(&id).expect(200).body.len(), HALF);
        server.remove(&id).expect(200);
    }
    crate::support::eventually("all is gone", || {
        (counted_bytes(server) == 0 && server.stored_files().is_empty()).then_some(())
    });
    won.len()
}

fn server() -> Server {
    limited().option("user_storage_quota", "1MB").start()
}

#[test]
fn racing_uploads_of_known_length_fill_the_quota_exactly() {
    let server = server();
    for _ in 0..ROUNDS {
        let answers = race(&server, |_| sized(&[], HALF));
        assert_eq!(settle(&server, &answers, 201), 2);
    }
}

#[test]
fn racing_uploads_of_unknown_length_stay_within_the_quota() {
    let server = server();
    for round in 0..ROUNDS {
        let answers = race(&server, |_| chunked(&[], HALF));
        let won = settle(&server, &answers, 201);
        eprintln!("round {round}: {won} of {RACERS} chunked uploads fit");
        assert!((1..=2).contains(&won));
    }
}

#[test]
fn racing_uploads_of_both_kinds_stay_within_the_quota() {
    let server = server();
    for _ in 0..ROUNDS {
        let answers = race(&server, |number| match number % 2 {
            0 => sized(&[], HALF),
            _ => chunked(&[], HALF),
        });
        assert!((1..=2).contains(&settle(&server, &answers, 201)));
    }
}

#[test]
fn racing_uploads_to_queued_images_fill_the_quota_exactly() {
    let server = server();
    let data = vec![7; HALF];
    for _ in 0..ROUNDS {
        let ids: Vec<_> = (0..RACERS).map(|_| server.reserve()).collect();
        let answers = race(&server, |number| put_data(&ids[number], &[], &data));
        assert_eq!(settle(&server, &answers, 200), 2);
    }
    let ids: Vec<_> = (0..RACERS).map(|_| server.reserve()).collect();
    let answers = race(&server, |number| {
        put(&ids[number], &[OCTETS]).chunked(data.chunks(10_000))
    });
    assert!((1..=2).contains(&settle(&server, &answers, 200)));
}
