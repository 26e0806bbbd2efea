//! Programs beside a server, run to their end.

use std::process::{Command, Output, Stdio};

use super::server::Server;

/// What a run of a program came to.
#[derive(Debug)]
pub struct Run {
    /// Its exit code.
    pub code: Option<i32>,
    /// What it printed, log lines included.
    pub out: String,
    /// What it complained of.
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
    /// Runs it to its end.
    #[track_caller]
    pub fn of(command: &mut Command) -> Self {
        match command.output() {
            Ok(output) => output.into(),
            Err(error) => panic!("{command:?}: {error}"),
        }
    }

    /// Fails when it was not as successful as it should be, and shows everything.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        self
    }

    /// Fails when these words are not in what it printed or complained of.
    #[track_caller]
    pub fn says(self, words: &str) -> Self {
        assert!(self.has_said(words), "{words:?} is not in {self:?}");
        self
    }

    /// Fails when these words, which are a secret, are in what it printed or complained of.
    #[track_caller]
    pub fn keeps(self, secret: &str) -> Self {
        assert!(!self.has_said(secret), "{secret:?} is in {self:?}");
        self
    }

    fn has_said(&self, words: &str) -> bool {
        self.out.contains(words) || self.err.contains(words)
    }
}

/// A program in a server's folder, which may run or not, with nothing to read.
pub fn beside(server: &Server, program: &str) -> Command {
    let mut command = Command::new(program);
    command.current_dir(server.folder()).stdin(Stdio::null());
    command
}
