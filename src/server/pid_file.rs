//! The pid file of a server (`--pid-file`), which `glance-control` reads.

use std::io;
use std::path::Path;

use crate::log;
use crate::process::PidFile;

/// The pid file of this process, if the command line names one. Dropping it removes the file
/// unless a successor has replaced it.
pub(super) struct OwnPidFile(Option<PidFile>);

impl OwnPidFile {
    /// The file at `path`, which is not written yet.
    ///
    /// # Errors
    /// When the working directory is needed and cannot be read.
    pub(super) fn new(path: Option<&Path>) -> io::Result<Self> {
        // Absolute, because the file is used until the process ends and the working directory
        // may change.
        let path = path.map(std::path::absolute).transpose()?;
        Ok(Self(path.map(PidFile::new)))
    }

    /// Writes the file.
    ///
    /// # Errors
    /// Those of the file system. A full disk is only logged, because it must not keep the server
    /// from starting.
    pub(super) fn write(&self) -> io::Result<()> {
        let Some(file) = &self.0 else {
            return Ok(());
        };
        match file.write() {
            Err(error) if error.kind() == io::ErrorKind::StorageFull => {
                let file = file.path().display();
                tracing::error!(%error, %file, "cannot write the pid file, the disk is full");
                Ok(())
            }
            result => result,
        }
    }

    /// Returns true if the file exists and names this process, or `None` if the command line
    /// names no file.
    pub(super) fn names_us(&self) -> Option<bool> {
        self.0.as_ref().map(PidFile::names_this_process)
    }
}

impl Drop for OwnPidFile {
    fn drop(&mut self) {
        if let Some(file) = &self.0
            && file.names_this_process()
            && let Err(error) = file.remove()
        {
            let file = file.path().display();
            tracing::warn!(target: log::STARTUP, %error, %file, "cannot remove the pid file");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn own_file_is_removed_and_a_successors_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.pid");
        let file = OwnPidFile::new(Some(&path)).unwrap();
        assert_eq!(file.names_us(), Some(false));
        file.write().unwrap();
        assert_eq!(file.names_us(), Some(true));
        drop(file);
        assert!(!path.exists());

        let file = OwnPidFile::new(Some(&path)).unwrap();
        file.write().unwrap();
        fs::write(&path, "1\n").unwrap();
        assert_eq!(file.names_us(), Some(false));
        drop(file);
        assert!(path.exists(), "the file is a successor's");
        assert_eq!(OwnPidFile::new(None).unwrap().names_us(), None);
    }
}
