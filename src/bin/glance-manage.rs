//! `glance-manage`: dumps, loads and checks a registry.

use std::process::ExitCode;

fn main() -> ExitCode {
    glance::manage::main()
}
