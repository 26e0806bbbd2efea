//! Measures each list in every order, in both directions and from three markers, and reports the
//! slowest form.

use std::time::{Duration, Instant};

use glance::image::{ImageId, Query, SortDirection, SortKey};

/// Number of measurements of each form.
const TIMES: usize = 300;

/// One form of a list and its p99.
pub struct Slowest {
    pub p50: Duration,
    pub p99: Duration,
    pub form: String,
}

/// Returns the form of a list with the longest p99. `ask` executes a query; `markers` are images to
/// begin after, each with a label.
pub fn slowest(
    list: &Query,
    markers: &[(&str, ImageId)],
    mut ask: impl FnMut(&Query),
) -> Option<Slowest> {
    let from = [("the start", None)].into_iter();
    let from: Vec<_> = from
        .chain(markers.iter().map(|(name, id)| (*name, Some(*id))))
        .collect();
    let mut forms = Vec::new();
    for sort_key in SortKey::ALL {
        for sort_direction in [SortDirection::Ascending, SortDirection::Descending] {
            for (place, marker) in &from {
                let query = Query {
                    sort_keys: vec![(sort_key, sort_direction)],
                    marker: *marker,
                    ..list.clone()
                };
                let (p50, p99) = percentiles(|| ask(&query));
                let form = format!("{} {sort_direction:?} from {place}", sort_key.as_str());
                forms.push(Slowest { p50, p99, form });
            }
        }
    }
    forms.into_iter().max_by_key(|form| form.p99)
}

/// Returns the median and the p99.
fn percentiles(mut ask: impl FnMut()) -> (Duration, Duration) {
    let mut times: Vec<Duration> = (0..TIMES)
        .map(|_| {
            let begun = Instant::now();
            ask();
            begun.elapsed()
        })
        .collect();
    times.sort_unstable();
    (times[TIMES / 2], times[TIMES * 99 / 100])
}
