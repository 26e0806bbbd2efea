//! The check of uploads that another process with this server's `node_name` may run. Ends those
//! whose process has ended.

use super::maintenance::{Maintenance, killed};
use super::name_conflicts::SuspectUpload;
use super::process_mark::{ProcessState, process_state};
use crate::error::{Kind, Result};
use crate::image::ImageId;
use crate::service::upload_session::is_current;

/// Consecutive polls that must find the record unchanged. A server writes the records of its
/// running uploads as often as this check polls.
const NEEDED_POLLS: u32 = 3;

impl Maintenance {
    /// Polls all watched uploads once and ends those that no process runs. `polls_of_others` is the
    /// number of unchanged polls after which an upload of another server counts as abandoned;
    /// `None` means never.
    pub(super) async fn check_name_conflicts(&self, polls_of_others: Option<u32>) {
        let mut watched = Vec::new();
        for mut suspect in self.name_conflicts.take() {
            match self.check_suspect(&mut suspect, polls_of_others).await {
                Ok(true) => watched.push(suspect),
                Ok(false) => {}
                Err(error) => {
                    let image_id = suspect.image;
                    tracing::debug!(%image_id, ?error, "upload under this node_name not checked");
                    watched.push(suspect);
                }
            }
        }
        self.name_conflicts.put_back(watched);
    }

    /// Returns true if the upload must be watched further.
    async fn check_suspect(
        &self,
        suspect: &mut SuspectUpload,
        polls_of_others: Option<u32>,
    ) -> Result<bool> {
        let record = self.registry.get(&suspect.image).await?;
        let Some(record) = record.filter(|record| is_current(&record.image, suspect.upload)) else {
            return Ok(false);
        };
        // A replica that is behind shows old versions, which prove nothing.
        if !self.registry.is_current() {
            return Ok(true);
        }
        if record.version != suspect.version {
            if !suspect.has_changed {
                self.warn_of_name_conflict(suspect.image);
            }
            (suspect.version, suspect.polls, suspect.has_changed) = (record.version, 0, true);
            return Ok(true);
        }
        suspect.polls += 1;
        let upload = record.image.upload.as_ref();
        let mark = upload.and_then(|upload| upload.process.as_deref());
        let needed_polls = match process_state(mark) {
            ProcessState::Ended => Some(0),
            ProcessState::Unknown if !suspect.has_changed => Some(NEEDED_POLLS),
            ProcessState::Running | ProcessState::Unknown => polls_of_others,
        };
        if needed_polls.is_none_or(|needed| suspect.polls < needed) {
            return Ok(true);
        }
        let killed = killed(&record.image);
        match self.registry.replace(killed, record.version).await {
            // Its process has written the record since the poll.
            Err(error) if error.kind() == Kind::Stale => return Ok(true),
            result => drop(result?),
        }
        tracing::info!(image_id = %suspect.image, "ended an upload whose process has ended");
        self.cleaner.clean(suspect.image);
        Ok(false)
    }

    /// Warns the operator that two servers use one `node_name`.
    pub(super) fn warn_of_name_conflict(&self, image: ImageId) {
        tracing::warn!(
            image_id = %image,
            node_name = self.limits.node_name,
            "another server with this node_name runs an upload, which is left alone: give each \
             server its own node_name"
        );
    }
}
