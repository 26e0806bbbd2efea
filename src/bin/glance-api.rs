//! `glance-api`: the API server of the Image service.

use std::process::ExitCode;

fn main() -> ExitCode {
    glance::server::api_main()
}
