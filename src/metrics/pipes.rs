//! Metrics of the pipes through which the kernel moves data between sockets.

use metrics::{Unit, gauge};

use super::names::{PIPE_PAGES, PIPE_PAGES_LIMIT};
use super::table::{Metric, Shape};

pub(super) const TABLE: &[Metric] = &[
    Metric {
        name: PIPE_PAGES,
        shape: Shape::Gauge,
        unit: Unit::Count,
        help: "Pages of the pipes of this process (fs.pipe-user-pages-soft counts them for each user).",
    },
    Metric {
        name: PIPE_PAGES_LIMIT,
        shape: Shape::Gauge,
        unit: Unit::Count,
        help: "Most pages that the pipes of this process may have. Above the limit, data are copied.",
    },
];

/// Sets the number of pages of all pipes.
pub fn pipe_pages(pages: usize) {
    gauge!(PIPE_PAGES).set(pages as f64);
}

/// Sets the limit of the pages of all pipes.
pub fn pipe_pages_limit(pages: usize) {
    gauge!(PIPE_PAGES_LIMIT).set(pages as f64);
}
