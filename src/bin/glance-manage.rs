//! `glance-manage`: dumps a registry, and loads a dump into another.

use std::process::ExitCode;

fn main() -> ExitCode {
    glance::manage::main()
}
