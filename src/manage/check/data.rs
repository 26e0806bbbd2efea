//! Whether images' data are where the registry says.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use tokio::task::{JoinSet, spawn_blocking};

use super::super::failure::{Failure, with_cause};
use super::finding::{Finding, Flaw};
use crate::error::{Error, Kind, Result};
use crate::image::{Checksum, Image, ImageData, Md5Digest, Status};
use crate::md5::Md5;
use crate::store::{ObjectRange, Store, Stores};
use crate::transfer::{Payload, digest_of_file};

/// Images that are looked at at a time.
const AT_A_TIME: usize = 16;

/// A store that has not answered so often in a row is asked no more.
const MOST_SILENCES: u32 = 5;

/// What the looks at a store have come to.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    /// Images whose data are as they should be.
    well: u64,
    missing: u64,
    /// Times in a row that it could not be asked.
    silences: u32,
}

/// Looks at the data of images in their stores.
#[derive(Clone)]
pub(super) struct Looker {
    stores: Stores,
    /// Whether data are read and compared with their checksums.
    reads_data: bool,
    tallies: Rc<RefCell<BTreeMap<&'static str, Tally>>>,
}

impl Looker {
    pub(super) fn new(stores: &Stores, reads_data: bool) -> Self {
        Self {
            stores: stores.clone(),
            reads_data,
            tallies: Rc::default(),
        }
    }

    /// What is wrong with the data of these images. To be called in a
    /// [`tokio::task::LocalSet`].
    pub(super) async fn look_at(
        &self,
        images: &[Arc<Image>],
    ) -> std::result::Result<Vec<Finding>, Failure> {
        let mut findings = Vec::new();
        let mut running = JoinSet::new();
        for image in images {
            if running.len() == AT_A_TIME
                && let Some(found) = running.join_next().await
            {
                findings.extend(found?);
            }
            let (looker, image) = (self.clone(), Arc::clone(image));
            running.spawn_local(async move { looker.look(&image).await });
        }
        while let Some(found) = running.join_next().await {
            findings.extend(found?);
        }
        findings.sort_by_key(|finding: &Finding| finding.image);
        Ok(findings)
    }

    /// Whether a store lacks everything that it should have: then it is more likely to be
    /// another one, or not mounted, than to have lost it.
    pub(super) fn lacks_all(&self, store: &str) -> bool {
        let tallies = self.tallies.borrow();
        tallies
            .get(store)
            .is_some_and(|tally| tally.well == 0 && tally.missing > 1)
    }

    async fn look(&self, image: &Image) -> Option<Finding> {
        let data = data_of(image)?;
        let store = match self.stores.for_location(data.location()) {
            Ok(store) => store,
            Err(error) => {
                return Some(Finding {
                    reason: Some(with_cause(&error)),
                    ..Finding::of_image(Flaw::Unasked, image)
                });
            }
        };
        let finding = self.ask(&*store, image, data).await?;
        Some(Finding {
            store: Some(store.name().to_owned()),
            expected_bytes: Some(data.size_bytes),
            ..finding
        })
    }

    async fn ask(&self, store: &dyn Store, image: &Image, data: &ImageData) -> Option<Finding> {
        let tally = |change: fn(&mut Tally)| {
            change(self.tallies.borrow_mut().entry(store.name()).or_default());
        };
        let silences = self.tallies.borrow().get(store.name()).copied();
        if silences.unwrap_or_default().silences >= MOST_SILENCES {
            return Some(Finding {
                reason: Some("the store does not answer".to_owned()),
                ..Finding::of_image(Flaw::Unasked, image)
            });
        }
        let asked = store.size(data.location()).await;
        if !asked.as_ref().is_err_and(|error| is_silence(error.kind())) {
            tally(|tally| tally.silences = 0);
        }
        match asked {
            Ok(found_bytes) if found_bytes == data.size_bytes => {
                tally(|tally| tally.well += 1);
                self.compare(store, image, data).await
            }
            Ok(found_bytes) => Some(Finding {
                found_bytes: Some(found_bytes),
                ..Finding::of_image(Flaw::WrongSize, image)
            }),
            Err(error) if error.kind() == Kind::NotFound => {
                tally(|tally| tally.missing += 1);
                Some(Finding::of_image(Flaw::Missing, image))
            }
            Err(error) => {
                if is_silence(error.kind()) {
                    tally(|tally| tally.silences += 1);
                }
                Some(Finding {
                    reason: Some(with_cause(&error)),
                    ..Finding::of_image(Flaw::Unasked, image)
                })
            }
        }
    }
}

impl Looker {
    /// Whether the data match their checksum: read now, or as a node has found.
    async fn compare(&self, store: &dyn Store, image: &Image, data: &ImageData) -> Option<Finding> {
        let damaged = |reason| Finding {
            reason,
            ..Finding::of_image(Flaw::Damaged, image)
        };
        let digest = data.checksum.as_ref().and_then(Checksum::digest);
        match digest.filter(|_| self.reads_data) {
            Some(digest) => match digest_of(store, data).await {
                Ok(read) if read == digest => None,
                Ok(_) => Some(damaged(None)),
                Err(error) => Some(Finding {
                    reason: Some(with_cause(&error)),
                    ..Finding::of_image(Flaw::Unasked, image)
                }),
            },
            None => {
                let since = image.damaged_since?;
                let reason = format!("a node has found it on {since}, and does not serve them");
                Some(damaged(Some(reason)))
            }
        }
    }
}

/// Reads all data, and computes their MD5.
async fn digest_of(store: &dyn Store, data: &ImageData) -> Result<Md5Digest> {
    let wanted = ObjectRange {
        offset: 0,
        len: data.size_bytes,
        object_bytes: data.size_bytes,
    };
    let mut md5 = Md5::new();
    match store.open(data.location(), wanted).await? {
        Payload::Empty => {}
        Payload::Bytes(bytes) => md5.update(&bytes),
        Payload::File(slice) => {
            let read = move || digest_of_file(&slice.file, |_| Ok(()));
            let read = spawn_blocking(read).await.map_err(Error::internal)?;
            return read.map_err(Error::internal);
        }
        Payload::Partial(_) | Payload::Text(_) => {
            return Err(Error::internal("no store has such data"));
        }
        Payload::Remote(mut remote) => {
            while let Some(bytes) = remote.next().await? {
                md5.update(&bytes);
            }
        }
    }
    Ok(md5.finalize())
}

/// The data that somebody may ask for, now or after a restoration.
fn data_of(image: &Image) -> Option<&ImageData> {
    let is_kept = matches!(
        image.status,
        Status::Active | Status::Deactivated | Status::PendingDelete
    );
    image.data.as_ref().filter(|_| is_kept)
}

fn is_silence(kind: Kind) -> bool {
    matches!(kind, Kind::Unavailable { .. } | Kind::Timeout)
}
