//! `glance-registry`: the registry server, which stores the image records of API servers.

use std::process::ExitCode;

fn main() -> ExitCode {
    glance::server::registry_main()
}
