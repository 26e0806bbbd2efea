//! Servers that are replaced while they serve: SIGUSR2, and glance-control.

mod control;
mod load;
mod registry;
mod systemd;

use std::time::Duration;

/// For what is in flight to come to its end.
const LIMIT: Duration = Duration::from_secs(60);
