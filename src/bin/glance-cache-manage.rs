//! `glance-cache-manage`: lists and changes the image cache of a server.

use std::process::ExitCode;

fn main() -> ExitCode {
    glance::client::cli::cache_manage_main()
}
