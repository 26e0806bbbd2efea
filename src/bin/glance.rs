//! `glance`: the command-line client of the Image service.

use std::process::ExitCode;

fn main() -> ExitCode {
    glance::client::cli::main()
}
