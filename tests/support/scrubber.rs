//! The real `glance-scrubber`, run with a server's own configuration.

use std::process::{Command, Output, Stdio};

use super::server::Server;

/// The program under test.
pub const GLANCE_SCRUBBER: &str = env!("CARGO_BIN_EXE_glance-scrubber");

/// What a run of the program came to.
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
    /// Fails when it was not as successful as it should be, and shows everything.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        self
    }

    /// Fails when these words are not in what it printed or complained of.
    #[track_caller]
    pub fn says(self, words: &str) -> Self {
        let said = self.out.contains(words) || self.err.contains(words);
        assert!(said, "{words:?} is not in {self:?}");
        self
    }
}

/// The program over the configuration of a server, which may run or not.
pub fn command(server: &Server, words: &[&str]) -> Command {
    let mut command = Command::new(GLANCE_SCRUBBER);
    command
        .arg(server.config_file())
        .args(words)
        .current_dir(server.folder())
        .stdin(Stdio::null());
    command
}

/// Runs it to its end.
#[track_caller]
pub fn run(server: &Server, words: &[&str]) -> Run {
    let output = command(server, words).output();
    output.expect("the scrubber's program").into()
}
