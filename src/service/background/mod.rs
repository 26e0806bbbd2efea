//! Periodic and deferred work of an image server.
//!
//! The cleaner removes data that no image refers to any more, the scrubber ends delayed deletions,
//! the heartbeat shows which uploads are alive and ends abandoned ones, the auditor compares stored
//! data with their checksums, and the prefetcher fills the image cache. `server` starts the
//! threads. They hold [`Maintenance`] weakly, so that they end with the service.

mod audit;
mod auditor;
mod cleaner;
mod cleanup;
mod heartbeat;
mod maintenance;
mod name_conflict_check;
mod name_conflicts;
mod pending_deletes;
mod prefetcher;
mod process_mark;
mod read_rate;
mod recovery;
mod scrub;
mod scrubber;
mod unconfirmed_writes;

pub use auditor::{AuditOptions, Auditor};
pub use cleaner::{Cleaner, Cleanup, CleanupQueue};
pub use heartbeat::Heartbeat;
pub use maintenance::Maintenance;
pub use prefetcher::prefetch;
pub use recovery::Recovered;
pub use scrub::Scrubbed;
pub use scrubber::{Scrubber, ScrubberReceiver};

pub(super) use process_mark::current_process_mark;
pub(super) use unconfirmed_writes::UnconfirmedWrites;
