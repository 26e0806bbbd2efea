//! Sources that clients name, and the quota of their owner.

use super::{COPY_FROM, LOCATION, end_of_copy, from, from_with, honest, open_setup};
use crate::support::eventually;
use crate::support::server::Server;
use crate::support::v1::{id_of, put};

const QUOTA: u64 = 1 << 20;
const HALF: u64 = QUOTA / 2;
const RACERS: usize = 50;

fn limited() -> Server {
    open_setup().option("user_storage_quota", "1MB").start()
}

/// The source is refused at once, whether the data stay there or are copied, and no image is
/// created.
#[test]
fn a_source_that_does_not_fit_is_refused_at_once() {
    let node = limited();
    let (whole, half, one) = (honest(QUOTA + 1), honest(HALF), honest(1));
    for header in [LOCATION, COPY_FROM] {
        let id = uuid::Uuid::new_v4().to_string();
        let refused = from_with(header, &whole.url("/i"), &[("x-image-meta-id", &id)]);
        let text = node.request(&refused).expect(413).text().to_owned();
        let words = "The size of the data 1048577 will exceed the limit.";
        assert!(text.contains(words), "{text}");
        node.head(&id).expect(404);
        let queued = node.reserve();
        let late = put(&queued, &[(header, &whole.url("/i"))]);
        node.request(&late).expect(413);
        assert_eq!(node.status_of(&queued), "queued");
        // A source that fits is still accepted.
        let fits = put(&queued, &[(header, &half.url("/i"))]);
        node.request(&fits).expect(200);
        assert_eq!(end_of_copy(&node, &queued), "active");
    }
    node.request(&from(LOCATION, &one.url("/i"))).expect(413);
    node.request(&from(COPY_FROM, &one.url("/i"))).expect(413);
    assert_eq!(node.stored_files().len(), 1);
}

#[test]
fn concurrent_copies_share_the_quota() {
    let (node, origin) = (limited(), honest(HALF));
    for _ in 0..3 {
        let copy = || node.request(&from(COPY_FROM, &origin.url("/i")));
        let answers: Vec<_> = std::thread::scope(|scope| {
            let racers: Vec<_> = (0..RACERS).map(|_| scope.spawn(copy)).collect();
            racers.into_iter().map(|r| r.join().unwrap()).collect()
        });
        let won: Vec<_> = answers
            .iter()
            .filter(|a| a.status == 201)
            .map(id_of)
            .collect();
        let lost = answers.iter().filter(|a| a.status == 413).count();
        assert_eq!((won.len(), lost), (2, RACERS - 2));
        for id in &won {
            assert_eq!(end_of_copy(&node, id), "active");
        }
        let stored: u64 = node.stored_files().iter().map(|(_, size)| size).sum();
        assert_eq!(stored, QUOTA);
        won.iter().for_each(|id| drop(node.remove(id).expect(200)));
        eventually("all is gone", || {
            node.stored_files().is_empty().then_some(())
        });
    }
}

#[test]
fn queued_copy_reserves_its_quota() {
    let node = open_setup()
        .option("user_storage_quota", "1MB")
        .option("copy_from_limit", 1);
    let (node, origin) = (node.start(), honest(HALF));
    let first = id_of(
        &node
            .request(&from(COPY_FROM, &origin.url("/i")))
            .expect(201),
    );
    let second = id_of(
        &node
            .request(&from(COPY_FROM, &origin.url("/i")))
            .expect(201),
    );
    node.request(&from(COPY_FROM, &origin.url("/i")))
        .expect(413);
    for id in [&first, &second] {
        assert_eq!(end_of_copy(&node, id), "active");
    }
    node.request(&from(COPY_FROM, &origin.url("/i")))
        .expect(413);
}
