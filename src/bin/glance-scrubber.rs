//! `glance-scrubber`: deletes the data of images whose delayed deletion is due.

use std::process::ExitCode;

fn main() -> ExitCode {
    glance::server::scrubber_main()
}
