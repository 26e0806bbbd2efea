//! Runs the other programs to their end.

use std::process::{Command, Output, Stdio};

use super::server::Server;

/// The result of a program.
#[derive(Debug)]
pub struct Run {
    /// Exit code.
    pub code: Option<i32>,
    /// Standard output, log lines included.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            code: output.status.code(),
            out: text(&output.stdout),
            err: text(&output.stderr),
        }
    }
}

impl Run {
    /// Runs a program to its end.
    #[track_caller]
    pub fn of(command: &mut Command) -> Self {
        match command.output() {
            Ok(output) => output.into(),
            Err(error) => panic!("{command:?}: {error}"),
        }
    }

    /// Panics with all output if the exit code is another one.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        self
    }

    /// Panics if the output does not contain this text.
    #[track_caller]
    pub fn says(self, words: &str) -> Self {
        assert!(self.has_said(words), "{words:?} is not in {self:?}");
        self
    }

    /// Panics if the output contains this secret.
    #[track_caller]
    pub fn keeps(self, secret: &str) -> Self {
        assert!(!self.has_said(secret), "{secret:?} is in {self:?}");
        self
    }

    fn has_said(&self, words: &str) -> bool {
        self.out.contains(words) || self.err.contains(words)
    }
}

/// Returns a command in the folder of a server, which may be stopped, without standard input.
pub fn beside(server: &Server, program: &str) -> Command {
    let mut command = Command::new(program);
    command.current_dir(server.folder()).stdin(Stdio::null());
    command
}
