//! `glance-control`: starts, stops and reloads the servers.

use std::process::ExitCode;

fn main() -> ExitCode {
    glance::control::main()
}
