//! The real `glance-scrubber`, run with a server's own configuration.

use std::process::Command;

use super::program::{Run, beside};
use super::server::Server;

/// The program under test.
pub const GLANCE_SCRUBBER: &str = env!("CARGO_BIN_EXE_glance-scrubber");

/// The program over the configuration of a server, which may run or not.
pub fn command(server: &Server, words: &[&str]) -> Command {
    let mut command = beside(server, GLANCE_SCRUBBER);
    command.arg(server.config_file()).args(words);
    command
}

/// Runs it to its end.
#[track_caller]
pub fn run(server: &Server, words: &[&str]) -> Run {
    Run::of(&mut command(server, words))
}
