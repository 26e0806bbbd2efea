//! `glance-cache-manage`: shows and changes what a node's image cache keeps.

use std::process::ExitCode;

fn main() -> ExitCode {
    glance::client::cli::cache_manage_main()
}
