//! Runs the real `glance-scrubber` with the configuration of a server.

use std::process::Command;

use super::program::{Run, beside};
use super::server::Server;

/// The program under test.
pub const GLANCE_SCRUBBER: &str = env!("CARGO_BIN_EXE_glance-scrubber");

/// Returns a command with the configuration of a server, which may be stopped.
pub fn command(server: &Server, words: &[&str]) -> Command {
    let mut command = beside(server, GLANCE_SCRUBBER);
    command.arg(server.config_file()).args(words);
    command
}

/// Runs the program to its end.
#[track_caller]
pub fn run(server: &Server, words: &[&str]) -> Run {
    Run::of(&mut command(server, words))
}
