//! Imports images into a registry.
//!
//! The registry is compared with the import before anything is written. Then each image is
//! written on its own, so an interrupted import leaves a part of the images. A repeated import
//! skips those that are identical.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::args::Merge;
use super::error::{ManageError, with_cause};
use super::records::Records;
use crate::error::{Error, Kind};
use crate::image::{Image, ImageId};
use crate::registry::Registry;
use crate::service::modify;

/// Number of concurrent writes, which share commits.
const CONCURRENT_WRITES: usize = 256;

/// The result of an import, or the forecast of one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ImportReport {
    /// Images that the registry did not have.
    pub(super) new: u64,
    /// Images that replaced a different version.
    pub(super) replaced: u64,
    /// Images that the registry had with the same content.
    pub(super) same: u64,
    /// Images that the registry had with different content and kept.
    pub(super) kept: u64,
    /// Images that the registry refused, each with the reason.
    pub(super) refused: Vec<(ImageId, String)>,
}

/// The result for one image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    New,
    Replaced,
    Same,
    Kept,
    /// The registry has different content and the merge policy does not permit a choice.
    Conflict,
}

/// The images to import and their comparison with the registry.
pub(super) struct ImportPlan {
    /// Sorted by identifier.
    images: Vec<Image>,
    /// Images whose outcome is a conflict.
    conflicts: Vec<ImageId>,
    /// Images of the registry that are not in the import.
    others: Vec<ImageId>,
    /// The outcome of each image, by its index in `images`.
    outcomes: Vec<Outcome>,
}

impl ImportPlan {
    /// Compares every image of the registry with the import.
    ///
    /// # Errors
    /// Those of the registry.
    pub(super) async fn new(
        records: &Records,
        images: Vec<Image>,
        merge: Option<Merge>,
    ) -> Result<Self, ManageError> {
        let mut survey = Self {
            outcomes: vec![Outcome::New; images.len()],
            images,
            conflicts: Vec::new(),
            others: Vec::new(),
        };
        let compare = |there: &Image| {
            survey.take_in(there, merge);
            Ok(())
        };
        records.each(compare).await?;
        Ok(survey)
    }

    fn take_in(&mut self, there: &Image, merge: Option<Merge>) {
        let Ok(place) = self
            .images
            .binary_search_by(|image| image.id.cmp(&there.id))
        else {
            self.others.push(there.id);
            return;
        };
        self.outcomes[place] = outcome(&self.images[place], there, merge);
        if self.outcomes[place] == Outcome::Conflict {
            self.conflicts.push(there.id);
        }
    }

    /// Checks that the merge policy permits the import.
    ///
    /// # Errors
    /// `Conflicts` or `NotEmpty`, with the images.
    pub(super) fn check(&self, merge: Option<Merge>) -> Result<(), ManageError> {
        if !self.conflicts.is_empty() {
            return Err(ManageError::Conflicts(self.conflicts.clone()));
        }
        if merge.is_none() && !self.others.is_empty() {
            return Err(ManageError::NotEmpty(self.others.clone()));
        }
        Ok(())
    }

    /// Returns the report that the import would have.
    pub(super) fn forecast(&self) -> ImportReport {
        let mut loaded = ImportReport::default();
        self.outcomes
            .iter()
            .for_each(|outcome| loaded.count(*outcome));
        loaded
    }

    /// Imports the images. Must be called in a [`tokio::task::LocalSet`].
    ///
    /// # Errors
    /// `CutOff` when the registry is not available. Images that it refuses are in the report.
    pub(super) async fn load(
        self,
        registry: &Arc<dyn Registry>,
        merge: Option<Merge>,
    ) -> Result<ImportReport, ManageError> {
        let mut loaded = ImportReport::default();
        let mut running = JoinSet::new();
        for (image, outcome) in self.images.into_iter().zip(self.outcomes) {
            if matches!(outcome, Outcome::Same | Outcome::Kept) {
                loaded.count(outcome);
                continue;
            }
            if running.len() == CONCURRENT_WRITES
                && let Some(ended) = running.join_next().await
            {
                loaded.take_in(ended?)?;
            }
            let registry = Arc::clone(registry);
            running.spawn_local(async move {
                let ended = load_one(&*registry, &image, merge).await;
                (image.id, ended)
            });
        }
        while let Some(ended) = running.join_next().await {
            loaded.take_in(ended?)?;
        }
        Ok(loaded)
    }
}

