//! Accepts connections and serves them on worker threads.
//!
//! One thread accepts (`acceptor`) and offers each connection to the worker with the fewest open
//! connections (`worker_loads`). Each `worker` runs its own single-threaded runtime. The admin
//! listener has a thread of its own, so that load on the API does not delay it.

pub(super) mod acceptor;
pub(super) mod admin;
pub(super) mod connection_limits;
pub(super) mod listener;
pub(super) mod worker;
pub(super) mod worker_loads;
pub(super) mod workers;
