//! The servers that `glance-control` manages, and how it starts them.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::server_process::CommandLine;
use crate::config::{Config, ConfigError, RegistryBackend, find_config_file, search_dirs};

/// The default directory of pid files.
const PID_FOLDER: &str = "/var/run/glance";

/// A server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Server {
    Api,
    Registry,
    Scrubber,
}

/// A server process that was started.
pub(super) struct StartedServer {
    pub(super) child: Child,
    /// Its standard error.
    stderr: File,
}

impl Server {
    /// Returns the name of the program.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Api => "glance-api",
            Self::Registry => "glance-registry",
            Self::Scrubber => "glance-scrubber",
        }
    }

    /// Returns true if the server can start a successor and hand over to it.
    pub(super) fn supports_reload(self) -> bool {
        self != Self::Scrubber
    }

    /// Returns the path of its default pid file.
    pub(super) fn pid_file(self) -> PathBuf {
        Path::new(PID_FOLDER).join(format!("{}.pid", self.name()))
    }

    /// Finds the configuration file to start it with.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn config(self, named: Option<&Path>) -> Result<PathBuf, ConfigError> {
        let home = std::env::home_dir();
        find_config_file(self.name(), named, &search_dirs(home.as_deref()))
    }

    /// Returns why `all` does not start this server, or `None` if the configuration needs it. `named`
    /// is the configuration file on the command line.
    ///
    /// # Errors
    /// When the configuration cannot be read.
    pub(super) fn reason_not_needed(
        self,
        named: Option<&Path>,
    ) -> Result<Option<&'static str>, ConfigError> {
        // The configuration of the API server decides whether it uses a registry server.
        let decisive = match self {
            Self::Registry | Self::Api => Self::Api,
            Self::Scrubber => Self::Scrubber,
        };
        let (config, _) = Config::load(&decisive.config(named)?)?;
        Ok(match (self, config.registry.backend()) {
            (Self::Registry, RegistryBackend::Embedded) => {
                Some("glance-api has its registry embedded")
            }
            (Self::Registry, RegistryBackend::Etcd) => {
                Some("glance-api keeps its records in etcd itself")
            }
            (Self::Scrubber, _) if config.scrubber.scrub_in_api => Some("glance-api scrubs itself"),
            _ => None,
        })
    }

    /// Starts the program in a process group of its own, so that it outlives this process and its
    /// terminal.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub(super) fn start(self, config: &Path, pid_file: &Path) -> io::Result<StartedServer> {
        let stderr = unnamed_file()?;
        let mut command = Command::new(self.program()?);
        command
            .arg(config)
            .arg("--pid-file")
            .arg(pid_file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr.try_clone()?)
            .process_group(0);
        if self == Self::Scrubber {
            command.arg("--daemon");
        }
        let child = command.spawn()?;
        Ok(StartedServer { child, stderr })
    }

    /// Checks the configuration that a running server would read when it reloads. Returns the
    /// errors that the program prints, or `None` if there are none.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub(super) fn check_config(command: &CommandLine) -> io::Result<Option<String>> {
        let checked = Command::new(&command.program)
            .args(&command.arguments)
            .arg("--check-config")
            .current_dir(&command.folder)
            .stdin(Stdio::null())
            .output()?;
        let errors = String::from_utf8_lossy(&checked.stderr)
            .trim_end()
            .to_owned();
        Ok((!checked.status.success()).then_some(errors))
    }

    /// Returns the program beside this one if it exists, else its name for a search in `PATH`.
    fn program(self) -> io::Result<PathBuf> {
        let beside = std::env::current_exe()?.with_file_name(self.name());
        if beside.is_file() {
            return Ok(beside);
        }
        Ok(PathBuf::from(self.name()))
    }
}

impl StartedServer {
    /// Returns the text that it has written to standard error.
    pub(super) fn stderr(&mut self) -> String {
        let mut text = String::new();
        let read = self.stderr.rewind();
        // A read error leaves the text incomplete; the exit status is reported in any case.
        let _ = read.and_then(|()| self.stderr.read_to_string(&mut text));
        text
    }
}

/// Creates a file without a name. A pipe would be closed when this process ends, and the server
/// would then fail to write errors.
fn unnamed_file() -> io::Result<File> {
    let name = format!("glance-control-{}", uuid::Uuid::new_v4());
    let path = std::env::temp_dir().join(name);
    let mut options = File::options();
    let file = options.read(true).append(true).create_new(true).open(&path);
    let file = file?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registry_server_is_needed_for_remote_registries_only() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let reason_not_needed = |options: &str| {
            std::fs::write(file.path(), format!("[DEFAULT]\n{options}\n")).unwrap();
            let reason = Server::Registry.reason_not_needed(Some(file.path()));
            reason.unwrap().is_some()
        };
        assert!(reason_not_needed(""));
        assert!(reason_not_needed("registry_backend = etcd"));
        assert!(!reason_not_needed("registry_host = 127.0.0.1"));
    }
}
