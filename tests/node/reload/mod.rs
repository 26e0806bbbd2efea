//! Reloads: servers that are replaced while they serve, by SIGUSR2 and by glance-control.

mod control;
mod load;
mod registry;
mod systemd;

use std::time::Duration;

/// Longest time for requests in flight to end.
const LIMIT: Duration = Duration::from_secs(60);
