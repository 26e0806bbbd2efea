//! Delayed deletion and its scrubber.

use std::time::Duration;

use crate::config::declare::options;
use crate::config::value_types::{Flag, Int, Seconds};

const YEAR_S: u64 = 31_536_000;

options! {
    /// Delayed deletion and its scrubber.
    pub struct ScrubberConfig, "DEFAULT", "Delayed deletion";

    /// Whether a deleted image's data wait for the scrubber (status pending_delete). Until it comes, the image can be
    /// brought back by glance-scrubber --restore ID. The data count against quotas.
    delayed_delete: bool = "false", Flag;
    /// How long they wait at least.
    scrub_time: Duration = "0", Seconds { min: 0, max: 100 * YEAR_S };
    /// Time between two rounds of the scrubber.
    wakeup_time: Duration = "300", Seconds { min: 1, max: YEAR_S };
    /// Images that are scrubbed at a time.
    scrub_pool_size: usize = "1", Int::<usize>::new(1, 1_024, "");
    /// Whether glance-api scrubs by itself, every wakeup_time. Without it images wait until glance-scrubber is run.
    scrub_in_api: bool = "true", Flag;
    /// Whether glance-scrubber goes on until it is ended, with a round every wakeup_time. Without it there is one.
    daemon: bool = "false", Flag;
}
