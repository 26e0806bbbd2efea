//! Each list in every order, both directions, and from three places: what its slowest form
//! takes.

use std::time::{Duration, Instant};

use glance::image::{ImageId, Query, SortDirection, SortKey};

/// How often each form of a list is asked for, to find the slowest.
const TRIALS: usize = 50;

/// How often the slowest is asked for then.
const TIMES: usize = 2_000;

/// What the form of a list takes that takes longest.
pub struct Slowest {
    pub p50: Duration,
    pub p99: Duration,
    pub form: String,
}

/// Finds the form of a list that takes longest. `ask` answers it; `markers` are images to
/// begin behind, each with what to call it.
pub fn slowest(
    list: &Query,
    markers: &[(&str, ImageId)],
    mut ask: impl FnMut(&Query),
) -> Option<Slowest> {
    let trials = forms(list, markers).into_iter().map(|(form, query)| {
        let p50 = percentile(&times(TRIALS, || ask(&query)), 50);
        (p50, form, query)
    });
    let (_, form, query) = trials.max_by_key(|(p50, ..)| *p50)?;
    let times = times(TIMES, || ask(&query));
    Some(Slowest {
        p50: percentile(&times, 50),
        p99: percentile(&times, 99),
        form,
    })
}

/// Every order, direction and place to begin at.
fn forms(list: &Query, markers: &[(&str, ImageId)]) -> Vec<(String, Query)> {
    let mut begins = vec![("the start", None)];
    begins.extend(markers.iter().map(|(name, id)| (*name, Some(*id))));
    let mut forms = Vec::new();
    for sort_key in SortKey::ALL {
        for sort_direction in [SortDirection::Ascending, SortDirection::Descending] {
            for (begin, marker) in begins.iter().copied() {
                let query = Query {
                    sort_key,
                    sort_direction,
                    marker,
                    ..list.clone()
                };
                let form = format!("{} {sort_direction:?} from {begin}", sort_key.as_str());
                forms.push((form, query));
            }
        }
    }
    forms
}

/// How long each of several calls takes, ascending.
fn times(count: usize, mut call: impl FnMut()) -> Vec<Duration> {
    let time = |_| {
        let begun = Instant::now();
        call();
        begun.elapsed()
    };
    let mut times: Vec<Duration> = (0..count).map(time).collect();
    times.sort_unstable();
    times
}

fn percentile(ascending: &[Duration], percent: usize) -> Duration {
    let position = ascending.len() * percent / 100;
    ascending.get(position).copied().unwrap_or_default()
}
