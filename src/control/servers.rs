//! The servers there are.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::process::Origin;
use crate::config::{Config, ConfigError, RegistryBackend, find_config_file, search_dirs};

/// Where pid files are unless somebody says otherwise.
const PID_FOLDER: &str = "/var/run/glance";

/// One of Glance's servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Server {
    Api,
    Registry,
    Scrubber,
}

/// A server that was started, and what it complains of.
pub(super) struct Started {
    pub(super) child: Child,
    complaints: File,
}

impl Server {
    /// The program.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Api => "glance-api",
            Self::Registry => "glance-registry",
            Self::Scrubber => "glance-scrubber",
        }
    }

    /// Whether it can start a successor and hand over to it.
    pub(super) fn hands_over(self) -> bool {
        self != Self::Scrubber
    }

    /// Its pid file, where nobody says otherwise.
    pub(super) fn pid_file(self) -> PathBuf {
        Path::new(PID_FOLDER).join(format!("{}.pid", self.name()))
    }

    /// The configuration it is to be started with.
    pub(super) fn config(self, named: Option<&Path>) -> Result<PathBuf, ConfigError> {
        let home = std::env::home_dir();
        find_config_file(self.name(), named, &search_dirs(home.as_deref()))
    }

    /// Why `all` does without it, if it does. `named` is the file named for all of them.
    pub(super) fn is_needless(
        self,
        named: Option<&Path>,
    ) -> Result<Option<&'static str>, ConfigError> {
        // Whether there is anything for a registry server to do, its client says.
        let asked = match self {
            Self::Registry | Self::Api => Self::Api,
            Self::Scrubber => Self::Scrubber,
        };
        let (config, _) = Config::load(&asked.config(named)?)?;
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

    /// Starts the program, which goes on when this process and its terminal are gone.
    pub(super) fn start(self, config: &Path, pid_file: &Path) -> io::Result<Started> {
        let complaints = unnamed_file()?;
        let mut command = Command::new(self.program()?);
        command
            .arg(config)
            .arg("--pid-file")
            .arg(pid_file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(complaints.try_clone()?)
            .process_group(0);
        if self == Self::Scrubber {
            command.arg("--daemon");
        }
        let child = command.spawn()?;
        Ok(Started { child, complaints })
    }

    /// What the program says against the configuration that a process of it would reload; `None`
    /// when that is sound.
    ///
    /// # Errors
    /// When the program cannot be run as that process was.
    pub(super) fn judge_reload(origin: &Origin) -> io::Result<Option<String>> {
        let judged = Command::new(&origin.program)
            .args(&origin.arguments)
            .arg("--check-config")
            .current_dir(&origin.folder)
            .stdin(Stdio::null())
            .output()?;
        let said = String::from_utf8_lossy(&judged.stderr)
            .trim_end()
            .to_owned();
        Ok((!judged.status.success()).then_some(said))
    }

    /// The program beside this one, else the one in the path.
    fn program(self) -> io::Result<PathBuf> {
        let beside = std::env::current_exe()?.with_file_name(self.name());
        if beside.is_file() {
            return Ok(beside);
        }
        Ok(PathBuf::from(self.name()))
    }
}

impl Started {
    /// What it has said so far.
    pub(super) fn complaints(&mut self) -> String {
        let mut text = String::new();
        let read = self.complaints.rewind();
        // What cannot be read cannot be shown; the exit code says the rest.
        let _ = read.and_then(|()| self.complaints.read_to_string(&mut text));
        text
    }
}

/// A pipe would be closed when this process ends, and the server fail when it complains.
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
    fn a_registry_server_is_for_those_who_ask_one() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let is_needless = |options: &str| {
            std::fs::write(file.path(), format!("[DEFAULT]\n{options}\n")).unwrap();
            let needless = Server::Registry.is_needless(Some(file.path()));
            needless.unwrap().is_some()
        };
        assert!(is_needless(""));
        assert!(is_needless("registry_backend = etcd"));
        assert!(!is_needless("registry_host = 127.0.0.1"));
    }
}
