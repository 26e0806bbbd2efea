//! Cached handles of the metrics that every request updates. Each thread looks a handle up once,
//! because a lookup by labels takes locks and hashes strings.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

use super::names::{
    FIRST_BYTE, REQUEST_DURATION, REQUESTS, REQUESTS_IN_FLIGHT, TOKEN_CHECKS, TRANSFER_BYTES,
    TRANSFERS_IN_FLIGHT,
};
use super::transfers::Direction;

const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// The metrics of one route and method.
struct Route {
    counters: [OnceCell<Counter>; CLASSES.len()],
    duration: Histogram,
}

/// The labels of transferred bytes: direction, store, and source (store or cache).
type TransferLabels = (Direction, &'static str, &'static str);

thread_local! {
    static ROUTES: RefCell<HashMap<(&'static str, &'static str), Route>> = RefCell::default();
    static IN_FLIGHT: Gauge = gauge!(REQUESTS_IN_FLIGHT);
    static TRANSFER_ROADS: RefCell<HashMap<TransferLabels, Counter>> = RefCell::default();
    static TRANSFERS: RefCell<HashMap<Direction, Gauge>> = RefCell::default();
    static FIRST_BYTES: Histogram = histogram!(FIRST_BYTE);
    static TOKENS: RefCell<HashMap<&'static str, Counter>> = RefCell::default();
}

/// Counts a response.
pub(super) fn request(route: &'static str, method: &'static str, status: u16, took: Duration) {
    let class = usize::from(status / 100).clamp(1, CLASSES.len()) - 1;
    ROUTES.with_borrow_mut(|routes| {
        let handles = routes.entry((route, method)).or_insert_with(|| Route {
            counters: Default::default(),
            duration: histogram!(REQUEST_DURATION, "route" => route, "method" => method),
        });
        let counter = handles.counters[class].get_or_init(
            || counter!(REQUESTS, "route" => route, "method" => method, "code" => CLASSES[class]),
        );
        counter.increment(1);
        handles.duration.record(took);
    });
}

/// Counts a request with a token.
pub(super) fn token_check(result: &'static str) {
    TOKENS.with_borrow_mut(|tokens| {
        let counter = tokens
            .entry(result)
            .or_insert_with(|| counter!(TOKEN_CHECKS, "result" => result));
        counter.increment(1);
    });
}

/// Changes the number of requests in flight.
pub(super) fn requests_in_flight(change: impl FnOnce(&Gauge)) {
    IN_FLIGHT.with(change);
}

/// Returns the counter of transferred bytes with these labels.
pub(super) fn transfer_bytes(
    direction: Direction,
    store: &'static str,
    source: &'static str,
) -> Counter {
    TRANSFER_ROADS.with_borrow_mut(|roads| {
        let counter = roads.entry((direction, store, source)).or_insert_with(|| {
            counter!(
                TRANSFER_BYTES,
                "direction" => direction.as_str(), "store" => store, "source" => source
            )
        });
        counter.clone()
    })
}

/// Changes the number of transfers in progress.
pub(super) fn transfers_in_flight(direction: Direction, change: impl FnOnce(&Gauge)) {
    TRANSFERS.with_borrow_mut(|gauges| {
        let gauge = gauges
            .entry(direction)
            .or_insert_with(|| gauge!(TRANSFERS_IN_FLIGHT, "direction" => direction.as_str()));
        change(gauge);
    });
}

/// Records the time until the first byte of a download.
pub(super) fn first_byte(took: Duration) {
    FIRST_BYTES.with(|histogram| histogram.record(took));
}
