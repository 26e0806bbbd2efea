//! Looks at the uploads that another process of this `node_name` may have under way, and ends
//! those that have ended.

use super::cleanup::killed;
use super::name_conflicts::SuspectUpload;
use super::process_mark::{ProcessState, process_state};
use crate::error::{Kind, Result};
use crate::image::ImageId;
use crate::service::Service;
use crate::service::upload::is_current;

/// So many looks in a row must find the record unchanged. Records of uploads under way are
/// written as often as this looks.
const LOOKS: u32 = 3;

impl Service {
    /// Looks once at the uploads that are watched, and ends those that have ended.
    /// `looks_of_others` is the number of looks after which an upload of another server counts
    /// as abandoned; `None` for never.
    pub(super) async fn look_at_namesakes(&self, looks_of_others: Option<u32>) {
        let mut left = Vec::new();
        for mut suspect in self.name_conflicts.take() {
            match self.look_at_namesake(&mut suspect, looks_of_others).await {
                Ok(true) => left.push(suspect),
                Ok(false) => {}
                Err(error) => {
                    let image_id = suspect.image;
                    tracing::debug!(%image_id, ?error, "an upload of this name was not looked at");
                    left.push(suspect);
                }
            }
        }
        self.name_conflicts.put_back(left);
    }

    /// Whether the upload is still to be watched.
    async fn look_at_namesake(
        &self,
        suspect: &mut SuspectUpload,
        looks_of_others: Option<u32>,
    ) -> Result<bool> {
        let record = self.registry.get(&suspect.image).await?;
        let Some(record) = record.filter(|record| is_current(&record.image, suspect.upload)) else {
            return Ok(false);
        };
        if !self.registry.is_current() {
            return Ok(true);
        }
        if record.version != suspect.version {
            if !suspect.has_changed {
                self.warn_of_namesake(suspect.image);
            }
            (suspect.version, suspect.looks, suspect.has_changed) = (record.version, 0, true);
            return Ok(true);
        }
        suspect.looks += 1;
        let mark = record.image.upload.as_ref();
        let needed_looks = match process_state(mark.and_then(|upload| upload.process.as_deref())) {
            ProcessState::Ended => Some(0),
            ProcessState::Unknown if !suspect.has_changed => Some(LOOKS),
            ProcessState::Running | ProcessState::Unknown => looks_of_others,
        };
        if needed_looks.is_none_or(|needed| suspect.looks < needed) {
            return Ok(true);
        }
        let killed = killed(&record.image);
        match self.registry.replace(killed, record.version).await {
            // Its process has written the record meanwhile.
            Err(error) if error.kind() == Kind::Stale => return Ok(true),
            result => drop(result?),
        }
        tracing::info!(image_id = %suspect.image, "an upload that the end of its process cut off was ended");
        self.cleaner.clean(suspect.image);
        Ok(false)
    }

    /// Tells the operator that two servers have one name.
    pub(super) fn warn_of_namesake(&self, image: ImageId) {
        tracing::warn!(
            image_id = %image,
            node_name = self.limits.node_name,
            "another server with this node_name has an upload under way; it is left alone. \
             Give every server a node_name of its own"
        );
    }
}
