//! Queued images are downloaded in advance.

use serde_json::json;

use super::listed::{QUEUED, ask, cached, queued};
use super::node::{MIB, answers, caching, locate, metric, patient};
use super::reader::read_image;
use crate::support::eventually;
use crate::support::origin::Origin;
use crate::support::origin::answer::{Answer, Hold};
use crate::support::origin::content::Content;
use crate::support::v1::{id_of, post_data};

#[test]
fn queued_image_is_prefetched() {
    let node = caching().start();
    let content = Content::new(5, MIB);
    let origin = Origin::start(content, |_| Answer::whole());
    let id = locate(&node, &origin);
    for _ in 0..2 {
        let queued = ask(&node, "PUT", &format!("{QUEUED}/{id}")).expect(200);
        assert_eq!(queued.text(), "null");
    }
    eventually("it is kept", || (cached(&node).len() == 1).then_some(()));
    eventually("the queue is empty", || {
        (queued(&node) == json!([])).then_some(())
    });
    assert!(read_image(node.address(), &id, &origin.content.all()).is_good());
    assert_eq!((answers(&node, "hit"), answers(&node, "miss")), (1, 0));
    // Cached images are not queued; images without remote data are not downloaded.
    ask(&node, "PUT", &format!("{QUEUED}/{id}")).expect(200);
    assert_eq!(queued(&node), json!([]));
    let local = id_of(&node.request(&post_data(&[], b"here")).expect(201));
    for id in [&*local, "00000000-0000-0000-0000-000000000000", "no-id"] {
        ask(&node, "PUT", &format!("{QUEUED}/{id}")).expect(200);
    }
    eventually("the queue is empty", || {
        (queued(&node) == json!([])).then_some(())
    });
    assert_eq!(cached(&node).len(), 1);
}

/// An origin that sends the first bytes and holds the rest back.
fn held(seed: u64, hold: &Hold) -> Origin {
    let hold = hold.clone();
    Origin::start(Content::new(seed, MIB), move |seen| match &*seen.method {
        "GET" => Answer::whole().hold_after(1000, &hold),
        _ => Answer::whole(),
    })
}

#[test]
fn two_images_are_prefetched_at_a_time() {
    let node = patient().start();
    let holds = [Hold::default(), Hold::default(), Hold::default()];
    let origins = [0, 1, 2].map(|index| held(index, &holds[index as usize]));
    let ids = [0, 1, 2].map(|index: usize| locate(&node, &origins[index]));
    for id in &ids {
        ask(&node, "PUT", &format!("{QUEUED}/{id}")).expect(200);
    }
    let fetching = |index: usize| {
        eventually("it is being fetched", || {
            (origins[index].count("GET") == 1).then_some(())
        });
    };
    fetching(0);
    fetching(1);
    assert_eq!(metric(&node, "glance_cache_fills_in_flight"), 2);
    assert_eq!(metric(&node, "glance_cache_queued_images"), 3);
    let filling = "glance_cache_bytes{state=\"filling\"}";
    assert_eq!(metric(&node, filling), 2 * MIB);
    assert_eq!((origins[2].count("GET"), queued(&node)), (0, json!(ids)));
    holds[1].release();
    fetching(2);
    eventually("one is kept", || {
        (queued(&node) == json!([ids[0], ids[2]])).then_some(())
    });
    assert_eq!(cached(&node).len(), 1);
    assert_eq!(metric(&node, "glance_cache_images"), 1);
    for hold in holds {
        hold.release();
    }
    eventually("all are kept", || (cached(&node).len() == 3).then_some(()));
    assert_eq!(answers(&node, "miss"), 0);
    assert_eq!(metric(&node, "glance_cache_filled_bytes_total"), 3 * MIB);
    eventually("nothing is under way or queued", || {
        let ended = metric(&node, "glance_cache_fill_duration_seconds_count");
        let left = [
            "glance_cache_fills_in_flight",
            "glance_cache_queued_images",
            filling,
        ];
        (ended == 3 && left.map(|name| metric(&node, name)) == [0; 3]).then_some(())
    });
    assert!(metric(&node, "glance_cache_limit_bytes") >= 3 * MIB);
}

#[test]
fn queue_keeps_its_order_across_a_restart() {
    let mut node = patient().option("image_cache_prefetches", 1).start();
    let hanging = held(6, &Hold::default());
    let honest = Origin::honest(Content::new(7, MIB));
    let ids = [
        locate(&node, &hanging),
        locate(&node, &honest),
        locate(&node, &honest),
        locate(&node, &honest),
    ];
    for id in &ids {
        ask(&node, "PUT", &format!("{QUEUED}/{id}")).expect(200);
    }
    assert_eq!(queued(&node), json!(ids));
    node.kill();
    node.start();
    assert_eq!(queued(&node), json!(ids));
    ask(&node, "DELETE", &format!("{QUEUED}/{}", ids[2])).expect(200);
    assert_eq!(queued(&node), json!([ids[0], ids[1], ids[3]]));
    let deleted = ask(&node, "DELETE", QUEUED).expect(200).json();
    assert_eq!(deleted, json!({ "num_deleted": 3 }));
    assert_eq!(queued(&node), json!([]));
}
