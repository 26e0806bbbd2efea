//! Describes a server before it is started: program, options, folders, restrictions.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::launch::Launch;
use super::ports::free_port;
use super::server::Server;

const DEFAULT: &str = "DEFAULT";

/// The kind of server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Program {
    #[default]
    Api,
    Registry,
}

impl Program {
    /// Returns the program under test.
    pub fn path(self) -> &'static str {
        match self {
            Program::Api => env!("CARGO_BIN_EXE_glance-api"),
            Program::Registry => env!("CARGO_BIN_EXE_glance-registry"),
        }
    }

    /// Returns the name of its configuration file.
    pub fn config_file(self) -> &'static str {
        match self {
            Program::Api => "glance-api.conf",
            Program::Registry => "glance-registry.conf",
        }
    }
}

/// The description of a server.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    pub(super) program: Program,
    /// Options: section, key, value.
    options: BTreeMap<String, BTreeMap<String, String>>,
    pub(super) arguments: Vec<String>,
    pub(super) launch: Launch,
    pub(super) with_pid_file: bool,
    pub(super) environment: BTreeMap<String, String>,
    /// File for its output; `None` for a file in its folder.
    pub(super) output: Option<PathBuf>,
}

impl Setup {
    /// Returns a server with free ports, its own folders and two workers; other options have
    /// defaults.
    pub fn new() -> Self {
        Self::default().option("workers", 2)
    }

    /// Returns the same for `glance-registry`.
    pub fn registry() -> Self {
        Self {
            program: Program::Registry,
            ..Self::new()
        }
    }

    /// Stores the records in a registry server.
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

    /// Stores the data in another folder than the server's own.
    pub fn data_dir(self, folder: &Path) -> Self {
        self.option("data_dir", folder.display())
    }

    /// Stores the images in another folder than below the data.
    pub fn store_dir(self, folder: &Path) -> Self {
        self.store_option("filesystem_store_datadir", folder.display())
    }

    /// Adds an argument to the command line.
    pub fn argument(mut self, word: &str) -> Self {
        self.arguments.push(word.to_owned());
        self
    }

    /// Sets an environment variable.
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Redirects its standard output and error to another file.
    pub fn output_to(mut self, file: &Path) -> Self {
        self.output = Some(file.to_owned());
        self
    }

    /// Makes the server write its pid file, [`Server::pid_file`].
    pub fn with_pid_file(mut self) -> Self {
        self.with_pid_file = true;
        self
    }

    /// Limits the open descriptors; the server cannot raise the limit.
    pub fn most_fds(mut self, most: u64) -> Self {
        self.launch.most_fds = Some(most);
        self
    }

    /// Runs the server as an ordinary user, also if the tests run as root, because some limits
    /// apply only to such users.
    pub fn by_ordinary_user(mut self) -> Self {
        self.launch.as_ordinary_user = true;
        self
    }

    /// Makes the kernel refuse io_uring to the server.
    pub fn refuse_uring(mut self) -> Self {
        self.launch.refuse_uring = true;
        self
    }

    /// Starts the server and returns when it accepts connections.
    ///
    /// # Panics
    /// Panics with its log if it does not start.
    #[track_caller]
    pub fn start(self) -> Server {
        let mut server = self.prepare();
        server.start();
        server
    }

    /// Assigns folder and ports without starting a process.
    pub fn prepare(self) -> Server {
        let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Server::new(
            self,
            temp_folder(),
            loopback(free_port()),
            loopback(free_port()),
        )
    }

    /// Returns the value of an option, if it is set.
    pub(super) fn get(&self, section: &str, key: &str) -> Option<&str> {
        let section = self.options.get(section)?;
        section.get(key).map(String::as_str)
    }

    /// Returns true if the admin listener is off.
    pub(super) fn is_without_admin(&self) -> bool {
        self.get(DEFAULT, "admin_bind_port") == Some("0")
    }

    /// Returns the data folder of a server with this folder.
    pub(super) fn data_dir_in(&self, folder: &Path) -> PathBuf {
        let set = self.get(DEFAULT, "data_dir");
        set.map_or_else(|| folder.join("data"), PathBuf::from)
    }

    /// Returns the image folder of a server with this folder.
    pub(super) fn store_dir_in(&self, folder: &Path) -> PathBuf {
        let set = self.get("glance_store", "filesystem_store_datadir");
        set.map_or_else(|| self.data_dir_in(folder).join("images"), PathBuf::from)
    }

    /// Returns the configuration file, with options of the harness that the test has not set.
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
