//! `glance-scrubber`: removes the data of deleted images that have waited long enough.

use std::process::ExitCode;

fn main() -> ExitCode {
    glance::server::scrubber_main()
}
