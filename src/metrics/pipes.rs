//! Metrics of the pipes through which the kernel moves bytes from socket to socket.

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
        help: "Most pages that the pipes of this process may have. Past it bytes are copied.",
    },
];

/// Pages of all pipes now.
pub fn pipe_pages(pages: usize) {
    gauge!(PIPE_PAGES).set(pages as f64);
}

/// The bound of the pages of all pipes.
pub fn pipe_pages_limit(pages: usize) {
    gauge!(PIPE_PAGES_LIMIT).set(pages as f64);
}
