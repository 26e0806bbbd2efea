//! The process after its start: signals, reload, drain and shutdown.
//!
//! `running` holds the main thread's loop. A termination signal starts a `drain`; a reload signal
//! starts a successor process (`reload`), which takes over the listening sockets and the registry.

pub(super) mod drain;
mod malloc_trim;
pub(super) mod reload;
pub(super) mod running;
pub(super) mod sd_notify;
pub(super) mod signals;
