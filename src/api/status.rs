//! The operator's status page: cache, transfers, throughput and recent errors, as one HTML page
//! without scripts. It is rendered per request, and the browser reloads it by itself.

use std::fmt::{self, Write};
use std::time::Duration;

use http::{HeaderName, HeaderValue, StatusCode};

use super::errors::escape;
use super::response::{ApiResponse, HTML};
use crate::cache::{Cache, FillProgress};
use crate::log::{RecentError, recent_errors};
use crate::metrics::{Direction, Throughput, TransferView, throughput, transfers};
use crate::service::Service;

/// Most transfers that are listed one by one.
const MOST_SHOWN: usize = 100;

/// Content security policy: no external content, no scripts, no embedding in frames.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
);

const HEAD: &str = "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\">\
<meta http-equiv=\"refresh\" content=\"2\"><title>Glance node</title><style>\
body{font:15px system-ui,sans-serif;margin:2em;max-width:70em;color:#222}\
h2{font-size:1.1em;margin:1.6em 0 .4em}table{border-collapse:collapse;width:100%}\
th,td{text-align:left;padding:.25em .8em .25em 0;border-bottom:1px solid #ddd;\
font-variant-numeric:tabular-nums}th{font-weight:600}code{font-size:.95em}\
progress{width:12em;vertical-align:middle}p{margin:.3em 0}\
</style></head><body><h1>Glance node</h1>";

/// Returns the page.
pub(super) fn page(service: Option<&Service>) -> ApiResponse {
    let mut html = HEAD.to_owned();
    // Writing to a String cannot fail.
    let _ = write_page(&mut html, service.and_then(Service::cache));
    ApiResponse::of(StatusCode::OK, HTML, html)
        .with_value(http::header::CONTENT_SECURITY_POLICY, POLICY)
        .with_value(
            http::header::CACHE_CONTROL,
            HeaderValue::from_static("no-store"),
        )
        .with_value(
            HeaderName::from_static("x-content-type-options"),
            HeaderValue::from_static("nosniff"),
        )
}

fn write_page(html: &mut String, cache: Option<&Cache>) -> fmt::Result {
    html.push_str("<h2>Image cache</h2>");
    match cache {
        Some(cache) => write_cache(html, cache)?,
        None => html.push_str("<p id=\"cache\">This node has none.</p>"),
    }
    html.push_str("<h2>Transfers</h2>");
    write_transfers(html, &transfers())?;
    html.push_str("<h2>Stores</h2>");
    write_stores(html, &throughput())?;
    html.push_str("<h2>Last errors</h2>");
    write_errors(html, &recent_errors())?;
    html.push_str("</body></html>");
    Ok(())
}

fn write_cache(html: &mut String, cache: &Cache) -> fmt::Result {
    let (space, images) = cache.space_used();
    let (used, limit) = (
        space.cached_bytes + space.filling_bytes + space.evicted_open_bytes,
        cache.options().max_bytes,
    );
    write!(
        html,
        "<p id=\"cache\"><progress max=\"{limit}\" value=\"{used}\"></progress> {} of {}, \
         <b id=\"cached\">{images}</b> images, {} queued</p>\
         <p>kept {}, being fetched {}, removed but still read {}</p>",
        Bytes(used as f64),
        Bytes(limit as f64),
        cache.queue().images().len(),
        Bytes(space.cached_bytes as f64),
        Bytes(space.filling_bytes as f64),
        Bytes(space.evicted_open_bytes as f64),
    )?;
    let fills = cache.fills();
    if fills.is_empty() {
        return Ok(());
    }
    html.push_str("<table id=\"fills\"><tr><th>Fetching<th>Of<th>Done<th>Rate<th>Left</tr>");
    for FillProgress {
        image,
        size_bytes,
        available_bytes,
        elapsed,
    } in fills
    {
        let progress = ProgressCells::new(available_bytes, Some(size_bytes), elapsed);
        let size = Bytes(size_bytes as f64);
        write!(
            html,
            "<tr><td><code>{image}</code><td>{size}{progress}</tr>"
        )?;
    }
    html.push_str("</table>");
    Ok(())
}

