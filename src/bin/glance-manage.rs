//! `glance-manage`: dumps, loads and checks a registry, and takes over one of Glance.

use std::process::ExitCode;

fn main() -> ExitCode {
    glance::manage::main()
}
