//! The file that says which process a server is (`--pid-file`), for glance-control.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::log;

/// A file with this process' id in it, for as long as it lives and nobody takes its place.
pub(super) struct PidFile(Option<PathBuf>);

impl PidFile {
    /// The one the command line names, not written yet.
    pub(super) fn new(path: Option<&Path>) -> io::Result<Self> {
        // Whoever looks for it later may be somewhere else.
        Ok(Self(path.map(std::path::absolute).transpose()?))
    }

    /// Writes it; whoever reads it sees all of it or what was there before.
    ///
    /// # Errors
    /// Those of the file system.
    pub(super) fn write(&self) -> io::Result<()> {
        let Some(path) = &self.0 else {
            return Ok(());
        };
        let mut beside = path.clone().into_os_string();
        beside.push(format!(".{}", std::process::id()));
        let written = fs::write(&beside, format!("{}\n", std::process::id()));
        match written.and_then(|()| fs::rename(&beside, path)) {
            // A full disk must not keep the server from starting.
            Err(error) if error.kind() == io::ErrorKind::StorageFull => {
                drop(fs::remove_file(&beside));
                tracing::error!(%error, file = %path.display(), "the pid file cannot be written");
                Ok(())
            }
            result => result,
        }
    }

    /// Whether it is there and names this process. `None` when there is to be no such file.
    pub(super) fn names_us(&self) -> Option<bool> {
        let path = self.0.as_ref()?;
        let text = fs::read_to_string(path).unwrap_or_default();
        Some(text.trim().parse() == Ok(std::process::id()))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if self.names_us() == Some(true)
            && let Some(path) = &self.0
            && let Err(error) = fs::remove_file(path)
        {
            tracing::warn!(target: log::STARTUP, %error, file = %path.display(), "a pid file is left");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_there_as_long_as_we_are_the_server() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.pid");
        let file = PidFile::new(Some(&path)).unwrap();
        assert_eq!(file.names_us(), Some(false));
        file.write().unwrap();
        assert_eq!(file.names_us(), Some(true));
        drop(file);
        assert!(!path.exists());

        let file = PidFile::new(Some(&path)).unwrap();
        file.write().unwrap();
        fs::write(&path, "1\n").unwrap();
        assert_eq!(file.names_us(), Some(false));
        drop(file);
        assert!(path.exists(), "it is a successor's");
        assert_eq!(PidFile::new(None).unwrap().names_us(), None);
    }
}
