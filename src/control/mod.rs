//! `glance-control`: starts, stops and reloads servers without a service manager.
//!
//! The commands, signals and time limits are those of Glance's own glance-control. A server writes
//! its pid file when it accepts requests and removes it when it ends. SIGHUP means both a graceful
//! end, as in Glance, and a reload: a server that receives it reloads if its pid file exists and
//! ends if it does not. Therefore `shutdown` removes the file first, and `reload` leaves it.

mod args;
mod commands;
mod server_process;
mod servers;

use std::process::ExitCode;

use self::args::Args;
use self::commands::run;

/// Runs `glance-control`.
pub fn main() -> ExitCode {
    match Args::of_process() {
        Ok(args) => ExitCode::from(run(&args)),
        Err(code) => ExitCode::from(code),
    }
}