/// Returns the outcome for an image that the registry has.
fn outcome(image: &Image, there: &Image, merge: Option<Merge>) -> Outcome {
    if there == image {
        return Outcome::Same;
    }
    match merge {
        None | Some(Merge::Stop) => Outcome::Conflict,
        Some(Merge::Skip) => Outcome::Kept,
        Some(Merge::Newer) if there.updated_at >= image.updated_at => Outcome::Kept,
        Some(Merge::Replace | Merge::Newer) => Outcome::Replaced,
    }
}

impl ImportReport {
    fn count(&mut self, outcome: Outcome) {
        let count = match outcome {
            Outcome::New => &mut self.new,
            Outcome::Replaced => &mut self.replaced,
            Outcome::Same => &mut self.same,
            Outcome::Kept => &mut self.kept,
            Outcome::Conflict => return,
        };
        *count += 1;
    }

    fn take_in(
        &mut self,
        (id, ended): (ImageId, Result<Outcome, Error>),
    ) -> Result<(), ManageError> {
        match ended {
            Ok(Outcome::Conflict) => {
                let reason =
                    "another process has created a different image with this identifier".to_owned();
                self.refused.push((id, reason));
            }
            Ok(outcome) => self.count(outcome),
            Err(error) if matches!(error.kind(), Kind::Unavailable { .. }) => {
                return Err(ManageError::CutOff {
                    loaded: self.new + self.replaced,
                    cause: Box::new(error.into()),
                });
            }
            Err(error) => self.refused.push((id, with_cause(&error))),
        }
        Ok(())
    }
}

async fn load_one(
    registry: &dyn Registry,
    image: &Image,
    merge: Option<Merge>,
) -> Result<Outcome, Error> {
    modify(&image.id, async || {
        let tried = try_one(registry, image, merge).await;
        tried.map_err(|error| match error.kind() {
            // Another process has inserted the image since this one looked for it.
            Kind::Conflict => Error::new(Kind::Stale, error.message().to_owned()),
            _ => error,
        })
    })
    .await
}

async fn try_one(
    registry: &dyn Registry,
    image: &Image,
    merge: Option<Merge>,
) -> Result<Outcome, Error> {
    let Some(there) = registry.get(&image.id).await? else {
        registry.insert(image.clone()).await?;
        return Ok(Outcome::New);
    };
    let outcome = outcome(image, &there.image, merge);
    if outcome == Outcome::Replaced {
        registry.replace(image.clone(), there.version).await?;
    }
    Ok(outcome)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Timestamp;

    #[test]
    fn outcome_follows_merge_policy() {
        let there = Image::queued(ImageId::random(), Timestamp::from_micros(5));
        let changed_at = |micros| Image {
            name: Some("other".to_owned()),
            updated_at: Timestamp::from_micros(micros),
            ..there.clone()
        };
        for (image, merge, expected) in [
            (there.clone(), None, Outcome::Same),
            (there.clone(), Some(Merge::Replace), Outcome::Same),
            (changed_at(9), None, Outcome::Conflict),
            (changed_at(9), Some(Merge::Stop), Outcome::Conflict),
            (changed_at(9), Some(Merge::Skip), Outcome::Kept),
            (changed_at(1), Some(Merge::Replace), Outcome::Replaced),
            (changed_at(9), Some(Merge::Newer), Outcome::Replaced),
            (changed_at(5), Some(Merge::Newer), Outcome::Kept),
        ] {
            assert_eq!(outcome(&image, &there, merge), expected, "{merge:?}");
        }
    }
}
