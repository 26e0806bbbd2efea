//! `glance-registry`: keeps the records of images for API servers.

use std::process::ExitCode;

fn main() -> ExitCode {
    glance::server::registry_main()
}
