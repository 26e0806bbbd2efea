//! Starts the real backends of a server: Swift, which also provides S3, and Keystone.
//!
//! ```text
//! let swift = Swift::shared();            // one for all tests of this binary
//! let cloud = Cloud::shared();            // a Keystone, and a Swift that takes its tokens
//! let keystone = Keystone::start(&Options { token_s: 5 });     // for one test
//! ```
//!
//! Tests that share a backend must use their own names for containers, buckets and images. A shared
//! backend starts with the first test that needs it and ends with the test process, however that
//! ends. The programs are in `tests/backends/`; `tests/run` installs their dependencies below
//! `target/`, or into the folder that `GLANCE_TEST_BACKENDS` names. Without them the tests fail
//! instead of being skipped, because the stores would be untested.

pub mod keystone;
pub mod swift;

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use serde::de::DeserializeOwned;

use keystone::{Keystone, Options};
use swift::Swift;

use super::setup::test_folder;

/// A Keystone, and a Swift that accepts its tokens.
#[derive(Debug)]
pub struct Cloud {
    // Dropped in this order: Swift uses Keystone.
    pub swift: Swift,
    pub keystone: Keystone,
}

impl Cloud {
    /// Returns the one that all tests of this binary share.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Cloud> = OnceLock::new();
        SHARED.get_or_init(|| {
            let keystone = Keystone::start(&Options::default());
            let swift = Swift::start_with(&keystone);
            Self { swift, keystone }
        })
    }
}

/// A program of `tests/backends/`. It ends when its standard input is closed, so it also ends when
/// this process is killed.
#[derive(Debug)]
struct Program {
    child: Child,
    json: PathBuf,
    folder: PathBuf,
}

impl Program {
    /// Starts the program and waits until it is ready. The program exits if this takes too long.
    fn start<T: DeserializeOwned>(script: &str, arguments: &[&str]) -> (Self, T) {
        let mut command = python(script);
        command
            .arg("--until-eof")
            .args(arguments)
            // A real disk: Swift needs extended attributes, which a /tmp in memory may lack.
            .env("TMPDIR", test_folder())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn().expect("python");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("a pipe");
        let read = BufReader::new(stdout).read_line(&mut line);
        read.expect("the line of a server that is ready");
        let Some(json) = line.trim_end().strip_prefix("ready ") else {
            panic!("{script} has not become ready; what it said is above");
        };
        let text = fs::read_to_string(json).expect("the description of the server");
        let json = PathBuf::from(json);
        let folder = json.parent().expect("a folder").to_owned();
        let handle = serde_json::from_str(&text).expect("the description of the server");
        let program = Self {
            child,
            json,
            folder,
        };
        (program, handle)
    }

    fn read(&self, file: &str) -> String {
        let bytes = fs::read(self.folder.join(file)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// Returns a program of the backends' environment: `swift`, or `python` with boto3.
pub fn tool(name: &str) -> Command {
    Command::new(venv().join("bin").join(name))
}

fn python(script: &str) -> Command {
    let mut command = tool("python");
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/backends");
    // Otherwise Python writes bytecode into the source folder.
    command
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .arg(scripts.join(script));
    command
}

fn venv() -> PathBuf {
    let given = std::env::var_os("GLANCE_TEST_BACKENDS").map(PathBuf::from);
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
    let venv = given.unwrap_or_else(|| target.join("test-backends-venv"));
    assert!(
        venv.join("keystone-seed").exists(),
        "no Swift and Keystone in {}; tests/run installs them, or set GLANCE_TEST_BACKENDS to a \
         folder that tests/backends/install has made",
        venv.display()
    );
    venv
}

/// Returns the address in the URL of a server on loopback.
///
/// # Panics
/// Panics if the URL has no address and port.
#[track_caller]
pub fn address_of(url: &str) -> SocketAddr {
    let authority = url.split('/').nth(2).unwrap_or_default();
    let address = authority.parse();
    address.unwrap_or_else(|_| panic!("no address and port in {url}"))
}
