//! The servers behind a node, each through its own people's client. What fails here is the
//! machine or the set-up of the servers, not the node.

mod keystone;
mod s3;
mod swift;

use std::process::{Command, Output};

/// What a command that must succeed printed.
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