fn write_transfers(html: &mut String, transfers: &[TransferView]) -> fmt::Result {
    let count = transfers.len();
    write!(html, "<p><b id=\"transfers\">{count}</b> under way</p>")?;
    if transfers.is_empty() {
        return Ok(());
    }
    html.push_str("<table><tr><th>Image<th>Way<th>Store<th>Size<th>Done<th>Rate<th>Left</tr>");
    for transfer in transfers.iter().take(MOST_SHOWN) {
        let progress =
            ProgressCells::new(transfer.moved_bytes, transfer.total_bytes, transfer.took);
        write!(
            html,
            "<tr><td><code>{}</code><td>{}<td>{}<td>{}{progress}</tr>",
            transfer.image,
            way(transfer.direction),
            transfer.store,
            Known(transfer.total_bytes.map(|total| Bytes(total as f64))),
        )?;
    }
    html.push_str("</table>");
    if let Some(more) = count.checked_sub(MOST_SHOWN).filter(|more| *more > 0) {
        write!(html, "<p>and {more} more</p>")?;
    }
    Ok(())
}

fn write_stores(html: &mut String, stores: &[Throughput]) -> fmt::Result {
    if stores.is_empty() {
        html.push_str("<p>Nothing was moved yet.</p>");
        return Ok(());
    }
    html.push_str("<table id=\"stores\"><tr><th>Store<th>Way<th>Now<th>In all</tr>");
    for moved in stores {
        write!(
            html,
            "<tr><td>{}<td>{}<td>{}/s<td>{}</tr>",
            moved.store,
            way(moved.direction),
            Bytes(moved.rate_bytes),
            Bytes(moved.total_bytes as f64),
        )?;
    }
    html.push_str("</table>");
    Ok(())
}

fn write_errors(html: &mut String, errors: &[RecentError]) -> fmt::Result {
    if errors.is_empty() {
        html.push_str("<p>None.</p>");
        return Ok(());
    }
    html.push_str("<table id=\"errors\">");
    for RecentError { time, message } in errors {
        let (time, message) = (escape(time), escape(message));
        write!(html, "<tr><td>{time}<td>{message}</tr>")?;
    }
    html.push_str("</table>");
    Ok(())
}

fn way(direction: Direction) -> &'static str {
    match direction {
        Direction::Upload => "in",
        Direction::Download => "out",
    }
}

/// Progress of a transfer, formatted as three table cells: bytes done, rate, time left.
struct ProgressCells {
    moved_bytes: u64,
    rate_bytes: f64,
    left: Option<Duration>,
}

impl ProgressCells {
    fn new(moved_bytes: u64, total_bytes: Option<u64>, took: Duration) -> Self {
        let rate_bytes = moved_bytes as f64 / took.as_secs_f64().max(1e-3);
        let left_bytes = total_bytes.map(|total| total.saturating_sub(moved_bytes));
        let left = left_bytes.filter(|_| moved_bytes > 0);
        let left = left.and_then(|left| Duration::try_from_secs_f64(left as f64 / rate_bytes).ok());
        Self {
            moved_bytes,
            rate_bytes,
            left,
        }
    }
}

impl fmt::Display for ProgressCells {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (moved, rate) = (Bytes(self.moved_bytes as f64), Bytes(self.rate_bytes));
        let left = Known(self.left.map(|left| Seconds(left.as_secs())));
        write!(f, "<td>{moved}<td>{rate}/s<td>{left}")
    }
}

/// Formats an optional value; `None` as 'not known'.
struct Known<T>(Option<T>);

impl<T: fmt::Display> fmt::Display for Known<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(value) => value.fmt(f),
            None => f.write_str("not known"),
        }
    }
}

struct Seconds(u64);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            s @ ..60 => write!(f, "{s} s"),
            s => write!(f, "{} min {} s", s / 60, s % 60),
        }
    }
}

/// Formats a number of bytes with a binary unit.
struct Bytes(f64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
        let (mut value, mut unit) = (self.0, 0);
        while value >= 1024.0 && unit + 1 < UNITS.len() {
            value /= 1024.0;
            unit += 1;
        }
        let decimals = usize::from(unit > 0);
        write!(f, "{value:.decimals$} {}", UNITS[unit])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_durations_have_units() {
        assert_eq!(Bytes(1023.0).to_string(), "1023 B");
        assert_eq!(Bytes(1536.0).to_string(), "1.5 KiB");
        assert_eq!(Bytes(5e15).to_string(), "4547.5 TiB");
        assert_eq!(Seconds(59).to_string(), "59 s");
        assert_eq!(Seconds(125).to_string(), "2 min 5 s");
    }

    #[test]
    fn time_left_follows_from_rate_and_size() {
        let half = ProgressCells::new(1 << 20, Some(2 << 20), Duration::from_secs(1));
        assert_eq!(half.to_string(), "<td>1.0 MiB<td>1.0 MiB/s<td>1 s");
        let begun = ProgressCells::new(0, Some(5), Duration::ZERO);
        assert_eq!(begun.to_string(), "<td>0 B<td>0 B/s<td>not known");
    }
}
