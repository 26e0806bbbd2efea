//! The backend servers, tested with their own clients. A failure here is one of the machine or of
//! the servers' setup, not of the node.

mod keystone;
mod s3;
mod swift;

use std::process::{Command, Output};

/// Runs a command that must succeed, and returns its output.
#[track_caller]
fn stdout_of(command: &mut Command) -> String {
    let output = output_of(command);
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {stdout}{stderr}");
    stdout
}

fn output_of(command: &mut Command) -> Output {
    command.output().expect("started")
}
