//! Pid files as those see them who did not write them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::process::runs;
use super::servers::Server;

/// What a server's pid file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// It runs.
    Running(u32),
    /// There is a file, and nobody runs whom it names.
    Stale,
    /// There is no file.
    Nothing,
}

/// The pid file of a server.
#[derive(Debug)]
pub(super) struct PidFile {
    pub(super) path: PathBuf,
    server: Server,
}

impl PidFile {
    /// The named one, or the server's own.
    pub(super) fn of(server: Server, named: Option<&Path>) -> Self {
        Self {
            path: named.map_or_else(|| server.pid_file(), Path::to_owned),
            server,
        }
    }

    /// Who runs, by the file.
    pub(super) fn look(&self) -> Found {
        let Ok(text) = fs::read_to_string(&self.path) else {
            return Found::Nothing;
        };
        match text.trim().parse() {
            Ok(pid) if runs(pid, self.server.name()) => Found::Running(pid),
            _ => Found::Stale,
        }
    }

    /// Takes it away, if it is there.
    pub(super) fn remove(&self) -> io::Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Makes the folder it is to be in.
    pub(super) fn make_folder(&self) -> io::Result<()> {
        match self.path.parent() {
            Some(folder) => fs::create_dir_all(folder),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_runs_by_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = PidFile::of(Server::Api, Some(&folder.path().join("x/a.pid")));
        assert_eq!(file.look(), Found::Nothing);
        file.make_folder().unwrap();
        for stale in ["", "no number", "1", "4294967295"] {
            fs::write(&file.path, stale).unwrap();
            assert_eq!(file.look(), Found::Stale, "{stale}");
        }
        file.remove().unwrap();
        file.remove().unwrap();
        assert_eq!(file.look(), Found::Nothing);
        let own = PidFile::of(Server::Registry, None);
        assert_eq!(own.path, Path::new("/var/run/glance/glance-registry.pid"));
    }
}
