//! Existing clients: python-glanceclient from PyPI (command line and library), qemu-img, and
//! HTTP clients that read an image by its URL.
//!
//! `tests/run` installs the clients below `target/`. `GLANCE_TEST_VENV` names a virtual
//! environment with the newest python-glanceclient, `GLANCE_TEST_VENV_OLD` one with 2.17.1.
//! Without them the tests fail, so that a missing client is not taken for a tested one.

mod command_line;
mod library;
mod nginx;
mod qemu;
mod web;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::support::server::Server;

/// A version of python-glanceclient.
struct Tool {
    bin: PathBuf,
}

fn newest() -> Tool {
    Tool::of("GLANCE_TEST_VENV", "test-venv")
}

fn old() -> Tool {
    Tool::of("GLANCE_TEST_VENV_OLD", "test-venv-old")
}

impl Tool {
    fn of(variable: &str, below_target: &str) -> Self {
        let given = std::env::var_os(variable).map(PathBuf::from);
        let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
        let venv = given.unwrap_or_else(|| target.join(below_target));
        let bin = venv.join("bin");
        assert!(
            bin.join("glance").exists(),
            "no python-glanceclient in {}; tests/run installs it, or set {variable} to a virtual \
             environment that has it",
            venv.display()
        );
        Self { bin }
    }

    /// Returns `glance` for the v1 API of this server, with a closed standard input. The client
    /// would upload an empty file as an image.
    fn glance(&self, node: &Server) -> Command {
        let mut command = Command::new("sh");
        command
            .args(["-c", "exec \"$0\" \"$@\" <&-"])
            .arg(self.bin.join("glance"));
        self.with_options(command, node)
    }

    /// Returns `glance` that reads an image from a pipe.
    fn glance_on_pipe(&self, node: &Server) -> Command {
        let mut command = self.with_options(Command::new(self.bin.join("glance")), node);
        command.stdin(Stdio::piped());
        command
    }

    /// Returns `glance` with a terminal of its own.
    fn glance_on_terminal(&self, node: &Server) -> Command {
        const ON_TERMINAL: &str = "import os, pty, sys; \
             sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))";
        let mut command = self.python();
        command
            .args(["-c", ON_TERMINAL])
            .arg(self.bin.join("glance"))
            .stdin(Stdio::null());
        self.with_options(command, node)
    }

    fn with_options(&self, mut command: Command, node: &Server) -> Command {
        command
            .args(["--os-image-api-version", "1", "--os-auth-token", "x"])
            .arg("--os-image-url")
            .arg(format!("http://{}", node.address()))
            .env_clear()
            .env("HOME", node.folder())
            .env("LC_ALL", "C.UTF-8")
            .env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command
    }

    fn python(&self) -> Command {
        Command::new(self.bin.join("python"))
    }
}

/// Returns the output of a command, which must succeed.
fn stdout_of(command: &mut Command) -> String {
    stdout(command.output().expect("started"), command)
}

fn stdout(output: Output, command: &Command) -> String {
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {stdout}{stderr}");
    stdout
}

/// Returns the value of a row in a table that the client printed.
fn row(table: &str, name: &str) -> Option<String> {
    let rows = table.lines().filter_map(|line| {
        let mut cells = line.strip_prefix('|')?.strip_suffix('|')?.splitn(2, '|');
        Some((cells.next()?.trim(), cells.next()?.trim()))
    });
    let found = rows.into_iter().find(|(known, _)| *known == name);
    found.map(|(_, value)| value.to_owned())
}
