//! Loading images into a registry.
//!
//! What the registry has is looked at before anything is written. Then each image is written
//! by itself, so a load that is cut off leaves images that are loaded and images that are not;
//! when it is run again, those that are there just so are passed over.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::args::Merge;
use super::failure::{Failure, with_cause};
use super::records::Records;
use crate::error::{Error, Kind};
use crate::image::{Image, ImageId};
use crate::registry::Registry;
use crate::service::modify;

/// Images that are written at a time: they share commits.
const AT_A_TIME: usize = 256;

/// What became of the images, or would.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Loaded {
    /// Images that were not there.
    pub(super) new: u64,
    /// Images that took the place of others.
    pub(super) replaced: u64,
    /// Images that were there just so.
    pub(super) same: u64,
    /// Images that were there otherwise and stayed.
    pub(super) kept: u64,
    /// Images that the registry does not take, each with the reason.
    pub(super) refused: Vec<(ImageId, String)>,
}

/// What becomes of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    New,
    Replaced,
    Same,
    Kept,
    /// Nobody has said what becomes of it.
    Conflict,
}

/// Images that are to be loaded, in the order of their identifiers, and what the registry has.
pub(super) struct Survey {
    images: Vec<Image>,
    /// Images that the registry has otherwise.
    conflicts: Vec<ImageId>,
    /// Images of the registry that are not to be loaded.
    others: Vec<ImageId>,
    /// Of the registry's images that are to be loaded: the fate of each, by its place.
    fates: Vec<Fate>,
}

impl Survey {
    /// Looks at every image that the registry has.
    pub(super) async fn take(
        records: &Records,
        images: Vec<Image>,
        merge: Option<Merge>,
    ) -> Result<Self, Failure> {
        let mut survey = Self {
            fates: vec![Fate::New; images.len()],
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
        self.fates[place] = fate(&self.images[place], there, merge);
        if self.fates[place] == Fate::Conflict {
            self.conflicts.push(there.id);
        }
    }

    /// Whether it may be loaded.
    pub(super) fn check(&self, merge: Option<Merge>) -> Result<(), Failure> {
        if !self.conflicts.is_empty() {
            return Err(Failure::Conflicts(self.conflicts.clone()));
        }
        if merge.is_none() && !self.others.is_empty() {
            return Err(Failure::NotEmpty(self.others.clone()));
        }
        Ok(())
    }

    /// What a load would come to.
    pub(super) fn forecast(&self) -> Loaded {
        let mut loaded = Loaded::default();
        self.fates.iter().for_each(|fate| loaded.count(*fate));
        loaded
    }

    /// Loads them. To be called in a [`tokio::task::LocalSet`].
    ///
    /// # Errors
    /// `CutOff` when the registry is away; what it does not take is in the result.
    pub(super) async fn load(
        self,
        registry: &Arc<dyn Registry>,
        merge: Option<Merge>,
    ) -> Result<Loaded, Failure> {
        let mut loaded = Loaded::default();
        let mut running = JoinSet::new();
        for (image, fate) in self.images.into_iter().zip(self.fates) {
            if matches!(fate, Fate::Same | Fate::Kept) {
                loaded.count(fate);
                continue;
            }
            if running.len() == AT_A_TIME
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

/// What becomes of an image that is there.
fn fate(image: &Image, there: &Image, merge: Option<Merge>) -> Fate {
    if there == image {
        return Fate::Same;
    }
    match merge {
        None | Some(Merge::Stop) => Fate::Conflict,
        Some(Merge::Skip) => Fate::Kept,
        Some(Merge::Newer) if there.updated_at >= image.updated_at => Fate::Kept,
        Some(Merge::Replace | Merge::Newer) => Fate::Replaced,
    }
}

impl Loaded {
    fn count(&mut self, fate: Fate) {
        let count = match fate {
            Fate::New => &mut self.new,
            Fate::Replaced => &mut self.replaced,
            Fate::Same => &mut self.same,
            Fate::Kept => &mut self.kept,
            Fate::Conflict => return,
        };
        *count += 1;
    }

    fn take_in(&mut self, (id, ended): (ImageId, Result<Fate, Error>)) -> Result<(), Failure> {
        match ended {
            Ok(Fate::Conflict) => {
                let reason = "somebody has made it otherwise meanwhile".to_owned();
                self.refused.push((id, reason));
            }
            Ok(fate) => self.count(fate),
            Err(error) if matches!(error.kind(), Kind::Unavailable { .. }) => {
                return Err(Failure::CutOff {
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
) -> Result<Fate, Error> {
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
) -> Result<Fate, Error> {
    let Some(there) = registry.get(&image.id).await? else {
        registry.insert(image.clone()).await?;
        return Ok(Fate::New);
    };
    let fate = fate(image, &there.image, merge);
    if fate == Fate::Replaced {
        registry.replace(image.clone(), there.version).await?;
    }
    Ok(fate)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Timestamp;

    #[test]
    fn what_becomes_of_an_image_that_is_there() {
        let there = Image::queued(ImageId::random(), Timestamp::from_micros(5));
        let changed_at = |micros| Image {
            name: Some("other".to_owned()),
            updated_at: Timestamp::from_micros(micros),
            ..there.clone()
        };
        for (image, merge, expected) in [
            (there.clone(), None, Fate::Same),
            (there.clone(), Some(Merge::Replace), Fate::Same),
            (changed_at(9), None, Fate::Conflict),
            (changed_at(9), Some(Merge::Stop), Fate::Conflict),
            (changed_at(9), Some(Merge::Skip), Fate::Kept),
            (changed_at(1), Some(Merge::Replace), Fate::Replaced),
            (changed_at(9), Some(Merge::Newer), Fate::Replaced),
            (changed_at(5), Some(Merge::Newer), Fate::Kept),
        ] {
            assert_eq!(fate(&image, &there, merge), expected, "{merge:?}");
        }
    }
}
