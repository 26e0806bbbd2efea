//! `glance-control`: starts, ends and reloads servers that no service manager looks after.
//!
//! Words, signals and waits are those of Glance's own glance-control. A server writes its
//! process id to its pid file when it serves, and takes the file away when it ends. So that
//! SIGHUP can mean what it always meant - to end, softly - and a reload as well, a server
//! looks for its pid file: `shutdown` removes it first, `reload` leaves it there.

mod args;
mod commands;
mod pid_file;
mod process;
mod servers;

use std::process::ExitCode;

use self::args::Args;
use self::commands::run;

/// The whole of `glance-control`.
pub fn main() -> ExitCode {
    match Args::of_process() {
        Ok(args) => ExitCode::from(run(&args)),
        Err(code) => ExitCode::from(code),
    }
}
