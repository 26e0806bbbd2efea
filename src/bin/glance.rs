//! `glance`: the client on the command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    glance::client::cli::main()
}
