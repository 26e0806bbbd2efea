//! Recovery after an earlier process of this server: ends the uploads that it has interrupted and
//! finds the data that remain to be removed.

use uuid::Uuid;

use super::maintenance::{Maintenance, killed};
use super::process_mark::{ProcessState, process_state};
use crate::error::{Kind, Result};
use crate::image::Query;
use crate::registry::Record;

/// The result of a recovery.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Uploads that the end of an earlier process has interrupted. Their images are now `killed`.
    pub interrupted_uploads: usize,
    /// Images with data that the cleaner will remove.
    pub images_to_clean: usize,
    /// Uploads under this server's name that another process may run. They end when their records
    /// stop changing.
    pub watched_uploads: usize,
}

impl Maintenance {
    /// Ends interrupted uploads and queues the data that remain for removal. The server calls this
    /// before the first request, and again when the process that handed over to it has ended.
    ///
    /// Leaves alone the uploads of other servers, the uploads that another process of this name may
    /// run, and those for which `is_running` returns true (in the process that handed over).
    ///
    /// # Errors
    /// Those of the registry.
    pub async fn recover(&self, is_running: impl Fn(&Uuid) -> bool) -> Result<Recovered> {
        let mut recovered = Recovered::default();
        for record in self.registry.list(&Query::everything(usize::MAX)).await? {
            let image = &record.image;
            let upload = image.upload.as_ref();
            if upload.is_some_and(|upload| is_running(&upload.id)) {
                continue;
            }
            if self.is_interrupted(image) {
                if self.may_run_elsewhere(&record) || !self.kill_if_unchanged(&record).await? {
                    self.name_conflicts.watch(&record);
                    recovered.watched_uploads += 1;
                    continue;
                }
                recovered.interrupted_uploads += 1;
            } else if !image.has_remains() {
                continue;
            }
            recovered.images_to_clean += 1;
            self.cleaner.clean(image.id);
        }
        Ok(recovered)
    }

    /// Returns true unless the process that began the upload has certainly ended.
    fn may_run_elsewhere(&self, record: &Record) -> bool {
        let upload = record.image.upload.as_ref();
        let mark = upload.and_then(|upload| upload.process.as_deref());
        let state = match self.registry.is_shared() {
            true => process_state(mark),
            // The embedded registry is locked by this process, so no other one can run.
            false => ProcessState::Ended,
        };
        if state == ProcessState::Running {
            self.warn_of_name_conflict(record.image.id);
        }
        state != ProcessState::Ended
    }

    /// Kills an image. Returns false if its record has changed since it was listed: then a process
    /// still writes it.
    async fn kill_if_unchanged(&self, record: &Record) -> Result<bool> {
        let killed = killed(&record.image);
        match self.registry.replace(killed, record.version).await {
            Err(error) if error.kind() == Kind::Stale => Ok(false),
            result => result.map(|_| true),
        }
    }
}
