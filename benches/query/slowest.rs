//! Each list in every order, both directions, and from three places: what its slowest form
//! takes.

use std::time::{Duration, Instant};

use glance::image::{ImageId, Query, SortDirection, SortKey};

/// How often each form of a list is asked for.
const TIMES: usize = 300;

/// One form of a list and the time within which 99 of 100 are answered.
pub struct Slowest {
    pub p50: Duration,
    pub p99: Duration,
    pub form: String,
}

/// The form of a list with the longest p99. `ask` answers it; `markers` are images to begin
/// behind, each with what to call it.
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

/// Half of the times are within the first, 99 of 100 within the second.
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
