//! How a server is to be, before it is started.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::launch::Launch;
use super::ports::free_port;
use super::server::Server;

const DEFAULT: &str = "DEFAULT";

/// Which server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Program {
    #[default]
    Api,
    Registry,
}

impl Program {
    /// The program under test.
    pub fn path(self) -> &'static str {
        match self {
            Program::Api => env!("CARGO_BIN_EXE_glance-api"),
            Program::Registry => env!("CARGO_BIN_EXE_glance-registry"),
        }
    }

    /// Its configuration file.
    pub fn config_file(self) -> &'static str {
        match self {
            Program::Api => "glance-api.conf",
            Program::Registry => "glance-registry.conf",
        }
    }
}

/// A server that is still to be started.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    pub(super) program: Program,
    /// Section to key to value.
    options: BTreeMap<String, BTreeMap<String, String>>,
    pub(super) arguments: Vec<String>,
    pub(super) launch: Launch,
    pub(super) with_pid_file: bool,
    pub(super) environment: BTreeMap<String, String>,
    /// Where its output goes; otherwise to a file in its folder.
    pub(super) output: Option<PathBuf>,
}

impl Setup {
    /// Ports, folders and two workers; everything else has its default.
    pub fn new() -> Self {
        Self::default().option("workers", 2)
    }

    /// The same of a `glance-registry`.
    pub fn registry() -> Self {
        Self {
            program: Program::Registry,
            ..Self::new()
        }
    }

    /// Keeps the records in a registry server.
    pub fn registry_at(self, address: SocketAddr) -> Self {
        self.option("registry_host", address.ip())
            .option("registry_port", address.port())
    }

    /// Sets an option of `[DEFAULT]`.
    pub fn option(self, key: &str, value: impl ToString) -> Self {
        self.option_in(DEFAULT, key, value)
    }

    /// Sets an option of another section.
    pub fn option_in(mut self, section: &str, key: &str, value: impl ToString) -> Self {
        let section = self.options.entry(section.to_owned()).or_default();
        section.insert(key.to_owned(), value.to_string());
        self
    }

    /// Sets an option of `[glance_store]`.
    pub fn store_option(self, key: &str, value: impl ToString) -> Self {
        self.option_in("glance_store", key, value)
    }

    /// Keeps the data in another place than the server's own folder.
    pub fn data_dir(self, folder: &Path) -> Self {
        self.option("data_dir", folder.display())
    }

    /// Keeps the images in another place than below the data.
    pub fn store_dir(self, folder: &Path) -> Self {
        self.store_option("filesystem_store_datadir", folder.display())
    }

    /// Adds a word to the command line.
    pub fn argument(mut self, word: &str) -> Self {
        self.arguments.push(word.to_owned());
        self
    }

    /// Sets a variable of its environment.
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Sends its standard output and error to another file.
    pub fn output_to(mut self, file: &Path) -> Self {
        self.output = Some(file.to_owned());
        self
    }

    /// Has it write its pid file, [`Server::pid_file`].
    pub fn with_pid_file(mut self) -> Self {
        self.with_pid_file = true;
        self
    }

    /// Lets it have so many open descriptors, a limit that it cannot raise.
    pub fn most_fds(mut self, most: u64) -> Self {
        self.launch.most_fds = Some(most);
        self
    }

    /// Runs it as an ordinary user, also where the tests run as root: what only the limits of
    /// such a user show is seen everywhere.
    pub fn by_ordinary_user(mut self) -> Self {
        self.launch.as_ordinary_user = true;
        self
    }

    /// Has the kernel refuse io_uring to it.
    pub fn refuse_uring(mut self) -> Self {
        self.launch.refuse_uring = true;
        self
    }

    /// Starts it, and returns when it takes connections.
    ///
    /// # Panics
    /// With its log when it does not start.
    #[track_caller]
    pub fn start(self) -> Server {
        let mut server = self.prepare();
        server.start();
        server
    }

    /// A folder and ports, and no process yet.
    pub fn prepare(self) -> Server {
        let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Server::new(
            self,
            temp_folder(),
            loopback(free_port()),
            loopback(free_port()),
        )
    }

    /// The value of an option, if it is set.
    pub(super) fn get(&self, section: &str, key: &str) -> Option<&str> {
        let section = self.options.get(section)?;
        section.get(key).map(String::as_str)
    }

    /// Whether the operator's listener is off.
    pub(super) fn is_without_admin(&self) -> bool {
        self.get(DEFAULT, "admin_bind_port") == Some("0")
    }

    /// Where the data are, of a server with this folder.
    pub(super) fn data_dir_in(&self, folder: &Path) -> PathBuf {
        let set = self.get(DEFAULT, "data_dir");
        set.map_or_else(|| folder.join("data"), PathBuf::from)
    }

    /// Where the images are, of a server with this folder.
    pub(super) fn store_dir_in(&self, folder: &Path) -> PathBuf {
        let set = self.get("glance_store", "filesystem_store_datadir");
        set.map_or_else(|| self.data_dir_in(folder).join("images"), PathBuf::from)
    }

    /// The configuration file: the harness' own options where the test has not set them.
    pub(super) fn config(&self, folder: &Path, address: SocketAddr, admin: SocketAddr) -> String {
        let own = [
            ("bind_port", address.port().to_string()),
            ("admin_bind_port", admin.port().to_string()),
            ("data_dir", self.data_dir_in(folder).display().to_string()),
        ];
        let mut options = self.options.clone();
        let defaults = options.entry(DEFAULT.to_owned()).or_default();
        for (key, value) in own {
            defaults.entry(key.to_owned()).or_insert(value);
        }
        let mut text = String::new();
        for (section, keys) in &options {
            let _ = writeln!(text, "[{section}]");
            for (key, value) in keys {
                let _ = writeln!(text, "{key} = {value}");
            }
        }
        text
    }
}

/// Creates a folder for a test, which is removed when the value is dropped.
pub fn temp_folder() -> TempDir {
    tempfile::Builder::new()
        .prefix("glance-test-")
        .tempdir_in(test_folder())
        .expect("a folder for the test")
}

/// Returns the folder that contains the folders of all tests: `GLANCE_TEST_FOLDER` if it is
/// set, for users and file systems that `tests/run` chooses, or cargo's, which is on a disk and
/// not in the memory that `/tmp` may be.
pub fn test_folder() -> PathBuf {
    let chosen = std::env::var_os("GLANCE_TEST_FOLDER");
    chosen.map_or_else(|| env!("CARGO_TARGET_TMPDIR").into(), PathBuf::from)
}
