//! `glance-manage`: exports, imports and checks a registry, and imports one of Glance.

use std::process::ExitCode;

fn main() -> ExitCode {
    glance::manage::main()
}
