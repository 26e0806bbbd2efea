//! Options of delayed deletion and of the scrubber.

use std::time::Duration;

use crate::config::declare::options;
use crate::config::value_types::{Flag, Int, Seconds};

const YEAR_S: u64 = 31_536_000;

options! {
    /// Delayed deletion and the schedule of the scrubber.
    pub struct ScrubberConfig, "DEFAULT", "Delayed deletion";

    /// Keeps the data of a deleted image until the scrubber removes them (status pending_delete).
    /// Until then glance-scrubber --restore ID brings the image back. The data count against
    /// quotas for as long. Off by default, as in Glance: deletion frees space at once.
    delayed_delete: bool = "false", Flag;
    /// Time for which the data of a deleted image are kept at least. 0 removes them in the next
    /// scrubber pass. Set it to the time within which operators notice a wrong deletion.
    scrub_time: Duration = "0", Seconds { min: 0, max: 100 * YEAR_S };
    /// Time between two passes of the scrubber. A shorter time frees space sooner; each pass reads
    /// the list of pending images.
    wakeup_time: Duration = "300", Seconds { min: 1, max: YEAR_S };
    /// Images whose data are removed at the same time. Raise it when removals are slow (S3, Swift)
    /// and many images are deleted.
    scrub_pool_size: usize = "1", Int::<usize>::new(1, 1_024, "");
    /// Runs the scrubber inside glance-api every wakeup_time. When it is off, data wait until
    /// glance-scrubber is run.
    scrub_in_api: bool = "true", Flag;
    /// Keeps glance-scrubber running, with a pass every wakeup_time. When it is off,
    /// glance-scrubber makes one pass and exits.
    daemon: bool = "false", Flag;
}
